#ifndef SSE_STORE_WRITER_H
#define SSE_STORE_WRITER_H

#include <pthread.h>

#include "store/retention.h"

/* The thread that writes. What it is handed it writes in order, as many records as wait in one
 * transaction. Events that a failed transaction had are refused; facts are tried again until they
 * are on disk. */

enum record_kind {
    RECORD_EVENT,
    RECORD_CHANNEL, /* the channel exists, with this retention from now on; it begins after the
                       sequence */
    RECORD_RESERVE, /* sequences up to this one may be given */
    RECORD_EPOCH,   /* text */
};

struct record {
    struct record *next;
    enum record_kind kind;
    struct store_channel *channel;
    struct frame *frame;
    struct slice text; /* owned: the epoch, or an event's idempotency key */
    uint32_t subscribers;
    bool awaited;
    uint64_t sequence;
    struct store_retention retention;
};

struct records {
    struct record *first, *last;
    uint64_t count;
    size_t bytes;
};

struct result {
    struct result *next;
    struct store_result result;
};

struct writer {
    struct database database;
    const char *path;
    store_ready_fn ready;
    void *context;

    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    pthread_cond_t done;
    /* Under the mutex. */
    struct records waiting;
    uint64_t handed_over; /* records */
    uint64_t tried;       /* of them, in a transaction */
    bool incomplete;      /* facts are not on disk yet */
    char failure[128];    /* what the last failed transaction had to say */
    bool closing;
    struct result *first_result, *last_result;

    /* The thread's own. */
    struct records facts; /* not on disk yet */
    struct list channels;
    bool sweeps;         /* some have a maximum age */
    struct list touched; /* channels that the transaction changes */
    int64_t next_sweep;
    int64_t next_forget;
    bool failing;
    char message[128]; /* `failure` until it is shared */

    atomic_uint_fast64_t written, refused, evicted, commits;
};

/* The database is open. `path` and `context` are borrowed. 0 or a negative code. */
int writer_start(struct writer *writer, const char *path, store_ready_fn ready, void *context);
/* Writes what waits and ends the thread. */
void writer_stop(struct writer *writer);

/* Takes what the record holds. Blocks while too much waits. */
void writer_hand_over(struct writer *writer, const struct record *record);
/* Blocks until all that was handed over was tried. False when facts are not on disk. */
bool writer_wait(struct writer *writer);
void writer_failure(struct writer *writer, char *message, size_t size);
bool writer_take_result(struct writer *writer, struct store_result *out);

#endif
