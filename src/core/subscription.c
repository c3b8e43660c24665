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

static void append_texts(struct buffer *key, const struct slice *texts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_format(key, "%zu:", texts[i].length);
        buffer_append_slice(key, texts[i]);
    }
    buffer_append_byte(key, ';');
}

/* Lengths stand before texts, so two different sources never have the same key. */
static void build_key(struct buffer *key, const struct subscription_source *source)
{
    buffer_append_format(key, "%d,%" PRIu32 ",%" PRIu32 ";", source->chunked, source->heartbeat,
                         source->route);
    for (uint32_t i = 0; i < source->channel_count; i++)
        buffer_append_format(key, "%" PRIx32 ",", source->channels[i]->id);
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
        log_clear_slot(&channel->log, slot);
        hub_tell(hub,
                 &(struct change){.kind = CHANGE_SLOT, .channel = channel->id, .number = slot});
    }
    return (int32_t)slot;
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
    channel->subscribers += subscription->subscribers;
    subscription->channels[subscription->channel_count++] =
        (struct subscription_channel){channel, slot, by_pattern};
    hub_tell(hub, &(struct change){.kind = CHANGE_SUBSCRIPTION_ADD,
                                   .channel = channel->id,
                                   .number = subscription->definition->id,
                                   .sequence = (uint64_t)(slot + 1)});
}

/* The channel is not told to the listener, and not released. */
static void drop_channel(struct subscription *subscription, uint32_t index)
{
    struct subscription_channel *link = &subscription->channels[index];
    if (link->slot >= 0)
        channel_detach(link->channel, (uint32_t)link->slot);
    if (link->by_pattern)
        link->channel->patterns--;
    else
        link->channel->subscriptions--;
    link->channel->subscribers -= subscription->subscribers;
    *link = subscription->channels[--subscription->channel_count];
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
        drop_channel(subscription, i);
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
        drop_channel(subscription, subscription->channel_count - 1);
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
    (void)hub;
    subscription->subscribers += (uint32_t)change;
    for (uint32_t i = 0; i < subscription->channel_count; i++)
        subscription->channels[i].channel->subscribers += (uint32_t)change;
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
}

void hub_judge(struct hub *hub, struct subscription *subscription, uint64_t sequence)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct subscription_channel *link = &subscription->channels[i];
        if (link->slot >= 0)
            judge_channel(hub, link->channel, (uint32_t)link->slot, sequence);
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
    uint32_t count = subscription->channel_count;
    walk->subscription = subscription;
    walk->positions = memory_new((count + 1) * sizeof *walk->positions);
    for (uint32_t i = 0; i < count; i++) {
        const struct channel *channel = subscription->channels[i].channel;
        walk->positions[i] = channel_keeps(channel) ? channel->log.count : 0;
    }
}

/* The next older event that the subscription lets through, or NULL. */
static struct frame *backward_next(struct backward *walk)
{
    const struct subscription *subscription = walk->subscription;
    for (;;) {
        uint32_t newest = subscription->channel_count;
        uint64_t sequence = 0;
        for (uint32_t i = 0; i < subscription->channel_count; i++) {
            const struct log *log = &subscription->channels[i].channel->log;
            if (walk->positions[i] == 0 ||
                log_at(log, walk->positions[i] - 1)->sequence <= sequence)
                continue;
            newest = i;
            sequence = log_at(log, walk->positions[i] - 1)->sequence;
        }
        if (newest == subscription->channel_count)
            return NULL;
        const struct subscription_channel *link = &subscription->channels[newest];
        struct frame *frame = log_frame(&link->channel->log, --walk->positions[newest], link->slot);
        if (frame != NULL && definition_wants(subscription->definition, frame))
            return frame;
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
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct log_entry *entry = log_find_id(&subscription->channels[i].channel->log, id);
        if (entry != NULL && entry->sequence > sequence)
            sequence = entry->sequence;
    }
    return sequence;
}

/* True when retention took an event that a reader at `sequence` has not had. Channels that keep no
 * history promise no resumption. */
static bool has_evicted_after(const struct subscription *subscription, uint64_t sequence)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct channel *channel = subscription->channels[i].channel;
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
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct channel *channel = subscription->channels[i].channel;
        if (channel->stored > 0 && channel->log.evicted > cursor &&
            channel->log.evicted > channel->stored_evicted)
            return true;
    }
    return false;
}

static bool any_keeps(const struct subscription *subscription)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        if (channel_keeps(subscription->channels[i].channel))
            return true;
    }
    return false;
}

static uint64_t oldest_of(const struct subscription *subscription)
{
    uint64_t oldest = 0;
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct log *log = &subscription->channels[i].channel->log;
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
