#ifndef SSE_CORE_REPLICA_H
#define SSE_CORE_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "core/audience.h"
#include "core/change.h"
#include "core/log.h"

/* An I/O thread's copy of the logs, and the audiences that read them. It follows the hub by
 * applying its changes. */

struct replica_channel {
    uint32_t id;
    enum lag_policy on_lag;
    bool keeps;          /* history; else nobody gets what was published before it joined */
    struct frame *names; /* its key is the channel's, its name the reset event's */
    struct log log;
    uint64_t evict_to;   /* an eviction that waits for the next replica_settle */
    uint64_t *forgotten; /* events that are evicted alone, then */
    uint32_t forgotten_count;
    uint32_t forgotten_capacity;
    uint64_t evicted_at; /* the replica's count of evictions at the last one */
    struct list evicting;
    struct log_variant *variants; /* of the event that comes next */
    struct channel_audience {
        struct audience *audience;
        uint32_t index; /* in the audience's channels */
    } * audiences;
    uint32_t audience_count;
    uint32_t audience_capacity;
};

typedef void (*replica_audience_fn)(void *context, struct audience *audience);

struct replica {
    struct replica_channel **channels; /* by id */
    uint32_t channel_capacity;
    struct audience **audiences; /* by the subscription's id */
    uint32_t audience_capacity;
    uint64_t sequence; /* the last one applied */
    uint64_t evictions;
    struct frame *epoch; /* its payload; NULL until the hub has told it */
    struct list dirty;
    struct list evicting;
    void *context;
    replica_audience_fn opened;   /* an audience came */
    replica_audience_fn closing;  /* it goes; it has no subscribers any more */
    replica_audience_fn ending;   /* its streams end when they have all there is */
    replica_audience_fn leaving;  /* the same, and the clients should come back */
    replica_audience_fn removing; /* a channel goes: those in step take its news before it does */
};

void replica_init(struct replica *replica);
void replica_deinit(struct replica *replica);

/* Applies the change and releases it. Audiences with news are in `dirty` afterwards; evictions wait
 * until replica_settle, so that those in step get the events first. */
void replica_apply(struct replica *replica, struct change *change);
/* To be called when the dirty audiences were served. */
void replica_settle(struct replica *replica);

struct audience *replica_audience(const struct replica *replica, uint32_t subscription);

#endif
