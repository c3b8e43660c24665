#ifndef BENCH_LOAD_QUANTILE_H
#define BENCH_LOAD_QUANTILE_H

#include <stddef.h>
#include <stdint.h>

void quantile_sort(uint32_t *values, size_t count);

/* The value below or at which the share `q` of the sorted values lies. 0 if there are none. */
uint32_t quantile(const uint32_t *values, size_t count, double q);

#endif
