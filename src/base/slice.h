#ifndef SSE_BASE_SLICE_H
#define SSE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* A borrowed run of bytes, not terminated. data may be NULL when length is 0. */
struct slice {
    const char *data;
    size_t length;
};

static inline struct slice slice_of(const char *data, size_t length)
{
    return (struct slice){data, length};
}

static inline struct slice slice_text(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* Compares without regard to the case of ASCII letters. */
static inline bool slice_equal_case(struct slice a, const char *text)
{
    return a.length == strlen(text) && (a.length == 0 || strncasecmp(a.data, text, a.length) == 0);
}

static inline bool slice_starts_with(struct slice slice, const char *text)
{
    size_t length = strlen(text);
    return slice.length >= length && (length == 0 || memcmp(slice.data, text, length) == 0);
}

#endif
