/* Subscriptions and filter groups in the hub. */
#include "core/subscription.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "core/hub.h"

/* Groups */

struct group *hub_find_group(const struct hub *hub, struct slice key)
{
    return map_get(&hub->groups_by_key, key);
}

struct group *hub_new_group(struct hub *hub, struct slice key, int reference)
{
    struct group *group = memory_zero(1, sizeof *group);
    group->key = slice_of(memory_copy(key.data, key.length), key.length);
    group->reference = reference;
    map_put(&hub->groups_by_key, group->key, group);
    return group;
}

static void group_unref(struct hub *hub, struct group *group)
{
    if (group == NULL || --group->references > 0)
        return;
    hub->listener.forget(hub->listener.context, group);
    map_remove(&hub->groups_by_key, group->key);
    free((char *)group->key.data);
    free(group);
}

/* Life of a subscription */

static void append_texts(struct buffer *key, const struct slice *texts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_number(key, texts[i].length);
        buffer_append_byte(key, ':');
        buffer_append_slice(key, texts[i]);
    }
    buffer_append_byte(key, ';');
}

static void append_number(struct buffer *key, uint32_t number)
{
    buffer_append_hex(key, number);
    buffer_append_byte(key, ',');
}

/* Lengths stand before texts, so two different sources never have the same key. */
static void build_key(struct buffer *key, const struct subscription_source *source)
{
    append_number(key, source->chunked);
    append_number(key, source->heartbeat);
    append_number(key, source->route);
    for (uint32_t i = 0; i < source->channel_count; i++)
        append_number(key, source->channels[i]->id);
    buffer_append_byte(key, ';');
    append_texts(key, source->patterns, source->pattern_count);
    append_texts(key, source->names, source->name_count);
    if (source->group != NULL)
        buffer_append_slice(key, source->group->key);
}

static struct slice *copy_texts(const struct slice *texts, uint32_t count)
{
    struct slice *copies = memory_zero(count + 1, sizeof *copies);
    for (uint32_t i = 0; i < count; i++)
        copies[i] = slice_of(memory_copy(texts[i].data, texts[i].length), texts[i].length);
    return copies;
}

static struct definition *new_definition(const struct subscription_source *source, uint32_t id)
{
    struct definition *definition = memory_zero(1, sizeof *definition);
    atomic_init(&definition->references, 1);
    definition->id = id;
    definition->heartbeat = source->heartbeat;
    definition->chunked = source->chunked;
    definition->name_count = source->name_count;
    definition->names = copy_texts(source->names, source->name_count);
    return definition;
}

static bool has_channel(const struct subscription *subscription, const struct channel *channel)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        if (subscription->channels[i].channel == channel)
            return true;
    }
    return false;
}

/* A reader may come in the turn in which retention takes an event, and still find it in its
 * replica: with what its own filter said of it, which is nothing, not with what another one did. */
static int32_t attach(struct hub *hub, struct channel *channel, struct group *group)
{
    uint32_t slot = channel_attach(channel, group, hub->appended);
    if (channel->groups[slot].references == 1) {
        size_t before = channel->log.bytes;
        log_clear_slot(&channel->log, slot);
        hub_note_judgements(hub, channel, before);
        hub_tell(hub,
                 &(struct change){.kind = CHANGE_SLOT, .channel = channel->id, .number = slot});
    }
    return (int32_t)slot;
}

/* Keeps a channel's count of subscribers. */
static void count(struct hub *hub, struct channel *channel, uint32_t change)
{
    bool had = channel->subscribers > 0;
    channel->subscribers += change;
    if (had != (channel->subscribers > 0) && hub->listener.audience != NULL)
        hub->listener.audience(hub->listener.context, channel);
}

static void add_channel(struct hub *hub, struct subscription *subscription, struct channel *channel,
                        bool by_pattern)
{
    if (subscription->channel_count == subscription->channel_capacity) {
        subscription->channel_capacity =
            subscription->channel_capacity == 0 ? 1 : subscription->channel_capacity * 2;
        subscription->channels =
            memory_grow(subscription->channels,
                        subscription->channel_capacity * sizeof *subscription->channels);
    }
    int32_t slot = -1;
    if (subscription->group != NULL)
        slot = attach(hub, channel, subscription->group);
    if (by_pattern)
        channel->patterns++;
    else
        channel->subscriptions++;
    subscription->channels[subscription->channel_count++] =
        (struct subscription_channel){channel, slot, by_pattern};
    hub_tell(hub, &(struct change){.kind = CHANGE_SUBSCRIPTION_ADD,
                                   .channel = channel->id,
                                   .number = subscription->definition->id,
                                   .sequence = (uint64_t)(slot + 1)});
    count(hub, channel, subscription->subscribers);
}

