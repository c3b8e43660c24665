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

/* Whether any of its channels keeps history, so that its streams can be resumed. */
bool subscription_keeps(const struct subscription *subscription);

/* A channel was opened: it joins the subscriptions whose pattern matches. */
void subscription_extend(struct hub *hub, struct channel *channel);
/* A channel goes: it leaves the subscriptions that have it by a pattern. */
void subscription_shorten(struct hub *hub, struct channel *channel);

#endif
