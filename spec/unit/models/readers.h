#ifndef SSE_UNIT_MODELS_READERS_H
#define SSE_UNIT_MODELS_READERS_H

#include "models/program.h"
#include "models/world.h"

/* The readers of models/delivery.h, and what they should have had. */

enum { NAMES = 6, BARE = 5, EVENTS = 400, SUBSCRIPTIONS = 8, READERS = 8, FRAMES = 3 };

/* Channels that begin with "k" are keyed; the last one keeps no history. */
extern const char *const delivery_names[NAMES];

/* One that was published. */
struct published {
    uint64_t sequence;
    uint32_t name;
    const struct channel *channel; /* NULL once the channel is gone */
    int number;
    bool superseded;
    unsigned evicted; /* the step that took it, or 0 */
};

struct reader {
    struct subscriber subscriber;
    struct subscription *subscription; /* NULL when there is no such reader */
    uint64_t had;                      /* it has had, or could not have had, all up to this one */
    unsigned joined;                   /* in this step */
};

struct delivery {
    struct world world;
    struct published events[EVENTS];
    size_t count;
    struct subscription *subscriptions[SUBSCRIPTIONS];
    struct reader readers[READERS];
    struct program *program;
    unsigned step;
};

/* The channel of that name, or NULL. */
struct channel *delivery_find(struct delivery *delivery, uint32_t index);
/* Every sequence is that of one event, from 1 on. */
struct published *delivery_published(struct delivery *delivery, uint64_t sequence);
/* After each step: what has left its log since, and whose channel is gone. */
void delivery_note_evictions(struct delivery *delivery);

/* Some reader joins some subscription at some place, unless it is somewhere already. */
void readers_join(struct delivery *delivery, struct program *program);
void readers_leave(struct delivery *delivery, struct reader *reader);
/* One that is behind reads on, `turns` times. It may turn out to have lost something, and leaves.
 */
void readers_read_on(struct delivery *delivery, struct reader *reader, uint32_t turns);
/* The end of a shard's turn: those in step get the news, and the replica settles. */
void readers_turn(struct delivery *delivery);
/* The replica's callback: a channel goes, and those in step first get what was in it. */
void readers_on_removing(void *context, struct audience *audience);

#endif
