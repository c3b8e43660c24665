/* The input is a program of changes to a hub and of readers that come and go: everybody gets what
 * its subscription promises. */
#include "models/delivery.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    expect_delivery((struct program){data, size});
    return 0;
}
