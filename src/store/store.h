#ifndef SSE_STORE_STORE_H
#define SSE_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "core/frame.h"

/* Where logs are kept on disk: one SQLite database, written by a thread of its own. What is handed
 * over is written in order, and all that waits is written in one transaction, so that many
 * publishers share one fsync. Reading happens on the caller's thread, through a connection of its
 * own. */

struct store;

/* Called on the writer's thread when there are results. */
typedef void (*store_ready_fn)(void *context);

enum { STORE_ANSWER_AGE = 600000 /* milliseconds that an answer is remembered */ };

struct store_retention {
    uint64_t history;    /* events; 0 for no limit */
    uint64_t max_age;    /* milliseconds; 0 for no limit */
    uint64_t max_bytes;  /* of data; 0 for no limit */
    uint64_t tombstones; /* of a keyed channel */
    bool keyed;          /* a newer event of a key takes the older one's place */
};

/* Opens the database, or makes it. 0, or a negative code and a sentence in `message`: the file is
 * no database, is damaged, is of a newer version, or is in use by another router. */
int store_open(struct store **out, const char *path, store_ready_fn ready, void *context,
               char *message, size_t size);
/* Writes what waits, and closes. */
void store_close(struct store *store);

/* The epoch in the file. A new file has none: "". */
const char *store_epoch(const struct store *store);
void store_set_epoch(struct store *store, const char *epoch);
/* Every sequence that was ever given is at most this. */
uint64_t store_sequence(const struct store *store);
/* Notes that sequences up to this one may be given, before they are. */
void store_reserve(struct store *store, uint64_t sequence);

/* The number of that channel, from 1, made when there is none, with this retention from now on.
 * Events up to the sequence `begins` are not in it. *known says whether the file may have events.
 */
uint32_t store_channel(struct store *store, struct slice name,
                       const struct store_retention *retention, uint64_t begins, bool *known);
/* Calls `each` with the name of every channel. */
void store_names(const struct store *store, void (*each)(void *context, struct slice name),
                 void *context);
/* The highest sequence of the channel that retention took. */
uint64_t store_evicted(const struct store *store, uint32_t channel);

/* What is remembered of a publication that had an idempotency key. */
struct store_answer {
    struct slice key; /* empty for none */
    uint32_t subscribers;
};

/* Hands over an event. References the frame, copies the key. Blocks while the writer is far behind.
 * When nobody waits for the event and it cannot be written, readers will find a loss. */
void store_append(struct store *store, uint32_t channel, struct frame *frame, bool awaited,
                  const struct store_answer *answer);

struct store_result {
    uint64_t sequence; /* everything handed over up to here is decided; the rest is not */
    uint64_t first;    /* the events from here on are decided by this result */
    int error;         /* 0, or they are not on disk: an SQLite code */
    char message[128];
};

/* Takes the oldest result that waits. False when there is none. */
bool store_take_result(struct store *store, struct store_result *out);
/* Blocks until everything handed over is decided. False when facts are not on disk for now; they
 * are tried again. */
bool store_wait(struct store *store);
/* What the last transaction that failed had to say. */
void store_failure(struct store *store, char *message, size_t size);

struct store_counters {
    uint64_t written; /* events */
    uint64_t refused; /* events that are not on disk because of an error */
    uint64_t evicted; /* events that retention took from the disk */
    uint64_t commits;
};

void store_count(const struct store *store, struct store_counters *out);

/* The frame is the callee's. False ends the reading. */
typedef bool (*store_event_fn)(void *context, uint32_t channel, struct frame *frame);

/* Calls `each` with the events of the channels whose sequence is higher than `after` and at most
 * `until`, in order, or newest first. 0, or a negative code when the database cannot be read. */
int store_read(struct store *store, const uint32_t *channels, unsigned count, uint64_t after,
               uint64_t until, store_event_fn each, void *context);
int store_read_back(struct store *store, const uint32_t *channels, unsigned count, uint64_t after,
                    uint64_t until, store_event_fn each, void *context);

/* Each gives a sequence, or 0 for none: of the channel's oldest event after a sequence, its oldest
 * one at that time (milliseconds) or later, and its newest one before that time. */
uint64_t store_oldest(struct store *store, uint32_t channel, uint64_t after);
uint64_t store_since(struct store *store, uint32_t channel, int64_t time);
uint64_t store_expired(struct store *store, uint32_t channel, int64_t time);
/* Whether the channel has an event of that key, other than a tombstone. */
bool store_has_key(struct store *store, uint32_t channel, struct slice key);
/* The sequence of the channels' newest event of that own id, or 0. */
uint64_t store_find_id(struct store *store, const uint32_t *channels, unsigned count,
                       struct slice id);
/* Finds what was answered under the idempotency key since `time`: appends the event's id to `id`.
 * False when nothing was. */
bool store_find_answer(struct store *store, struct slice key, int64_t time, struct buffer *id,
                       uint32_t *subscribers);

#endif
