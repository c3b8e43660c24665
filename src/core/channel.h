#ifndef SSE_CORE_CHANNEL_H
#define SSE_CORE_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "core/change.h"
#include "core/log.h"

/* A channel as the hub has it: a name, a bounded log, and the filter groups that listen. */

struct channel_options {
    uint32_t history; /* events kept; 0 keeps none and sends no ids */
    uint64_t max_age; /* milliseconds; 0 for no limit */
    size_t max_bytes; /* of the log */
    bool keyed;       /* keeps the latest event of each key instead of the last `history` */
    enum lag_policy on_lag;
    bool durable;            /* every event is on disk before it is in the log */
    bool relaxed;            /* ... or is on its way there */
    uint64_t stored_history; /* events kept on disk */
    uint64_t stored_bytes;   /* of data on disk; 0 for no limit */
};

/* Subscriptions that share a filter's name and arguments. The judge knows it by `reference`. */
struct group {
    struct slice key; /* owned */
    uint32_t references;
    int reference;
    enum group_kind {
        GROUP_UNKNOWN,
        GROUP_PLAIN,
        GROUP_CHANGES,
        GROUP_GONE
    } kind; /* what its filter does */
};

struct channel_group {
    struct group *group;  /* NULL for a free slot */
    uint32_t references;  /* subscriptions that use it here */
    uint64_t judged_from; /* events with a higher sequence have a verdict */
};

struct channel {
    struct slice name; /* owned */
    uint32_t id;
    uint64_t handle; /* what the script's handles of it bear; another one once it was closed */
    uint32_t subscribers;
    uint32_t subscriptions;  /* that name it */
    uint32_t patterns;       /* of subscriptions that have it by a pattern */
    bool declared;           /* by the script; others go when nobody uses them */
    uint32_t pending;        /* publications on their way to the disk */
    uint32_t stored;         /* the store's number for it; 0 when it is in memory alone */
    uint64_t stored_evicted; /* the highest sequence that retention took from the disk */
    char *reset_name;        /* of the event that tells of a loss; NULL for the usual one */
    struct channel_options options;
    struct log log;
    struct map keys;     /* of a keyed channel: key -> the frame in the log that bears it */
    uint32_t tombstones; /* among the keys' bearers; as many as `history` allows */
    struct channel_group *groups;
    uint32_t group_count; /* slots, free ones included */
    struct heap_node expiry;
    struct list by_size;
    uint64_t published;
    uint64_t lagged; /* readers that fell off the log */
    int *observers;  /* the script's functions that see its events, as of this generation */
    uint32_t observer_count;
    uint32_t observer_generation;
};

struct channel *channel_new(struct slice name, uint32_t id, const struct channel_options *options);
void channel_free(struct channel *channel);

/* Drops the oldest entry (holes before it too) and returns its sequence. The log is not empty. */
uint64_t channel_evict_oldest(struct channel *channel);

/* Drops the oldest tombstone, of which there is one, and returns its sequence. Who has not seen it
 * must be told of a loss. */
uint64_t channel_forget_tombstone(struct channel *channel);

/* True when readers can resume: the channel's events bear ids. */
static inline bool channel_keeps(const struct channel *channel)
{
    return channel->options.history > 0 || channel->options.keyed;
}

/* True when the disk has events that memory no longer has. */
static inline bool channel_is_deep(const struct channel *channel)
{
    return channel->stored > 0 && channel->log.evicted > channel->stored_evicted;
}

/* The sequence up to which events are neither in memory nor on disk. */
static inline uint64_t channel_gone(const struct channel *channel)
{
    return channel_is_deep(channel) ? channel->stored_evicted : channel->log.evicted;
}

/* The frame that bears the key now, or NULL. */
struct frame *channel_find_key(const struct channel *channel, struct slice key);
/* Takes the key's event out of the log. Returns its sequence, or 0. */
uint64_t channel_forget_key(struct channel *channel, struct slice key);
/* Appends, and registers the frame's key when the channel is keyed. No verdicts (NULL) are false.
 */
void channel_append(struct channel *channel, struct frame *frame, const uint64_t *verdicts);

/* The slot of the group, taken anew when the channel does not have it yet; counts the user. */
uint32_t channel_attach(struct channel *channel, struct group *group, uint64_t sequence);
void channel_detach(struct channel *channel, uint32_t slot);

static inline uint32_t channel_verdict_words(const struct channel *channel)
{
    return (channel->group_count + 63) / 64;
}

#endif