/* The channel is not told to the listener, and not released. */
static void drop_channel(struct hub *hub, struct subscription *subscription, uint32_t index)
{
    struct subscription_channel *link = &subscription->channels[index];
    if (link->slot >= 0)
        channel_detach(link->channel, (uint32_t)link->slot);
    if (link->by_pattern)
        link->channel->patterns--;
    else
        link->channel->subscriptions--;
    count(hub, link->channel, -subscription->subscribers);
    *link = subscription->channels[--subscription->channel_count];
}

bool subscription_keeps(const struct subscription *subscription)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        if (channel_keeps(subscription->channels[i].channel))
            return true;
    }
    return false;
}

/* Patterns */

/* A channel that comes or goes. */
struct extension {
    struct hub *hub;
    struct channel *channel;
};

static void extend(void *context, void *value)
{
    struct extension *step = context;
    struct subscription *subscription = value;
    if (!has_channel(subscription, step->channel))
        add_channel(step->hub, subscription, step->channel, true);
}

void subscription_extend(struct hub *hub, struct channel *channel)
{
    struct extension step = {hub, channel};
    pattern_tree_match(&hub->patterns, channel->name, extend, &step);
}

static void shorten(void *context, void *value)
{
    struct extension *step = context;
    struct subscription *subscription = value;
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        if (subscription->channels[i].channel != step->channel)
            continue;
        hub_tell(step->hub, &(struct change){.kind = CHANGE_SUBSCRIPTION_REMOVE,
                                             .channel = step->channel->id,
                                             .number = subscription->definition->id});
        drop_channel(step->hub, subscription, i);
        return;
    }
}

void subscription_shorten(struct hub *hub, struct channel *channel)
{
    struct extension step = {hub, channel};
    if (channel->patterns > 0)
        pattern_tree_match(&hub->patterns, channel->name, shorten, &step);
}

/* All channels that exist and match, and all that will. */
static void add_pattern(struct hub *hub, struct subscription *subscription, struct slice pattern)
{
    for (uint32_t i = 0; i < hub->channel_capacity; i++) {
        struct channel *channel = hub->channels[i];
        if (channel != NULL && pattern_matches(pattern, channel->name) &&
            !has_channel(subscription, channel))
            add_channel(hub, subscription, channel, true);
    }
    pattern_tree_add(&hub->patterns, pattern, subscription);
}

static uint32_t take_id(struct hub *hub)
{
    uint32_t id = hub->free_subscription_id;
    while (id < hub->subscription_capacity && hub->subscriptions[id] != NULL)
        id++;
    if (id == hub->subscription_capacity) {
        uint32_t capacity = id == 0 ? 64 : id * 2;
        hub->subscriptions =
            memory_grow(hub->subscriptions, capacity * sizeof(struct subscription *));
        for (uint32_t i = id; i < capacity; i++)
            hub->subscriptions[i] = NULL;
        hub->subscription_capacity = capacity;
    }
    hub->free_subscription_id = id + 1;
    return id;
}

struct subscription *hub_subscribe(struct hub *hub, const struct subscription_source *source)
{
    struct buffer key = {0};
    build_key(&key, source);
    struct subscription *found = map_get(&hub->subscriptions_by_key, buffer_slice(&key));
    if (found != NULL) {
        buffer_deinit(&key);
        found->references++;
        return found;
    }
    struct subscription *subscription = memory_zero(1, sizeof *subscription);
    subscription->key = slice_of(memory_copy(key.data, key.length), key.length);
    buffer_deinit(&key);
    subscription->references = 1;
    subscription->route = source->route;
    subscription->group = source->group;
    if (source->group != NULL)
        source->group->references++;
    subscription->definition = new_definition(source, take_id(hub));
    hub->subscriptions[subscription->definition->id] = subscription;
    map_put(&hub->subscriptions_by_key, subscription->key, subscription);
    hub_tell(hub, &(struct change){.kind = CHANGE_SUBSCRIPTION_OPEN,
                                   .definition = subscription->definition});
    for (uint32_t i = 0; i < source->channel_count; i++)
        add_channel(hub, subscription, source->channels[i], false);
    subscription->patterns = copy_texts(source->patterns, source->pattern_count);
    subscription->pattern_count = source->pattern_count;
    for (uint32_t i = 0; i < source->pattern_count; i++)
        add_pattern(hub, subscription, subscription->patterns[i]);
    return subscription;
}

