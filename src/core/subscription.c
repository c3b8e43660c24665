/* Subscriptions and filter groups in the hub, and the starting points of streams. */
#include "core/subscription.h"

#include <ctype.h>
#include <inttypes.h>
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

/* Lengths stand before texts, so two different sources never have the same key. */
static void build_key(struct buffer *key, const struct subscription_source *source)
{
    buffer_append_format(key, "%d,%" PRIu32 ";", source->chunked, source->heartbeat);
    for (uint32_t i = 0; i < source->channel_count; i++)
        buffer_append_format(key, "%" PRIx32 ",", source->channels[i]->id);
    for (uint32_t i = 0; i < source->name_count; i++) {
        buffer_append_format(key, "%zu:", source->names[i].length);
        buffer_append_slice(key, source->names[i]);
    }
    buffer_append_byte(key, ';');
    if (source->group != NULL)
        buffer_append_slice(key, source->group->key);
}

static struct definition *new_definition(struct hub *hub, const struct subscription_source *source,
                                         uint32_t id)
{
    uint32_t count = source->channel_count;
    struct definition *definition =
        memory_zero(1, sizeof *definition + count * sizeof definition->channels[0]);
    atomic_init(&definition->references, 1);
    definition->id = id;
    definition->heartbeat = source->heartbeat;
    definition->chunked = source->chunked;
    definition->channel_count = count;
    definition->name_count = source->name_count;
    definition->names = memory_zero(source->name_count + 1, sizeof *definition->names);
    for (uint32_t i = 0; i < source->name_count; i++) {
        struct slice name = source->names[i];
        definition->names[i] = slice_of(memory_copy(name.data, name.length), name.length);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct channel *channel = source->channels[i];
        int32_t slot = -1;
        if (source->group != NULL)
            slot = (int32_t)channel_attach(channel, source->group, hub->appended);
        channel->subscriptions++;
        definition->channels[i] = (struct definition_channel){channel->id, slot};
    }
    return definition;
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
    uint32_t count = source->channel_count;
    struct subscription *subscription =
        memory_zero(1, sizeof *subscription + count * sizeof subscription->channels[0]);
    subscription->key = slice_of(memory_copy(key.data, key.length), key.length);
    buffer_deinit(&key);
    subscription->references = 1;
    subscription->group = source->group;
    if (source->group != NULL)
        source->group->references++;
    memcpy(subscription->channels, source->channels, count * sizeof(struct channel *));
    subscription->definition = new_definition(hub, source, take_id(hub));
    hub->subscriptions[subscription->definition->id] = subscription;
    map_put(&hub->subscriptions_by_key, subscription->key, subscription);
    hub_tell(hub, &(struct change){.kind = CHANGE_SUBSCRIPTION_OPEN,
                                   .definition = subscription->definition});
    return subscription;
}

void hub_unsubscribe(struct hub *hub, struct subscription *subscription)
{
    if (--subscription->references > 0)
        return;
    struct definition *definition = subscription->definition;
    hub_tell(hub, &(struct change){.kind = CHANGE_SUBSCRIPTION_CLOSE, .number = definition->id});
    map_remove(&hub->subscriptions_by_key, subscription->key);
    hub->subscriptions[definition->id] = NULL;
    if (definition->id < hub->free_subscription_id)
        hub->free_subscription_id = definition->id;
    for (uint32_t i = 0; i < definition->channel_count; i++) {
        struct channel *channel = subscription->channels[i];
        if (definition->channels[i].slot >= 0)
            channel_detach(channel, (uint32_t)definition->channels[i].slot);
        channel->subscriptions--;
        hub_release(hub, channel);
    }
    group_unref(hub, subscription->group);
    definition_unref(definition);
    free((char *)subscription->key.data);
    free(subscription);
}

struct subscription *hub_subscription(const struct hub *hub, uint32_t id)
{
    return id < hub->subscription_capacity ? hub->subscriptions[id] : NULL;
}

void hub_count_subscribers(struct hub *hub, const struct subscription *subscription, int change)
{
    (void)hub;
    for (uint32_t i = 0; i < subscription->definition->channel_count; i++)
        subscription->channels[i]->subscribers += (uint32_t)change;
}

/* Judging what was published before a group came */

static void judge_channel(struct hub *hub, struct channel *channel, uint32_t slot,
                          uint64_t sequence)
{
    struct channel_group *entry = &channel->groups[slot];
    if (entry->judged_from <= sequence)
        return;
    log_reserve_slot(&channel->log, slot);
    for (uint32_t i = log_after(&channel->log, sequence); i < channel->log.count; i++) {
        struct log_entry *at = log_at(&channel->log, i);
        if (at->sequence > entry->judged_from)
            break;
        if (at->frame == NULL)
            continue;
        bool verdict = hub->listener.judge(hub->listener.context, entry->group, at->frame);
        log_set_verdict(&channel->log, i, slot, verdict);
        hub_tell(hub, &(struct change){.kind = CHANGE_VERDICT,
                                       .channel = channel->id,
                                       .number = slot * 2 + verdict,
                                       .sequence = at->sequence});
    }
    entry->judged_from = sequence;
}

