#ifndef SSE_CORE_AUDIENCE_H
#define SSE_CORE_AUDIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "core/frame.h"
#include "core/skips.h"

/* The subscribers of an I/O thread. A subscriber is a cursor: it has had every event of its
 * subscription up to that sequence. The subscribers of one subscription on one thread are an
 * audience. Those who have all there is share the audience's cursor and stand in a dense array,
 * which is what a broadcast walks; the others stand in its list `behind`, each with a cursor of its
 * own:
 *
 *            audience_add              has all there is
 *    (new) ---------------> behind  --------------------->  in step
 *                             ^                                |
 *                             +--------------------------------+
 *                                  the socket took less
 */

struct definition;
struct replica;
struct replica_channel;

struct audience_channel {
    struct replica_channel *channel;
    int32_t slot;      /* the filter group's slot in that channel; -1 without a filter */
    uint32_t position; /* in the channel's list of audiences */
    bool has_news;     /* it is in the audience's list of news */
};

/* One in step. The descriptor is what a broadcast needs; the rest is behind the pointer. */
struct member {
    int descriptor;
    struct subscriber *subscriber;
};

struct audience {
    struct definition *definition;
    struct replica *replica;
    struct list dirty; /* in replica.dirty when a channel has news */
    struct list behind;
    struct member *members;
    uint32_t member_count;
    uint32_t member_capacity;
    uint64_t cursor;  /* what all members have had */
    uint64_t sent_at; /* the loop's milliseconds when the last bytes went to all members */
    void *heartbeat;  /* the owner's */
    struct audience_channel *channels;
    uint32_t channel_count;
    uint32_t channel_capacity;
    uint32_t *news; /* the channels with events after `cursor`: what those in step need is there */
    uint32_t news_count;
    uint32_t news_capacity;
    struct replica_channel *gone; /* stands for channels that left with events unread, or NULL */
};

enum { SUBSCRIBER_BEHIND = UINT32_MAX, SUBSCRIBER_NONE = UINT32_MAX - 1 };

/* Embedded in the connection. */
struct subscriber {
    struct audience *audience;
    uint32_t index;        /* in audience.members, or SUBSCRIBER_BEHIND */
    uint32_t written;      /* bytes of `partial` that are sent */
    uint64_t cursor;       /* while behind */
    uint64_t joined;       /* the replica's sequence when it came */
    uint64_t evictions;    /* the replica's count of them when it came: those before are no lag */
    struct frame *partial; /* a frame that the socket took in part; holds a reference */
    struct skips *skips;   /* while behind: channels that it was too slow for, or NULL */
    struct list behind;
};

/* Joins behind, at the cursor. What logs have lost by then it knows to be gone. */
void audience_add(struct audience *audience, struct subscriber *subscriber, uint64_t cursor);
/* Leaves, wherever it stands. Does nothing for one that is nowhere. */
void audience_remove(struct subscriber *subscriber);
/* Goes on in another audience from where it is, knowing what it has lost by then. Both audiences
 * have been served. */
void audience_move(struct audience *audience, struct subscriber *subscriber);
/* From behind to in step. */
void audience_catch_up(struct subscriber *subscriber, int descriptor);
/* From in step to behind, with the cursor it has reached. */
void audience_fall_behind(struct subscriber *subscriber, uint64_t cursor);

/* Collects the next frames after *cursor that the subscription lets through, at most `max`, and
 * moves the cursor behind the last of them, or to the replica's sequence when there are no more.
 * The frames are borrowed until the next replica_apply or replica_settle. */
uint32_t subscriber_collect(const struct subscriber *subscriber, uint64_t *cursor,
                            struct frame **frames, uint32_t max);

/* The same for those in step: after audience->cursor, which moves. When there are no more, the list
 * of news is empty. */
uint32_t audience_collect_news(struct audience *audience, struct frame **frames, uint32_t max);
/* Nobody in step misses any: moves the cursor to the end. */
void audience_forget_news(struct audience *audience);

/* The sequence after which the subscriber's next unsent event stands. */
static inline uint64_t subscriber_position(const struct subscriber *subscriber)
{
    const struct frame *partial = subscriber->partial;
    return partial != NULL && partial->sequence > subscriber->cursor ? partial->sequence
                                                                     : subscriber->cursor;
}

/* The channel whose log lost what the subscriber needs next, after it had joined; or NULL. */
const struct replica_channel *subscriber_lag(const struct subscriber *subscriber);
/* Goes on with that channel's newest event, so that it is no lag any more. Nothing of the others is
 * left out. False when it had skipped before and has not come to the newest event of then. */
bool subscriber_skip(struct subscriber *subscriber, const struct replica_channel *channel);

static inline bool subscriber_is_in_step(const struct subscriber *subscriber)
{
    return subscriber->audience != NULL && subscriber->index != SUBSCRIBER_BEHIND;
}

#endif
