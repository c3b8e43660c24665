/* The input is what comes in from a client. However it is cut into pieces, the parser says the
 * same, and a request that it takes is understood the same again when it is written anew. */
#include "models/http.h"
#include "support/random.h"
#include "target.h"

static const struct http_limits limits = {512, 64};

/* The pieces follow from the input, so a file of the corpus is nothing but a request. */
static void choose_pieces(struct slice input, uint8_t *sizes, size_t count)
{
    struct random random = {input.length};
    for (size_t i = 0; i < input.length; i++)
        random.state = random_next(&random) ^ (uint8_t)input.data[i];
    for (size_t i = 0; i < count; i++)
        sizes[i] = (uint8_t)random_below(&random, i % 2 == 0 ? 5 : 80);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t each_byte[] = {1};
    struct slice input = slice_of((const char *)data, size);
    uint8_t sizes[8];
    choose_pieces(input, sizes, sizeof sizes);
    expect_pieces_do_not_matter(&limits, input, each_byte, 1);
    expect_pieces_do_not_matter(&limits, input, sizes, sizeof sizes);
    expect_rewritten_is_same(&limits, input);
    return 0;
}
