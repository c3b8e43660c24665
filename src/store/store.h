#ifndef SSE_STORE_STORE_H
#define SSE_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"

/* Where logs are kept on disk: one SQLite database, written by a thread of its own. What is handed
 * over is written in order, and all that waits is written in one transaction, so that many
 * publishers share one fsync. Reading happens on the caller's thread, through a connection of its
 * own. */

struct store;

/* Called on the writer's thread when there are results. */
typedef void (*store_ready_fn)(void *context);

struct store_retention {
    uint64_t history;   /* events; 0 for no limit */
    uint64_t max_age;   /* milliseconds; 0 for no limit */
    uint64_t max_bytes; /* of data; 0 for no limit */
    bool keyed;         /* a newer event of a key takes the older one's place */
};

/* Opens the database, or makes it. 0, or a negative code and a sentence in `message`: the file is
 * no database, is damaged, is of a newer version, or is in use by another router. */
int store_open(struct store **out, const char *path, store_ready_fn ready, void *context,
               char *message, size_t size);
/* Writes what waits, notes that the end was clean, and closes. */
void store_close(struct store *store);

/* The epoch in the file. A new file has none: "". */
const char *store_epoch(const struct store *store);
void store_set_epoch(struct store *store, const char *epoch);
/* Every sequence that was ever given is at most this. */
uint64_t store_sequence(const struct store *store);
/* Notes that sequences up to this one may be given, before they are. */
void store_reserve(struct store *store, uint64_t sequence);

/* The number of that channel, from 1, made when there is none, with this retention from now on. */
uint32_t store_channel(struct store *store, struct slice name,
                       const struct store_retention *retention);
/* The highest sequence of the channel that retention took. */
uint64_t store_evicted(struct store *store, uint32_t channel);

/* Hands over an event. References the frame. `idempotency` may be empty. */
void store_append(struct store *store, uint32_t channel, struct frame *frame,
                  struct slice idempotency);

struct store_result {
    uint64_t sequence; /* everything handed over up to here is decided; the rest is not */
    uint64_t first;    /* the events from here on are decided by this result */
    int error;         /* 0, or they are not on disk: an SQLite code */
    char message[128];
};

/* Takes the oldest result that waits. False when there is none. */
bool store_take_result(struct store *store, struct store_result *out);
/* Blocks until everything handed over is decided. */
void store_wait(struct store *store);

typedef void (*store_event_fn)(void *context, uint32_t channel, struct frame *frame);

/* Calls `each` with the events of the channels whose sequence is higher than `after`, in order, at
 * most `limit`. The frame is the callee's. Returns how many there were, or a negative code. */
int store_read(struct store *store, const uint32_t *channels, unsigned count, uint64_t after,
               int limit, store_event_fn each, void *context);
/* The same backwards from below `before`, newest first. */
int store_read_back(struct store *store, const uint32_t *channels, unsigned count, uint64_t before,
                    int limit, store_event_fn each, void *context);
/* The lowest sequence of an event of the channels at that time (milliseconds) or later; 0 for none.
 */
uint64_t store_since(struct store *store, const uint32_t *channels, unsigned count, int64_t time);
/* The sequence of the newest event of that own id, or 0. */
uint64_t store_find_id(struct store *store, const uint32_t *channels, unsigned count,
                       struct slice id);
/* The sequence of the event that was published under the idempotency key since `time`, or 0. */
uint64_t store_find_idempotency(struct store *store, struct slice key, int64_t time);

#endif
