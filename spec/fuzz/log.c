/* The input is a program of changes to a log: a replay from any place is the suffix of a plain
 * array that had the same changes. */
#include "models/log.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    expect_log_is_an_array((struct program){data, size});
    return 0;
}
