#ifndef SSE_CORE_SUBSCRIPTION_H
#define SSE_CORE_SUBSCRIPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "core/change.h"

/* What some subscribers hear: a set of channels, event names, a filter group. Equal ones are one
 * subscription, whatever number of subscribers shares it. */

struct channel;
struct group;
struct hub;

struct subscription_source {
    struct channel **channels; /* each once */
    uint32_t channel_count;
    struct slice
        *patterns; /* channels whose name matches one belong to it too, whenever they come */
    uint32_t pattern_count;
    uint32_t route; /* the route that it came by: streams of different routes may end apart */
    struct slice *names;
    uint32_t name_count;
    struct group *group; /* NULL without a filter */
    uint32_t heartbeat;  /* milliseconds; 0 for none */
    bool chunked;        /* HTTP/1.1, not close-delimited */
};

struct subscription_channel {
    struct channel *channel;
    int32_t slot;    /* the filter group's slot in that channel; -1 without a filter */
    bool by_pattern; /* the channel may go when nobody else uses it */
};

struct subscription {
    struct slice key; /* owned */
    uint32_t references;
    uint32_t subscribers;
    uint32_t route;
    struct group *group;
    struct definition *definition;
    struct subscription_channel *channels;
    uint32_t channel_count;
    uint32_t channel_capacity;
    struct slice *patterns; /* owned */
    uint32_t pattern_count;
};

/* A channel was opened: it joins the subscriptions whose pattern matches. */
void subscription_extend(struct hub *hub, struct channel *channel);
/* A channel goes: it leaves the subscriptions that have it by a pattern. */
void subscription_shorten(struct hub *hub, struct channel *channel);

/* Where a stream starts. */
enum start_kind {
    START_LATEST,
    START_EARLIEST,
    START_LAST,     /* number events */
    START_SINCE,    /* number = milliseconds since 1970 */
    START_SEQUENCE, /* after the event of the sequence in number */
    START_ID,       /* after the event with that id */
};

struct start {
    enum start_kind kind;
    int64_t number;
    struct slice id; /* borrowed */
};

/* Why the client is told of a loss. */

enum reset_reason { RESET_NONE, RESET_EVICTED, RESET_UNKNOWN, RESET_EPOCH, RESET_LAGGED };

/* The answer to a start: a cursor, and whether the client must be told of a loss. */
struct start_result {
    uint64_t cursor; /* the stream continues with the first event of a higher sequence */
    enum reset_reason reset;
    uint64_t oldest; /* the oldest event that the log has, 0 for none */
    uint64_t latest; /* the last sequence given */
    bool deep;       /* the store has events after the cursor that memory has not */
    int64_t wanted;  /* START_LAST: how many events more than memory has were asked for */
};

/* Reads the grammar of starting points: an id, "earliest", "latest", "last=20", "since=10m"
 * (`now` in milliseconds). Everything that is none of the others is an id. False for a malformed
 * number or duration behind "last=" or "since="; *out is then the text as an (unknown) id. The id
 * borrows from `text`. */
bool start_parse(struct slice text, int64_t now, struct start *out);

/* Finds the cursor. With a filter, the events that this looks at must have been judged. */
void subscription_resolve(struct hub *hub, struct subscription *subscription,
                          const struct start *start, struct start_result *out);

/* "evicted", "unknown", "epoch", "lagged", or "" for none. */
const char *reset_reason_name(enum reset_reason reason);

#endif
