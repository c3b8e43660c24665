#include "load/quantile.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

void quantile_sort(uint32_t *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
}

uint32_t quantile(const uint32_t *values, size_t count, double q)
{
    if (count == 0)
        return 0;
    size_t index = (size_t)(q * (double)count);
    return values[index < count ? index : count - 1];
}
