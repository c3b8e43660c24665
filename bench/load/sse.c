#include "load/sse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void sse_deinit(struct sse_decoder *decoder)
{
    free(decoder->carry);
    memset(decoder, 0, sizeof *decoder);
}

static int carry_append(struct sse_decoder *decoder, const char *bytes, size_t length)
{
    size_t needed = decoder->carry_length + length;

    if (needed > decoder->carry_capacity) {
        char *carry = realloc(decoder->carry, needed * 2);
        if (!carry)
            return -ENOMEM;
        decoder->carry = carry;
        decoder->carry_capacity = needed * 2;
    }
    memcpy(decoder->carry + decoder->carry_length, bytes, length);
    decoder->carry_length = needed;
    return 0;
}

static int field(const char *line, size_t length, const char *name, size_t name_length,
                 struct sse_slice *value)
{
    if (length <= name_length || line[name_length] != ':' || memcmp(line, name, name_length) != 0)
        return 0;
    size_t skip = name_length + 1;
    if (skip < length && line[skip] == ' ')
        skip++;
    value->bytes = line + skip;
    value->length = length - skip;
    return 1;
}

static void take_line(struct sse_event *event, const char *line, size_t length)
{
    if (field(line, length, "data", 4, &event->data) || field(line, length, "id", 2, &event->id))
        return;
    field(line, length, "event", 5, &event->name);
}

/* Calls back for each complete event; returns how many bytes they took. */
static size_t take_events(const char *bytes, size_t length, sse_event_fn callback, void *context)
{
    struct sse_event event = {0};
    size_t taken = 0, position = 0;

    while (position < length) {
        const char *line = bytes + position;
        const char *end = memchr(line, '\n', length - position);
        if (!end)
            break;
        size_t line_length = (size_t)(end - line);
        position += line_length + 1;
        if (line_length && line[line_length - 1] == '\r')
            line_length--;
        if (line_length) {
            take_line(&event, line, line_length);
            continue;
        }
        if (event.data.bytes)
            callback(context, &event);
        memset(&event, 0, sizeof event);
        taken = position;
    }
    return taken;
}

int sse_feed(struct sse_decoder *decoder, const char *bytes, size_t length, sse_event_fn event,
             void *context)
{
    if (decoder->carry_length == 0) {
        size_t taken = take_events(bytes, length, event, context);
        return taken == length ? 0 : carry_append(decoder, bytes + taken, length - taken);
    }
    if (carry_append(decoder, bytes, length) < 0)
        return -ENOMEM;
    size_t taken = take_events(decoder->carry, decoder->carry_length, event, context);
    decoder->carry_length -= taken;
    memmove(decoder->carry, decoder->carry + taken, decoder->carry_length);
    return 0;
}
