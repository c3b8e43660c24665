#ifndef SSE_PROTO_EVENT_STREAM_H
#define SSE_PROTO_EVENT_STREAM_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

/* Writing text/event-stream (HTML standard, 9.2.5 and 9.2.6). Bytes only. */

struct event_fields {
    struct slice id;   /* no id line when data is NULL */
    struct slice name; /* no event line when empty */
    struct slice data; /* split into lines at CR, LF and CRLF */
    int64_t retry;     /* milliseconds, or negative for no retry line */
};

enum { EVENT_ID_MAX = 4096 }; /* bytes of an id: it must fit into a request's headers */

/* 0, ERROR_LINE_BREAK when id or name hold CR, LF or NUL, ERROR_EVENT_ID when no client could send
 * the id back as it is, or ERROR_UTF8. */
int event_stream_check(const struct event_fields *fields);

/* Appends the event with its blank line. The fields must have passed event_stream_check. */
void event_stream_encode(struct buffer *out, const struct event_fields *fields);

/* Appends comment lines; line breaks in the text start further comment lines. No blank line. */
void event_stream_comment(struct buffer *out, struct slice text);

/* Appends `retry: N` and a blank line. */
void event_stream_retry(struct buffer *out, int64_t milliseconds);

/* Appends the value that the `data:` lines of one encoded event stand for. */
void event_stream_decode_data(struct buffer *out, struct slice event);

#endif
