#include "core/replica.h"

#include <stdlib.h>

#include "base/memory.h"

void replica_init(struct replica *replica)
{
    *replica = (struct replica){0};
    list_init(&replica->dirty);
    list_init(&replica->evicting);
}

/* Channels */

static void channel_deinit(struct replica_channel *channel)
{
    list_remove(&channel->evicting);
    frame_unref(channel->reset_name);
    log_deinit(&channel->log);
    free(channel->audiences);
    free(channel);
}

static void **slot_for(void ***table, uint32_t *capacity, uint32_t id)
{
    if (id >= *capacity) {
        uint32_t wanted = *capacity == 0 ? 64 : *capacity;
        while (wanted <= id)
            wanted *= 2;
        *table = memory_grow(*table, wanted * sizeof **table);
        memset(*table + *capacity, 0, (wanted - *capacity) * sizeof **table);
        *capacity = wanted;
    }
    return *table + id;
}

static void open_channel(struct replica *replica, const struct change *change)
{
    void **slot =
        slot_for((void ***)&replica->channels, &replica->channel_capacity, change->channel);
    if (*slot == NULL) {
        struct replica_channel *channel = memory_zero(1, sizeof *channel);
        channel->id = change->channel;
        list_init(&channel->evicting);
        *slot = channel;
    }
    struct replica_channel *channel = *slot;
    channel->on_lag = (enum lag_policy)change->number;
    frame_unref(channel->reset_name);
    channel->reset_name = change->frame == NULL ? NULL : frame_ref(change->frame);
}

static void close_channel(struct replica *replica, uint32_t id)
{
    channel_deinit(replica->channels[id]);
    replica->channels[id] = NULL;
}

static void mark_dirty(struct replica *replica, struct replica_channel *channel)
{
    for (uint32_t i = 0; i < channel->audience_count; i++) {
        struct audience *audience = channel->audiences[i];
        if (list_is_empty(&audience->dirty))
            list_append(&replica->dirty, &audience->dirty);
    }
}

static void append(struct replica *replica, struct change *change)
{
    struct replica_channel *channel = replica->channels[change->channel];
    log_append(&channel->log, change->frame, change_verdicts(change), change->words);
    /* Events that are put back when a channel is opened are older than others' are. */
    if (change->frame->sequence > replica->sequence)
        replica->sequence = change->frame->sequence;
    mark_dirty(replica, channel);
}

static void evict(struct replica *replica, const struct change *change)
{
    struct replica_channel *channel = replica->channels[change->channel];
    channel->evict_to = change->sequence;
    if (list_is_empty(&channel->evicting))
        list_append(&replica->evicting, &channel->evicting);
}

static void set_verdict(struct replica *replica, const struct change *change)
{
    struct log *log = &replica->channels[change->channel]->log;
    uint32_t slot = change->number / 2;
    log_reserve_slot(log, slot);
    uint32_t position = log_after(log, change->sequence - 1);
    if (position < log->count && log_at(log, position)->sequence == change->sequence)
        log_set_verdict(log, position, slot, change->number % 2);
}

/* Audiences */

static void link_audience(struct replica_channel *channel, struct audience *audience)
{
    if (channel->audience_count == channel->audience_capacity) {
        channel->audience_capacity =
            channel->audience_capacity == 0 ? 1 : channel->audience_capacity * 2;
        channel->audiences =
            memory_grow(channel->audiences, channel->audience_capacity * sizeof(struct audience *));
    }
    channel->audiences[channel->audience_count++] = audience;
}

static void unlink_audience(struct replica_channel *channel, const struct audience *audience)
{
    for (uint32_t i = 0; i < channel->audience_count; i++) {
        if (channel->audiences[i] == audience) {
            channel->audiences[i] = channel->audiences[--channel->audience_count];
            return;
        }
    }
}

