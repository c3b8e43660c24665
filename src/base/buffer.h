#ifndef SSE_BASE_BUFFER_H
#define SSE_BASE_BUFFER_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* A growing run of bytes. The caller's storage; zeroed is a valid empty buffer. */
struct buffer {
    char *data;
    size_t length;
    size_t capacity;
};

void buffer_init(struct buffer *buffer);
void buffer_deinit(struct buffer *buffer);

/* Makes room for `extra` more bytes and returns where they go, never NULL. The length does not
 * change. */
char *buffer_reserve(struct buffer *buffer, size_t extra);
void buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_slice(struct buffer *buffer, struct slice slice);
void buffer_append_byte(struct buffer *buffer, char byte);
void buffer_append_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A number in base 10 or 16; cheaper than a format. */
void buffer_append_number(struct buffer *buffer, uint64_t number);
void buffer_append_hex(struct buffer *buffer, uint64_t number);
/* Drops the first `length` bytes. */
void buffer_consume(struct buffer *buffer, size_t length);
void buffer_clear(struct buffer *buffer);

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){buffer->data, buffer->length};
}

#endif
