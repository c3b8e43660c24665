/* Cuts an event stream into events. Written for speed on what the bench sends: an event's data is
 * one line, and of several lines the last one counts. */

#ifndef BENCH_LOAD_SSE_H
#define BENCH_LOAD_SSE_H

#include <stddef.h>

struct sse_slice {
    const char *bytes; /* NULL: the event has no such field */
    size_t length;
};

/* Valid during the callback only. */
struct sse_event {
    struct sse_slice data, id, name;
};

typedef void (*sse_event_fn)(void *context, const struct sse_event *event);

/* All zero is an empty decoder. */
struct sse_decoder {
    char *carry; /* an event that is not complete yet, from its first byte */
    size_t carry_length, carry_capacity;
};

/* Frees the carry and leaves an empty decoder. */
void sse_deinit(struct sse_decoder *decoder);

/* Takes bytes as they came and calls back for every event completed by them that has data. Returns
 * 0 or -ENOMEM. */
int sse_feed(struct sse_decoder *decoder, const char *bytes, size_t length, sse_event_fn event,
             void *context);

#endif