static void open_audience(struct replica *replica, struct definition *definition)
{
    uint32_t count = definition->channel_count;
    struct audience *audience =
        memory_zero(1, sizeof *audience + count * sizeof audience->channels[0]);
    audience->definition = definition_ref(definition);
    audience->replica = replica;
    audience->cursor = replica->sequence;
    list_init(&audience->dirty);
    list_init(&audience->behind);
    for (uint32_t i = 0; i < count; i++) {
        struct definition_channel source = definition->channels[i];
        struct replica_channel *channel = replica->channels[source.channel];
        audience->channels[i] = (struct audience_channel){channel, source.slot};
        link_audience(channel, audience);
    }
    *slot_for((void ***)&replica->audiences, &replica->audience_capacity, definition->id) =
        audience;
    if (replica->opened != NULL)
        replica->opened(replica->context, audience);
}

static void free_audience(struct replica *replica, struct audience *audience)
{
    if (replica->closing != NULL)
        replica->closing(replica->context, audience);
    replica->audiences[audience->definition->id] = NULL;
    for (uint32_t i = 0; i < audience->definition->channel_count; i++)
        unlink_audience(audience->channels[i].channel, audience);
    list_remove(&audience->dirty);
    definition_unref(audience->definition);
    free(audience->members);
    free(audience);
}

static void end_streams(struct replica *replica, const struct replica_channel *channel)
{
    for (uint32_t i = 0; i < channel->audience_count; i++)
        replica->ending(replica->context, channel->audiences[i]);
}

struct audience *replica_audience(const struct replica *replica, uint32_t subscription)
{
    return subscription < replica->audience_capacity ? replica->audiences[subscription] : NULL;
}

/* Changes */

void replica_apply(struct replica *replica, struct change *change)
{
    switch ((enum change_kind)change->kind) {
    case CHANGE_EPOCH:
        frame_unref(replica->epoch);
        replica->epoch = frame_ref(change->frame);
        break;
    case CHANGE_CHANNEL_OPEN:
        open_channel(replica, change);
        break;
    case CHANGE_CHANNEL_CLOSE:
        close_channel(replica, change->channel);
        break;
    case CHANGE_APPEND:
        append(replica, change);
        break;
    case CHANGE_EVICT:
        evict(replica, change);
        break;
    case CHANGE_SUPERSEDE:
        log_supersede(&replica->channels[change->channel]->log, change->sequence);
        break;
    case CHANGE_VERDICT:
        set_verdict(replica, change);
        break;
    case CHANGE_SUBSCRIPTION_OPEN:
        open_audience(replica, change->definition);
        break;
    case CHANGE_SUBSCRIPTION_CLOSE:
        free_audience(replica, replica->audiences[change->number]);
        break;
    case CHANGE_END_STREAMS:
        end_streams(replica, replica->channels[change->channel]);
        break;
    }
    change_deinit(change);
}

void replica_settle(struct replica *replica)
{
    while (!list_is_empty(&replica->evicting)) {
        struct replica_channel *channel =
            CONTAINER_OF(replica->evicting.next, struct replica_channel, evicting);
        list_remove(&channel->evicting);
        log_evict(&channel->log, channel->evict_to);
    }
}

void replica_deinit(struct replica *replica)
{
    for (uint32_t i = 0; i < replica->audience_capacity; i++) {
        if (replica->audiences[i] != NULL)
            free_audience(replica, replica->audiences[i]);
    }
    for (uint32_t i = 0; i < replica->channel_capacity; i++) {
        if (replica->channels[i] != NULL)
            channel_deinit(replica->channels[i]);
    }
    frame_unref(replica->epoch);
    free(replica->audiences);
    free(replica->channels);
}

/* Subscribers */

void audience_add(struct audience *audience, struct subscriber *subscriber, uint64_t cursor)
{
    *subscriber =
        (struct subscriber){.audience = audience, .index = SUBSCRIBER_BEHIND, .cursor = cursor};
    list_append(&audience->behind, &subscriber->behind);
}

static void leave_members(struct subscriber *subscriber)
{
    struct audience *audience = subscriber->audience;
    struct member last = audience->members[--audience->member_count];
    audience->members[subscriber->index] = last;
    last.subscriber->index = subscriber->index;
    if (audience->member_capacity > 64 && audience->member_count * 4 < audience->member_capacity) {
        audience->member_capacity /= 2;
        audience->members =
            memory_grow(audience->members, audience->member_capacity * sizeof(struct member));
    }
}

