#ifndef SSE_CORE_HUB_H
#define SSE_CORE_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digits.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "core/change.h"
#include "core/channel.h"
#include "core/departed.h"
#include "core/pattern.h"
#include "core/start.h"
#include "core/subscription.h"
#include "proto/event_stream.h"

/* The authority over channels, sequence and retention. It lives on the script thread; every change
 * is told to a listener, and replicas on other threads follow by applying the same changes. */

struct hub_limits {
    size_t total_bytes; /* of all logs together */
    size_t event_bytes; /* of one event's data */
    uint32_t channels;
};

struct hub_counters {
    uint64_t published;
    uint64_t evicted_count; /* events taken because of a channel's history */
    uint64_t evicted_age;
    uint64_t evicted_bytes; /* ... because of a channel's max_bytes */
    uint64_t evicted_total; /* ... because of the limit of all logs together */
    uint64_t superseded;
    uint64_t tombstones;       /* dropped */
    uint64_t lagged;           /* readers that fell off a log */
    uint64_t refused_events;   /* counted by who tells the publisher */
    uint64_t refused_channels; /* beyond the limit */
};

typedef void (*hub_change_fn)(void *context, const struct change *change);
/* What a group's filter makes of a frame: NULL to drop it, the frame itself, or a changed one. The
 * result has a reference for the caller. */
typedef struct frame *(*hub_judge_fn)(void *context, struct group *group,
                                      const struct channel *channel, struct frame *frame);
/* The group's last subscription is gone: `reference` may be released. */
typedef void (*hub_forget_fn)(void *context, const struct group *group);
/* The channel has its first subscriber, or has lost its last one. Must not change the hub. */
typedef void (*hub_audience_fn)(void *context, const struct channel *channel);

struct hub_listener {
    void *context;
    hub_change_fn change; /* the change is borrowed for the call */
    hub_judge_fn judge;
    hub_forget_fn forget;
    hub_audience_fn audience; /* may be NULL */
};

enum {
    HUB_EPOCH_MAX = 16,
    HUB_ID_MAX = HUB_EPOCH_MAX + 1 + DIGITS_MAX,
    HUB_SIZE_CLASSES = 48,
    HUB_CLOSED_AGE = 60000, /* milliseconds */
    HUB_BACKLOG = 128, /* events that a channel without history holds for readers that are slow */
};

struct hub {
    struct hub_limits limits;
    struct hub_listener listener;
    struct hub_counters counters;
    char epoch[HUB_EPOCH_MAX + 1];
    uint64_t sequence; /* the last one given */
    uint64_t appended; /* the last one whose event is in a log: what readers may have had */
    uint64_t floor;    /* what had sequences up to here may be lost: they are of earlier runs of the
                          same    epoch, or of channels that are forgotten */
    struct map channels_by_name;
    struct departed departed;
    struct channel **channels; /* by id; NULL where free */
    uint32_t channel_capacity;
    uint32_t channel_count;
    uint32_t free_id; /* no id below is free */
    uint64_t handles; /* given so far */
    struct map subscriptions_by_key;
    struct subscription **subscriptions; /* by id; NULL where free */
    uint32_t subscription_capacity;
    uint32_t free_subscription_id;
    struct pattern_tree patterns; /* of subscriptions */
    uint32_t observer_generation; /* changes when the script adds or stops an observer */
    struct map groups_by_key;
    size_t bytes;
    struct list by_size[HUB_SIZE_CLASSES]; /* channels, by the logarithm of their log's bytes */
    struct heap expiry;                    /* channels, by when their oldest event is too old */
};

/* An epoch names one life of the log. `epoch` is at most HUB_EPOCH_MAX bytes of [a-z0-9]. */
void hub_init(struct hub *hub, const struct hub_limits *limits, const struct hub_listener *listener,
              const char *epoch);
void hub_deinit(struct hub *hub);

/* Makes an epoch from the clock and some random bits. `out` has HUB_EPOCH_MAX + 1 bytes. */
void hub_make_epoch(char *out);

struct channel *hub_find(const struct hub *hub, struct slice name);
/* The channel that had the id and the handle, or NULL when it was closed or has gone since. */
struct channel *hub_channel(const struct hub *hub, uint32_t id, uint64_t handle);
/* The channel of that name, made when there is none. 0 or ERROR_CHANNEL_LIMIT. */
int hub_open(struct hub *hub, struct slice name, const struct channel_options *options,
             struct channel **out);
