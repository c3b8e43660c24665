#ifndef SSE_STORE_RETENTION_H
#define SSE_STORE_RETENTION_H

#include <stdatomic.h>

#include "base/list.h"
#include "store/database.h"
#include "store/store.h"

/* What a channel has on disk, and how much of it may stay. For the writer's thread, within a
 * transaction. */

struct store_totals {
    uint64_t evicted; /* the highest sequence that retention took */
    int64_t count;    /* events */
    int64_t bytes;    /* of their data */
    int64_t tombstones;
};

struct store_channel {
    struct slice name; /* owned */
    uint32_t id;
    atomic_uint_fast64_t evicted; /* totals.evicted, for readers: never lower than what is gone */
    /* What follows is the writer's. */
    struct list link;    /* in its list of channels */
    struct list touched; /* while a transaction changes it */
    struct store_retention retention;
    struct store_totals totals;
    struct store_totals committed; /* as they are on disk */
    int64_t oldest;                /* time of the oldest event, INT64_MAX for none */
    uint64_t dropped;              /* events that retention takes with the transaction */
};

/* Each gives 0 or an SQLite code. */

/* Counts an event that was appended, and lets go of the one whose key it has. */
int retention_count(struct database *database, struct store_channel *channel,
                    const struct frame *frame, size_t bytes);
/* Drops what the channel's options exclude, and notes the totals. */
int retention_apply(struct database *database, struct store_channel *channel, int64_t now);

/* The channel has no events up to that sequence. */
void retention_begin(struct store_channel *channel, uint64_t sequence);
/* An event could not be written that is in memory. */
void retention_lose(struct store_channel *channel, uint64_t sequence);

/* Whether the channel has events that are too old. */
bool retention_is_due(const struct store_channel *channel, int64_t now);

/* The transaction is on disk, or it is not. Gives how many events retention took. */
uint64_t retention_commit(struct store_channel *channel);
void retention_rollback(struct store_channel *channel);

#endif