static void free_subscription(struct subscription *subscription)
{
    for (uint32_t i = 0; i < subscription->pattern_count; i++)
        free((char *)subscription->patterns[i].data);
    definition_unref(subscription->definition);
    free(subscription->patterns);
    free(subscription->channels);
    free((char *)subscription->key.data);
    free(subscription);
}

void hub_unsubscribe(struct hub *hub, struct subscription *subscription)
{
    if (--subscription->references > 0)
        return;
    uint32_t id = subscription->definition->id;
    hub_tell(hub, &(struct change){.kind = CHANGE_SUBSCRIPTION_CLOSE, .number = id});
    map_remove(&hub->subscriptions_by_key, subscription->key);
    hub->subscriptions[id] = NULL;
    if (id < hub->free_subscription_id)
        hub->free_subscription_id = id;
    for (uint32_t i = 0; i < subscription->pattern_count; i++)
        pattern_tree_remove(&hub->patterns, subscription->patterns[i], subscription);
    while (subscription->channel_count > 0) {
        struct channel *channel = subscription->channels[subscription->channel_count - 1].channel;
        drop_channel(hub, subscription, subscription->channel_count - 1);
        hub_release(hub, channel);
    }
    group_unref(hub, subscription->group);
    free_subscription(subscription);
}

void hub_end_subscription(struct hub *hub, const struct subscription *subscription)
{
    hub_tell(hub, &(struct change){.kind = CHANGE_SUBSCRIPTION_END,
                                   .number = subscription->definition->id});
}

struct subscription *hub_subscription(const struct hub *hub, uint32_t id)
{
    return id < hub->subscription_capacity ? hub->subscriptions[id] : NULL;
}

void hub_count_subscribers(struct hub *hub, struct subscription *subscription, int change)
{
    subscription->subscribers += (uint32_t)change;
    for (uint32_t i = 0; i < subscription->channel_count; i++)
        count(hub, subscription->channels[i].channel, (uint32_t)change);
}

/* Judging what was published before a group came */

/* Takes what the group made of the event; NULL for nothing. */
static void set_judgement(struct hub *hub, struct channel *channel, uint32_t slot,
                          uint32_t position, struct frame *made)
{
    const struct log_entry *entry = log_at(&channel->log, position);
    struct change verdict = {.kind = CHANGE_VERDICT,
                             .channel = channel->id,
                             .number = slot * 2 + (made != NULL),
                             .sequence = entry->sequence};
    log_set_verdict(&channel->log, position, slot, made != NULL);
    hub_tell(hub, &verdict);
    if (made != NULL && made != entry->frame) {
        log_set_variant(&channel->log, position, slot, made);
        hub_tell(hub, &(struct change){.kind = CHANGE_VARIANT,
                                       .channel = channel->id,
                                       .number = slot,
                                       .sequence = entry->sequence,
                                       .frame = made});
    }
    frame_unref(made);
}

static void judge_channel(struct hub *hub, struct channel *channel, uint32_t slot,
                          uint64_t sequence)
{
    struct channel_group *entry = &channel->groups[slot];
    if (entry->judged_from <= sequence)
        return;
    size_t before = channel->log.bytes;
    log_reserve_slot(&channel->log, slot);
    for (uint32_t i = log_after(&channel->log, sequence); i < channel->log.count; i++) {
        struct log_entry *at = log_at(&channel->log, i);
        if (at->sequence > entry->judged_from)
            break;
        if (at->frame == NULL)
            continue;
        set_judgement(hub, channel, slot, i,
                      hub->listener.judge(hub->listener.context, entry->group, channel, at->frame));
    }
    entry->judged_from = sequence;
    hub_note_judgements(hub, channel, before);
}

void hub_judge(struct hub *hub, struct subscription *subscription, uint64_t sequence)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct subscription_channel *link = &subscription->channels[i];
        if (link->slot >= 0)
            judge_channel(hub, link->channel, (uint32_t)link->slot, sequence);
    }
    hub_retain(hub);
}
