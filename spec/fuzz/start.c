/* The input is what a client gives as its starting point. */
#include "models/start.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    expect_start_holds(slice_of((const char *)data, size));
    return 0;
}
