#ifndef SSE_BASE_MEMORY_H
#define SSE_BASE_MEMORY_H

#include <stddef.h>

/* Allocation that does not fail: everything an outsider can make large has a limit before it gets
 * here, so running out of memory is the machine's end and the process says so and aborts. Release
 * with free(). */
void *memory_new(size_t size); /* uninitialised */
void *memory_zero(size_t count, size_t size);
void *memory_grow(void *pointer, size_t size);
char *memory_copy(const char *data, size_t length); /* a copy with a NUL behind it */

#endif
