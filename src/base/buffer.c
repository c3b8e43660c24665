#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/digits.h"
#include "base/memory.h"

enum { BUFFER_FIRST = 256 }; /* bytes */

void buffer_init(struct buffer *buffer)
{
    *buffer = (struct buffer){0};
}

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

char *buffer_reserve(struct buffer *buffer, size_t extra)
{
    size_t wanted = buffer->length + extra;
    if (wanted > buffer->capacity || buffer->data == NULL) {
        size_t capacity = buffer->capacity < BUFFER_FIRST ? BUFFER_FIRST : buffer->capacity;
        while (capacity < wanted)
            capacity *= 2;
        buffer->data = memory_grow(buffer->data, capacity);
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->length;
}

void buffer_append(struct buffer *buffer, const void *data, size_t length)
{
    if (length == 0)
        return;
    memcpy(buffer_reserve(buffer, length), data, length);
    buffer->length += length;
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_slice(struct buffer *buffer, struct slice slice)
{
    buffer_append(buffer, slice.data, slice.length);
}

void buffer_append_byte(struct buffer *buffer, char byte)
{
    *buffer_reserve(buffer, 1) = byte;
    buffer->length++;
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    char *end = buffer_reserve(buffer, BUFFER_FIRST);
    size_t room = buffer->capacity - buffer->length;
    va_start(arguments, format);
    int length = vsnprintf(end, room, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length >= room) {
        end = buffer_reserve(buffer, (size_t)length + 1);
        va_start(arguments, format);
        vsnprintf(end, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    if (length > 0)
        buffer->length += (size_t)length;
}

static void append_digits(struct buffer *buffer, uint64_t number, unsigned base)
{
    buffer->length += digits_write(buffer_reserve(buffer, DIGITS_MAX), number, base);
}

void buffer_append_number(struct buffer *buffer, uint64_t number)
{
    append_digits(buffer, number, 10);
}

void buffer_append_hex(struct buffer *buffer, uint64_t number)
{
    append_digits(buffer, number, 16);
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    buffer->length -= length;
    if (buffer->length > 0)
        memmove(buffer->data, buffer->data + length, buffer->length);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
}
