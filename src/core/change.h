#ifndef SSE_CORE_CHANGE_H
#define SSE_CORE_CHANGE_H

#include <stdint.h>

#include "core/frame.h"

/* What the hub tells the replicas, in the order in which it happened. A replica that has applied
 * the same changes has the same logs. */

enum lag_policy { LAG_DISCONNECT, LAG_SKIP };

enum change_kind {
    CHANGE_EPOCH,         /* frame: its payload is the epoch */
    CHANGE_CHANNEL_OPEN,  /* channel, number = lag_policy * 2 + whether it keeps history, frame: its
                             key is the channel's name, its name the reset event's, empty for none */
    CHANGE_CHANNEL_CLOSE, /* channel; its audiences go before it */
    CHANGE_APPEND,        /* channel, frame, verdicts */
    CHANGE_EVICT,         /* channel, sequence */
    CHANGE_SUPERSEDE,     /* channel, sequence */
    CHANGE_FORGET,        /* channel, sequence: that event alone is evicted */
    CHANGE_VARIANT,       /* channel, number = slot, sequence, frame: comes before the event or, for
                             one that is in the log, behind its verdict */
    CHANGE_VERDICT,       /* channel, number = slot * 2 + verdict, sequence */
    CHANGE_SLOT,          /* channel, number = slot: another filter group has it now */
    CHANGE_SUBSCRIPTION_OPEN,   /* definition */
    CHANGE_SUBSCRIPTION_ADD,    /* number = subscription's id, channel, sequence = slot + 1 */
    CHANGE_SUBSCRIPTION_REMOVE, /* number = subscription's id, channel */
    CHANGE_SUBSCRIPTION_END,    /* number = subscription's id: its streams end, and come back */
    CHANGE_SUBSCRIPTION_CLOSE,  /* number = subscription's id */
    CHANGE_END_STREAMS,         /* channel: its subscribers' streams end when all is sent */
};

struct change {
    uint8_t kind;
    uint32_t channel;
    uint32_t number;
    uint32_t words; /* APPEND: how many words of verdicts; one word is inline */
    uint64_t sequence;
    union {
        struct frame *frame;
        struct definition *definition;
    };
    union {
        uint64_t verdict;
        uint64_t *verdicts; /* of malloc, when words > 1 */
    };
};

/* The part of a subscription that never changes and every thread reads: reference-counted. */
struct definition {
    atomic_uint references;
    uint32_t id;
    uint32_t heartbeat; /* milliseconds; 0 for none */
    bool chunked;
    uint32_t name_count;
    struct slice *names; /* only events of these names; all when name_count is 0 */
};

struct definition *definition_ref(struct definition *definition);
void definition_unref(struct definition *definition);

/* True when the definition's event names let the frame through. */
bool definition_wants(const struct definition *definition, const struct frame *frame);

/* A change for one more receiver: references and copies what it carries. */
struct change change_copy(const struct change *change);
/* Releases what the change carries. */
void change_deinit(struct change *change);

static inline const uint64_t *change_verdicts(const struct change *change)
{
    return change->words > 1 ? change->verdicts : &change->verdict;
}

#endif
