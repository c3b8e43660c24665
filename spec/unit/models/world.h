#ifndef SSE_UNIT_MODELS_WORLD_H
#define SSE_UNIT_MODELS_WORLD_H

#include "core/hub.h"
#include "core/replica.h"

/* A hub, and a replica that follows it as one on another thread would: it gets copies of the
 * changes, applies them at once, and settles when it is told to. */
struct world {
    struct hub hub;
    struct replica replica;
    int64_t now;         /* the time of what is published */
    uint64_t changes;    /* told so far */
    uint64_t judgements; /* asked for so far */
    unsigned forgotten;  /* groups */
    unsigned ended;      /* audiences whose streams were to end */
};

/* Filters are made of their group's reference: events whose data is a number that `reference`
 * divides pass; when it is negative, they pass as another event, with "~" before the data. */
enum { WORLD_ALL = 0 };

void world_init(struct world *world);
void world_deinit(struct world *world);
/* A channel that keeps `history` events, declared. */
struct channel *world_channel(struct world *world, const char *name, uint32_t history);
/* Publishes data under the event name (NULL for none), with what the filters say. Returns the
 * sequence. */
uint64_t world_publish(struct world *world, struct channel *channel, const char *name,
                       const char *data);
/* The same with a key; no data for a tombstone. */
uint64_t world_publish_key(struct world *world, struct channel *channel, const char *key,
                           const char *data);
/* The same for any source. 0, or what hub_publish says. */
int world_publish_source(struct world *world, struct channel *channel, struct frame_source *source);

/* Subscribes to one or two channels (NULL for none); filters unless `reference` is WORLD_ALL. */
struct subscription *world_subscribe(struct world *world, struct channel *first,
                                     struct channel *second, int reference);
/* Subscribes to a pattern of names. */
struct subscription *world_subscribe_pattern(struct world *world, const char *pattern,
                                             int reference);
struct audience *world_audience(const struct world *world, const struct subscription *subscription);

/* Check (models/expect.h) that the replica has the hub's channels, with the same frames in the same
 * places and the same verdicts for all that is subscribed, and that the hub's own accounts are
 * right.
 */
void expect_replica_follows(struct world *world);
void expect_hub_is_sound(const struct hub *hub);

#endif
