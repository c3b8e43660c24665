#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *pointer, size_t size)
{
    if (pointer == NULL && size > 0) {
        fprintf(stderr, "sse-router: out of memory (%zu bytes wanted)\n", size);
        abort();
    }
    return pointer;
}

void *memory_new(size_t size)
{
    return checked(malloc(size), size);
}

void *memory_zero(size_t count, size_t size)
{
    return checked(calloc(count, size), count * size);
}

void *memory_grow(void *pointer, size_t size)
{
    return checked(realloc(pointer, size), size);
}

char *memory_copy(const char *data, size_t length)
{
    char *copy = memory_new(length + 1);
    if (length > 0)
        memcpy(copy, data, length);
    copy[length] = '\0';
    return copy;
}
