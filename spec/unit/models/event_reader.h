#ifndef SSE_UNIT_MODELS_EVENT_READER_H
#define SSE_UNIT_MODELS_EVENT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "proto/event_stream.h"

/* A client's side of text/event-stream, written from the HTML standard (9.2.6) alone and sharing
 * nothing with the encoder. It reads a whole stream at once. */

struct read_event {
    struct buffer id; /* the last event id when the event was dispatched */
    struct buffer name;
    struct buffer data;
};

struct read_stream {
    struct read_event *events;
    size_t count;
    struct buffer last_id;
    bool has_id;
    int64_t retry; /* the last one told, or -1 */
    size_t comments;
    struct read_event pending; /* fields since the last blank line */
    bool has_data;
};

void read_stream(struct read_stream *out, struct slice bytes);
void read_stream_deinit(struct read_stream *stream);

/* Checks (models/expect.h) that a client reads the fields from what the encoder writes for them:
 * one event, its data with CR and CRLF as LF, and nothing else. The fields have passed
 * event_stream_check. */
void expect_event_survives(const struct event_fields *fields);

#endif
