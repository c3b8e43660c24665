#ifndef SSE_FUZZ_TARGET_H
#define SSE_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

/* What each target defines: reads one input and ends the process when a property does not hold.
 * libFuzzer brings the main that makes inputs up; replay.c brings one that reads a corpus. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