/* Other options from now on; what they exclude is evicted. */
void hub_configure(struct hub *hub, struct channel *channel, const struct channel_options *options,
                   int64_t now);
/* Frees the channel when it is not declared and has no subscriptions and no events. */
void hub_release(struct hub *hub, struct channel *channel);

/* Writes the id of the event of that sequence, "<epoch>-<sequence>" without a NUL, in HUB_ID_MAX
 * bytes at most. Returns its length. */
size_t hub_write_id(const struct hub *hub, uint64_t sequence, char *out);

/* Publishing in two steps, for events that must be on disk in between: the first checks the event,
 * gives it its sequence and makes the frame; the second, in order of sequence, appends it. */
int hub_prepare(struct hub *hub, struct channel *channel, struct frame_source *source,
                struct frame **out);
/* Takes no reference to the frame; takes the variants, which are what filter groups changed it
 * into. */
void hub_commit(struct hub *hub, struct channel *channel, struct frame *frame,
                const uint64_t *verdicts, struct log_variant *variants);

/* Continues the life of a log: its epoch, and sequences after `sequence`. Before the first event.
 */
void hub_continue(struct hub *hub, const char *epoch, uint64_t sequence);
/* Puts back an event of an earlier run, oldest first, into a channel that was just opened. */
void hub_restore(struct hub *hub, struct channel *channel, struct frame *frame);

/* 0, or why the event is refused: ERROR_EVENT_TOO_LARGE, what event_stream_check says, or
 * ERROR_START_ID for an id that in a client's header would mean another starting point. */
int hub_check(const struct hub *hub, const struct event_fields *fields);

/* Publishes one event in one step: gives it the next sequence (source->sequence is filled in) and,
 * without an own id, the id that goes with it, appends it, and applies retention. `verdicts` has
 * channel_verdict_words(channel) words. Returns the frame with a reference for the caller in *out
 * when `out` is not NULL. 0 or what hub_check says. */
int hub_publish(struct hub *hub, struct channel *channel, struct frame_source *source,
                const uint64_t *verdicts, struct frame **out);

/* Ends the streams of the channel's subscribers once they have all that was published, and lets the
 * channel go when its events have become HUB_CLOSED_AGE old and nobody uses it. */
void hub_close(struct hub *hub, struct channel *channel);

/* Evicts what is older than its channel allows. Returns the milliseconds until the next event is
 * too old, or -1 when none ever will be. */
int64_t hub_expire(struct hub *hub, int64_t now);

/* The subscription that the specification describes, shared with all that are equal; the caller
 * gets a reference. */
struct subscription *hub_subscribe(struct hub *hub, const struct subscription_source *source);
void hub_unsubscribe(struct hub *hub, struct subscription *subscription);
struct subscription *hub_subscription(const struct hub *hub, uint32_t id);

/* Ends the subscription's streams; their clients are told to come back. */
void hub_end_subscription(struct hub *hub, const struct subscription *subscription);

/* A subscriber has come or gone: keeps the channels' counts. */
void hub_count_subscribers(struct hub *hub, struct subscription *subscription, int change);

/* A reader of the channel of that id fell off its log. */
void hub_count_lag(struct hub *hub, uint32_t id);

/* The group for that key (a filter's name and arguments), or NULL. */
struct group *hub_find_group(const struct hub *hub, struct slice key);
/* Makes a group with no references yet; a subscription must take it. */
struct group *hub_new_group(struct hub *hub, struct slice key, int reference);

/* Has the events after `sequence` judged that a filter group of the subscription has not seen. */
void hub_judge(struct hub *hub, struct subscription *subscription, uint64_t sequence);

/* What filters made of a channel's events has changed; the log had `before` bytes. May evict some
 * of its events. */
void hub_note_judgements(struct hub *hub, struct channel *channel, size_t before);
/* Brings all logs together back under their limit. Channels that nobody uses may go. */
void hub_retain(struct hub *hub);

/* Tells the listener of one change. */
void hub_tell(struct hub *hub, const struct change *change);

#endif
