/* The input is a text to be encoded and decoded, and a request's target. */
#include "models/uri.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    expect_uri_text_survives(text);
    expect_uri_target_holds(text);
    return 0;
}
