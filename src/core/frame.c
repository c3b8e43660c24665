#include "core/frame.h"

#include <stdlib.h>

#include "base/digits.h"
#include "base/memory.h"
#include "proto/event_stream.h"

/* Appends and says where. */
static struct frame_part append_part(char *bytes, uint32_t *end, struct slice text)
{
    struct frame_part part = {*end, (uint32_t)text.length};
    if (text.length > 0)
        memcpy(bytes + *end, text.data, text.length);
    *end += part.length;
    return part;
}

static struct frame *build(struct slice payload, struct slice key, struct slice meta)
{
    char digits[DIGITS_MAX + 2];
    struct slice head = slice_of("", 0), tail = slice_of("", 0);
    if (payload.length > 0) { /* an empty chunk would be the last one */
        size_t length = digits_write(digits, payload.length, 16);
        memcpy(digits + length, "\r\n", 2);
        head = slice_of(digits, length + 2);
        tail = slice_of("\r\n", 2);
    }
    size_t size = head.length + payload.length + tail.length + key.length + meta.length;
    struct frame *frame = memory_new(sizeof *frame + size);
    uint32_t end = 0;
    *frame = (struct frame){0};
    atomic_init(&frame->references, 1);
    append_part(frame->bytes, &end, head);
    frame->payload = append_part(frame->bytes, &end, payload);
    append_part(frame->bytes, &end, tail);
    frame->wire_length = end;
    frame->key = append_part(frame->bytes, &end, key);
    frame->meta = append_part(frame->bytes, &end, meta);
    return frame;
}

struct frame *frame_new(const struct frame_source *source)
{
    struct event_fields fields = {source->id, source->name, source->data, source->retry};
    struct buffer payload = {0};
    buffer_reserve(&payload, source->id.length + source->name.length + source->data.length + 64);
    event_stream_encode(&payload, &fields);
    struct frame *frame = build(buffer_slice(&payload), source->key, source->meta);
    buffer_deinit(&payload);
    frame->sequence = source->sequence;
    frame->time = source->time;
    frame->retry = source->retry;
    frame->flags = source->flags;
    /* The encoder writes "id: ID\n" and then "event: NAME\n". */
    uint32_t position = frame->payload.offset;
    if (source->id.data != NULL) {
        frame->id = (struct frame_part){position + 4, (uint32_t)source->id.length};
        position += 4 + (uint32_t)source->id.length + 1;
    }
    if (source->name.length > 0)
        frame->name = (struct frame_part){position + 7, (uint32_t)source->name.length};
    return frame;
}

struct frame *frame_of_text(struct slice text, uint64_t sequence)
{
    struct frame *frame = build(text, slice_of("", 0), slice_of("", 0));
    frame->sequence = sequence;
    return frame;
}

struct frame *frame_ref(struct frame *frame)
{
    atomic_fetch_add_explicit(&frame->references, 1, memory_order_relaxed);
    return frame;
}

void frame_unref(struct frame *frame)
{
    if (frame != NULL &&
        atomic_fetch_sub_explicit(&frame->references, 1, memory_order_acq_rel) == 1)
        free(frame);
}

void frame_data(const struct frame *frame, struct buffer *out)
{
    event_stream_decode_data(out, frame_part(frame, frame->payload));
}

size_t frame_memory(const struct frame *frame)
{
    return sizeof *frame + frame->wire_length + frame->key.length + frame->meta.length;
}
