#include "models/event_reader.h"

#include <ctype.h>
#include <stdlib.h>

#include "models/expect.h"

static void dispatch(struct read_stream *stream)
{
    struct read_event *event = &stream->pending;
    if (!stream->has_data) {
        buffer_clear(&event->name);
        return;
    }
    event->data.length--; /* the last line feed */
    buffer_append_slice(&event->id, buffer_slice(&stream->last_id));
    stream->events = realloc(stream->events, (stream->count + 1) * sizeof *event);
    stream->events[stream->count++] = *event;
    *event = (struct read_event){0};
    stream->has_data = false;
}

static void read_retry(struct read_stream *stream, struct slice value)
{
    int64_t number = 0;
    for (size_t i = 0; i < value.length; i++) {
        if (!isdigit((unsigned char)value.data[i]))
            return;
        number = number * 10 + (value.data[i] - '0');
    }
    stream->retry = number;
}

static void read_field(struct read_stream *stream, struct slice name, struct slice value)
{
    if (slice_equal(name, slice_text("data"))) {
        buffer_append_slice(&stream->pending.data, value);
        buffer_append_byte(&stream->pending.data, '\n');
        stream->has_data = true;
    } else if (slice_equal(name, slice_text("event"))) {
        buffer_clear(&stream->pending.name);
        buffer_append_slice(&stream->pending.name, value);
    } else if (slice_equal(name, slice_text("id"))) {
        if (value.length > 0 && memchr(value.data, '\0', value.length) != NULL)
            return;
        buffer_clear(&stream->last_id);
        buffer_append_slice(&stream->last_id, value);
        stream->has_id = true;
    } else if (slice_equal(name, slice_text("retry"))) {
        read_retry(stream, value);
    }
}

static void read_line(struct read_stream *stream, struct slice line)
{
    if (line.length == 0) {
        dispatch(stream);
        return;
    }
    if (line.data[0] == ':') {
        stream->comments++;
        return;
    }
    size_t colon = 0;
    while (colon < line.length && line.data[colon] != ':')
        colon++;
    size_t value = colon == line.length ? colon : colon + 1;
    if (value < line.length && line.data[value] == ' ')
        value++;
    read_field(stream, slice_of(line.data, colon),
               slice_of(line.data + value, line.length - value));
}

void read_stream(struct read_stream *out, struct slice bytes)
{
    *out = (struct read_stream){.retry = -1};
    size_t start = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        if (bytes.data[i] != '\r' && bytes.data[i] != '\n')
            continue;
        read_line(out, slice_of(bytes.data + start, i - start));
        if (bytes.data[i] == '\r' && i + 1 < bytes.length && bytes.data[i + 1] == '\n')
            i++;
        start = i + 1;
    }
}

static void event_deinit(struct read_event *event)
{
    buffer_deinit(&event->id);
    buffer_deinit(&event->name);
    buffer_deinit(&event->data);
}

void read_stream_deinit(struct read_stream *stream)
{
    for (size_t i = 0; i < stream->count; i++)
        event_deinit(&stream->events[i]);
    free(stream->events);
    event_deinit(&stream->pending);
    buffer_deinit(&stream->last_id);
}

/* What the standard makes of the data's line ends. */
static void normalise(struct buffer *out, struct slice data)
{
    for (size_t i = 0; i < data.length; i++) {
        bool pair = data.data[i] == '\r' && i + 1 < data.length && data.data[i + 1] == '\n';
        if (!pair)
            buffer_append_byte(out, data.data[i] == '\r' ? '\n' : data.data[i]);
    }
}

void expect_event_survives(const struct event_fields *fields)
{
    struct buffer wire = {0}, data = {0}, decoded = {0};
    struct read_stream stream;
    event_stream_encode(&wire, fields);
    normalise(&data, fields->data);
    read_stream(&stream, buffer_slice(&wire));
    EXPECT(stream.count == 1);
    EXPECT(stream.comments == 0);
    EXPECT(stream.pending.name.length == 0 && !stream.has_data);
    EXPECT(slice_equal(buffer_slice(&stream.events[0].data), buffer_slice(&data)));
    EXPECT(slice_equal(buffer_slice(&stream.events[0].name), fields->name));
    EXPECT(stream.has_id == (fields->id.data != NULL));
    EXPECT(slice_equal(buffer_slice(&stream.events[0].id), fields->id));
    EXPECT(stream.retry == (fields->retry < 0 ? -1 : fields->retry));
    event_stream_decode_data(&decoded, buffer_slice(&wire));
    EXPECT(slice_equal(buffer_slice(&decoded), buffer_slice(&data)));
    read_stream_deinit(&stream);
    buffer_deinit(&wire);
    buffer_deinit(&data);
    buffer_deinit(&decoded);
}
