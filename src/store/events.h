#ifndef SSE_STORE_EVENTS_H
#define SSE_STORE_EVENTS_H

#include "store/database.h"
#include "store/store.h"

/* Frames as rows of the table events, and back. */

/* 0 or an SQLite code. `bytes` is what the event's data takes. */
int events_append(struct database *database, uint32_t channel, const struct frame *frame,
                  size_t *bytes);

/* Walks the events of some channels by sequence. */
struct events_range {
    const uint32_t *channels;
    unsigned count;
    uint64_t after; /* only events with a higher sequence ... */
    uint64_t until; /* ... and at most this one */
    bool backwards; /* newest first */
};

/* Calls `each` with the events of the range until it returns false. 0, or a negative code when the
 * database cannot be read. */
int events_read(struct database *database, const struct events_range *range, store_event_fn each,
                void *context);

#endif