void hub_judge(struct hub *hub, struct subscription *subscription, uint64_t sequence)
{
    const struct definition *definition = subscription->definition;
    for (uint32_t i = 0; i < definition->channel_count; i++) {
        if (definition->channels[i].slot >= 0)
            judge_channel(hub, subscription->channels[i], (uint32_t)definition->channels[i].slot,
                          sequence);
    }
}

/* Starting points */

static bool parse_number(struct slice text, int64_t *out)
{
    int64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!isdigit((unsigned char)text.data[i]) || value > INT64_MAX / 100)
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *out = value;
    return text.length > 0;
}

/* "10m", "500ms", "90" (seconds), in milliseconds. */
static bool parse_duration(struct slice text, int64_t *out)
{
    static const struct {
        const char *unit;
        int64_t milliseconds;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    size_t digits = 0;
    while (digits < text.length && isdigit((unsigned char)text.data[digits]))
        digits++;
    int64_t value;
    if (digits > 9 || !parse_number(slice_of(text.data, digits), &value))
        return false;
    struct slice unit = slice_of(text.data + digits, text.length - digits);
    if (unit.length == 0)
        unit = slice_text("s");
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (slice_equal(unit, slice_text(units[i].unit))) {
            *out = value * units[i].milliseconds;
            return true;
        }
    }
    return false;
}

bool start_parse(struct slice text, int64_t now, struct start *out)
{
    struct start id = {.kind = START_ID, .id = text};
    *out = id;
    if (slice_equal(text, slice_text("earliest"))) {
        out->kind = START_EARLIEST;
    } else if (slice_equal(text, slice_text("latest"))) {
        out->kind = START_LATEST;
    } else if (slice_starts_with(text, "last=")) {
        out->kind = START_LAST;
        if (!parse_number(slice_of(text.data + 5, text.length - 5), &out->number))
            return *out = id, false;
    } else if (slice_starts_with(text, "since=")) {
        out->kind = START_SINCE;
        if (!parse_duration(slice_of(text.data + 6, text.length - 6), &out->number))
            return *out = id, false;
        out->number = now - out->number;
    }
    return true;
}

/* Walks the subscription's events backwards, newest first, over all its channels. */
struct backward {
    struct subscription *subscription;
    uint32_t *positions; /* per channel: how many entries are still before us */
};

static void backward_init(struct backward *walk, struct subscription *subscription)
{
    uint32_t count = subscription->definition->channel_count;
    walk->subscription = subscription;
    walk->positions = memory_new((count + 1) * sizeof *walk->positions);
    for (uint32_t i = 0; i < count; i++)
        walk->positions[i] =
            channel_keeps(subscription->channels[i]) ? subscription->channels[i]->log.count : 0;
}

static bool passes(const struct definition *definition, uint32_t index, const struct log *log,
                   uint32_t position)
{
    int32_t slot = definition->channels[index].slot;
    const struct frame *frame = log_at(log, position)->frame;
    return frame != NULL && (slot < 0 || log_verdict(log, position, (uint32_t)slot)) &&
           definition_wants(definition, frame);
}

/* The next older event that the subscription lets through, or NULL. */
static struct frame *backward_next(struct backward *walk)
{
    const struct definition *definition = walk->subscription->definition;
    for (;;) {
        uint32_t newest = definition->channel_count;
        uint64_t sequence = 0;
        for (uint32_t i = 0; i < definition->channel_count; i++) {
            const struct log *log = &walk->subscription->channels[i]->log;
            if (walk->positions[i] == 0 ||
                log_at(log, walk->positions[i] - 1)->sequence <= sequence)
                continue;
            newest = i;
            sequence = log_at(log, walk->positions[i] - 1)->sequence;
        }
        if (newest == definition->channel_count)
            return NULL;
        const struct log *log = &walk->subscription->channels[newest]->log;
        uint32_t position = --walk->positions[newest];
        if (passes(definition, newest, log, position))
            return log_at(log, position)->frame;
    }
}

static uint64_t cursor_of_last(struct hub *hub, struct subscription *subscription, int64_t *count)
{
    struct backward walk;
    uint64_t cursor = hub->appended;
    struct frame *frame;
    backward_init(&walk, subscription);
    for (; *count > 0 && (frame = backward_next(&walk)) != NULL; --*count)
        cursor = frame->sequence - 1;
    free(walk.positions);
    return cursor;
}

static uint64_t cursor_of_time(struct hub *hub, struct subscription *subscription, int64_t time)
{
    struct backward walk;
    uint64_t cursor = hub->appended;
    struct frame *frame;
    backward_init(&walk, subscription);
    while ((frame = backward_next(&walk)) != NULL && frame->time >= time)
        cursor = frame->sequence - 1;
    free(walk.positions);
    return cursor;
}