void audience_remove(struct subscriber *subscriber)
{
    if (subscriber->audience == NULL)
        return;
    if (subscriber_is_in_step(subscriber))
        leave_members(subscriber);
    else
        list_remove(&subscriber->behind);
    frame_unref(subscriber->partial);
    subscriber->partial = NULL;
    subscriber->audience = NULL;
}

void audience_catch_up(struct subscriber *subscriber, int descriptor)
{
    struct audience *audience = subscriber->audience;
    if (audience->member_count == audience->member_capacity) {
        audience->member_capacity =
            audience->member_capacity == 0 ? 1 : audience->member_capacity * 2;
        audience->members =
            memory_grow(audience->members, audience->member_capacity * sizeof(struct member));
    }
    list_remove(&subscriber->behind);
    subscriber->index = audience->member_count++;
    audience->members[subscriber->index] = (struct member){descriptor, subscriber};
    /* Who catches up has had all there is; an audience with unsent news is served first. */
    audience->cursor = subscriber->cursor;
}

void audience_fall_behind(struct subscriber *subscriber, uint64_t cursor)
{
    leave_members(subscriber);
    subscriber->index = SUBSCRIBER_BEHIND;
    subscriber->cursor = cursor;
    list_append(&subscriber->audience->behind, &subscriber->behind);
}

/* Reading */

static bool passes(const struct audience *audience, const struct audience_channel *source,
                   uint32_t position)
{
    const struct log *log = &source->channel->log;
    const struct frame *frame = log_at(log, position)->frame;
    return frame != NULL &&
           (source->slot < 0 || log_verdict(log, position, (uint32_t)source->slot)) &&
           definition_wants(audience->definition, frame);
}

static uint32_t collect_one(const struct audience *audience, uint64_t *cursor,
                            struct frame **frames, uint32_t max)
{
    const struct audience_channel *source = &audience->channels[0];
    const struct log *log = &source->channel->log;
    uint32_t found = 0;
    uint32_t position = log_after(log, *cursor);
    for (; position < log->count && found < max; position++) {
        if (passes(audience, source, position))
            frames[found++] = log_at(log, position)->frame;
        *cursor = log_at(log, position)->sequence;
    }
    if (position == log->count)
        *cursor = audience->replica->sequence;
    return found;
}

/* A merge of the channels' logs by sequence. */
static uint32_t collect_merged(const struct audience *audience, uint64_t *cursor,
                               struct frame **frames, uint32_t max)
{
    uint32_t count = audience->definition->channel_count;
    uint32_t found = 0;
    uint32_t local[64];
    uint32_t *positions = count <= 64 ? local : memory_new(count * sizeof *positions);
    for (uint32_t i = 0; i < count; i++)
        positions[i] = log_after(&audience->channels[i].channel->log, *cursor);
    while (found < max) {
        uint32_t next = count;
        uint64_t lowest = UINT64_MAX;
        for (uint32_t i = 0; i < count; i++) {
            const struct log *log = &audience->channels[i].channel->log;
            if (positions[i] < log->count && log_at(log, positions[i])->sequence < lowest) {
                next = i;
                lowest = log_at(log, positions[i])->sequence;
            }
        }
        if (next == count) {
            *cursor = audience->replica->sequence;
            break;
        }
        if (passes(audience, &audience->channels[next], positions[next]))
            frames[found++] =
                log_at(&audience->channels[next].channel->log, positions[next])->frame;
        positions[next]++;
        *cursor = lowest;
    }
    if (positions != local)
        free(positions);
    return found;
}

uint32_t audience_collect(const struct audience *audience, uint64_t *cursor, struct frame **frames,
                          uint32_t max)
{
    if (audience->definition->channel_count == 1)
        return collect_one(audience, cursor, frames, max);
    return collect_merged(audience, cursor, frames, max);
}

bool audience_is_at_end(const struct audience *audience, uint64_t cursor)
{
    for (uint32_t i = 0; i < audience->definition->channel_count; i++) {
        if (log_last(&audience->channels[i].channel->log) > cursor)
            return false;
    }
    return true;
}

const struct replica_channel *audience_lag(const struct audience *audience, uint64_t cursor)
{
    for (uint32_t i = 0; i < audience->definition->channel_count; i++) {
        const struct replica_channel *channel = audience->channels[i].channel;
        if (channel->log.evicted > cursor)
            return channel;
    }
    return NULL;
}