/* Splits "epoch-17". False when the text does not have that shape. */
static bool parse_id(struct slice text, struct slice *epoch, uint64_t *sequence)
{
    size_t dash = 0;
    while (dash < text.length && isalnum((unsigned char)text.data[dash]))
        dash++;
    int64_t number;
    if (dash == 0 || dash > HUB_EPOCH_MAX || dash + 1 >= text.length || text.data[dash] != '-' ||
        !parse_number(slice_of(text.data + dash + 1, text.length - dash - 1), &number))
        return false;
    *epoch = slice_of(text.data, dash);
    *sequence = (uint64_t)number;
    return true;
}

static uint64_t find_own_id(struct subscription *subscription, struct slice id)
{
    uint64_t sequence = 0;
    for (uint32_t i = 0; i < subscription->definition->channel_count; i++) {
        const struct log_entry *entry = log_find_id(&subscription->channels[i]->log, id);
        if (entry != NULL && entry->sequence > sequence)
            sequence = entry->sequence;
    }
    return sequence;
}

/* True when retention took an event that a reader at `sequence` has not had. Channels that keep no
 * history promise no resumption. */
static bool has_evicted_after(const struct subscription *subscription, uint64_t sequence)
{
    for (uint32_t i = 0; i < subscription->definition->channel_count; i++) {
        const struct channel *channel = subscription->channels[i];
        uint64_t evicted = channel->stored > 0 ? channel->stored_evicted : channel->log.evicted;
        if (channel_keeps(channel) && evicted > sequence)
            return true;
    }
    return false;
}

static void resolve_sequence(struct hub *hub, const struct subscription *subscription,
                             uint64_t sequence, struct start_result *out)
{
    if (sequence > hub->appended)
        out->reset = RESET_UNKNOWN;
    else if (has_evicted_after(subscription, sequence))
        out->reset = RESET_EVICTED;
    out->cursor = out->reset == RESET_NONE ? sequence : 0;
}

static void resolve_id(struct hub *hub, struct subscription *subscription, struct slice id,
                       struct start_result *out)
{
    struct slice epoch = {0};
    uint64_t sequence = 0;
    bool shaped = parse_id(id, &epoch, &sequence);
    bool ours = shaped && slice_equal(epoch, slice_text(hub->epoch));
    if (!ours) {
        sequence = find_own_id(subscription, id);
        if (sequence == 0)
            out->reset = shaped ? RESET_EPOCH : RESET_UNKNOWN;
    }
    if (out->reset == RESET_NONE)
        resolve_sequence(hub, subscription, sequence, out);
}

static bool is_deep(const struct subscription *subscription, uint64_t cursor)
{
    for (uint32_t i = 0; i < subscription->definition->channel_count; i++) {
        const struct channel *channel = subscription->channels[i];
        if (channel->stored > 0 && channel->log.evicted > cursor &&
            channel->log.evicted > channel->stored_evicted)
            return true;
    }
    return false;
}

static bool any_keeps(const struct subscription *subscription)
{
    for (uint32_t i = 0; i < subscription->definition->channel_count; i++) {
        if (channel_keeps(subscription->channels[i]))
            return true;
    }
    return false;
}

static uint64_t oldest_of(const struct subscription *subscription)
{
    uint64_t oldest = 0;
    for (uint32_t i = 0; i < subscription->definition->channel_count; i++) {
        const struct log *log = &subscription->channels[i]->log;
        if (log->count > 0 && (oldest == 0 || log_at(log, 0)->sequence < oldest))
            oldest = log_at(log, 0)->sequence;
    }
    return oldest;
}

void subscription_resolve(struct hub *hub, struct subscription *subscription,
                          const struct start *start, struct start_result *out)
{
    *out = (struct start_result){.oldest = oldest_of(subscription), .latest = hub->appended};
    if (start->kind != START_LATEST && subscription->group != NULL)
        hub_judge(hub, subscription, 0);
    switch (any_keeps(subscription) ? start->kind : START_LATEST) {
    case START_LATEST:
        out->cursor = hub->appended;
        break;
    case START_EARLIEST:
        out->cursor = 0;
        break;
    case START_LAST:
        out->wanted = start->number;
        out->cursor = cursor_of_last(hub, subscription, &out->wanted);
        break;
    case START_SINCE:
        out->cursor = cursor_of_time(hub, subscription, start->number);
        break;
    case START_SEQUENCE:
        resolve_sequence(hub, subscription, (uint64_t)start->number, out);
        break;
    case START_ID:
        resolve_id(hub, subscription, start->id, out);
        break;
    }
    out->deep = is_deep(subscription, out->cursor);
}

const char *reset_reason_name(enum reset_reason reason)
{
    static const char *const names[] = {"", "evicted", "unknown", "epoch", "lagged"};
    return names[reason];
}
