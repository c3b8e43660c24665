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
    frame_unref(channel->names);
    log_variants_free(channel->variants);
    log_deinit(&channel->log);
    free(channel->forgotten);
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
    channel->on_lag = (enum lag_policy)(change->number / 2);
    channel->keeps = change->number % 2;
    frame_unref(channel->names);
    channel->names = frame_ref(change->frame);
}

static void close_channel(struct replica *replica, uint32_t id)
{
    channel_deinit(replica->channels[id]);
    replica->channels[id] = NULL;
}

static void note_news(struct audience *audience, uint32_t index)
{
    if (audience->channels[index].has_news)
        return;
    audience->channels[index].has_news = true;
    if (audience->news_count == audience->news_capacity) {
        audience->news_capacity = audience->news_capacity == 0 ? 1 : audience->news_capacity * 2;
        audience->news =
            memory_grow(audience->news, audience->news_capacity * sizeof *audience->news);
    }
    audience->news[audience->news_count++] = index;
}

static void mark_dirty(struct replica *replica, struct replica_channel *channel)
{
    for (uint32_t i = 0; i < channel->audience_count; i++) {
        struct audience *audience = channel->audiences[i].audience;
        note_news(audience, channel->audiences[i].index);
        if (list_is_empty(&audience->dirty))
            list_append(&replica->dirty, &audience->dirty);
    }
}

static void append(struct replica *replica, struct change *change)
{
    struct replica_channel *channel = replica->channels[change->channel];
    log_append(&channel->log, change->frame, change_verdicts(change), change->words);
    log_append_variants(&channel->log, channel->variants);
    channel->variants = NULL;
    /* Events that are put back when a channel is opened are older than others' are. */
    if (change->frame->sequence > replica->sequence)
        replica->sequence = change->frame->sequence;
    mark_dirty(replica, channel);
}

static void evict_later(struct replica *replica, struct replica_channel *channel)
{
    channel->evicted_at = ++replica->evictions;
    if (list_is_empty(&channel->evicting))
        list_append(&replica->evicting, &channel->evicting);
}

static void evict(struct replica *replica, const struct change *change)
{
    struct replica_channel *channel = replica->channels[change->channel];
    channel->evict_to = change->sequence;
    evict_later(replica, channel);
}

static void forget(struct replica *replica, const struct change *change)
{
    struct replica_channel *channel = replica->channels[change->channel];
    if (channel->forgotten_count == channel->forgotten_capacity) {
        channel->forgotten_capacity =
            channel->forgotten_capacity == 0 ? 4 : channel->forgotten_capacity * 2;
        channel->forgotten =
            memory_grow(channel->forgotten, channel->forgotten_capacity * sizeof(uint64_t));
    }
    channel->forgotten[channel->forgotten_count++] = change->sequence;
    evict_later(replica, channel);
}

/* For an event in the log, or for the one that comes next. */
static void set_variant(struct replica *replica, const struct change *change)
{
    struct replica_channel *channel = replica->channels[change->channel];
    uint32_t position = log_after(&channel->log, change->sequence - 1);
    if (position == channel->log.count)
        log_variant_push(&channel->variants, change->number, change->frame);
    else if (log_at(&channel->log, position)->sequence == change->sequence)
        log_set_variant(&channel->log, position, change->number, change->frame);
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

static uint32_t link_audience(struct replica_channel *channel, struct audience *audience,
                              uint32_t index)
{
    if (channel->audience_count == channel->audience_capacity) {
        channel->audience_capacity =
            channel->audience_capacity == 0 ? 1 : channel->audience_capacity * 2;
        channel->audiences = memory_grow(channel->audiences,
                                         channel->audience_capacity * sizeof *channel->audiences);
    }
    channel->audiences[channel->audience_count] = (struct channel_audience){audience, index};
    return channel->audience_count++;
}

static void unlink_audience(const struct audience_channel *link)
{
    struct replica_channel *channel = link->channel;
    struct channel_audience last = channel->audiences[--channel->audience_count];
    channel->audiences[link->position] = last;
    last.audience->channels[last.index].position = link->position;
}

static void open_audience(struct replica *replica, struct definition *definition)
{
    struct audience *audience = memory_zero(1, sizeof *audience);
    audience->definition = definition_ref(definition);
    audience->replica = replica;
    audience->cursor = replica->sequence;
    list_init(&audience->dirty);
    list_init(&audience->behind);
    *slot_for((void ***)&replica->audiences, &replica->audience_capacity, definition->id) =
        audience;
    if (replica->opened != NULL)
        replica->opened(replica->context, audience);
}

static void add_channel(struct replica *replica, const struct change *change)
{
    struct audience *audience = replica->audiences[change->number];
    struct replica_channel *channel = replica->channels[change->channel];
    if (audience->channel_count == audience->channel_capacity) {
        audience->channel_capacity =
            audience->channel_capacity == 0 ? 1 : audience->channel_capacity * 2;
        audience->channels = memory_grow(audience->channels,
                                         audience->channel_capacity * sizeof *audience->channels);
    }
    uint32_t index = audience->channel_count++;
    audience->channels[index] =
        (struct audience_channel){.channel = channel,
                                  .slot = (int32_t)change->sequence - 1,
                                  .position = link_audience(channel, audience, index)};
}

/* Those behind may have needed what the channel had. What they are told of is the last one that
 * went. */
static void remember_gone(struct audience *audience, const struct replica_channel *channel)
{
    struct replica_channel *gone = audience->gone;
    uint64_t lost = channel->log.evicted;
    uint64_t evicted = channel->evict_to > lost ? channel->evict_to : lost;
    if (list_is_empty(&audience->behind) || evicted == 0)
        return;
    if (gone == NULL) {
        gone = audience->gone = memory_zero(1, sizeof *gone);
        list_init(&gone->evicting);
    }
    gone->id = channel->id;
    gone->on_lag = channel->on_lag;
    gone->keeps |= channel->keeps;
    gone->evicted_at = channel->evicted_at;
    if (evicted > gone->log.evicted)
        gone->log.evicted = evicted;
    frame_unref(gone->names);
    gone->names = frame_ref(channel->names);
}

/* The last channel takes the place of the one that goes. */
static void remove_channel(struct replica *replica, const struct change *change)
{
    struct audience *audience = replica->audiences[change->number];
    uint32_t index = 0;
    while (audience->channels[index].channel->id != change->channel)
        index++;
    if (audience->channels[index].has_news && replica->removing != NULL)
        replica->removing(replica->context, audience);
    remember_gone(audience, audience->channels[index].channel);
    unlink_audience(&audience->channels[index]);
    uint32_t last = --audience->channel_count;
    if (index != last) {
        audience->channels[index] = audience->channels[last];
        struct audience_channel *moved = &audience->channels[index];
        moved->channel->audiences[moved->position].index = index;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < audience->news_count; i++) {
        uint32_t news = audience->news[i];
        if (news != index)
            audience->news[kept++] = news == last ? index : news;
    }
    audience->news_count = kept;
}

static void free_audience(struct replica *replica, struct audience *audience)
{
    if (replica->closing != NULL)
        replica->closing(replica->context, audience);
    replica->audiences[audience->definition->id] = NULL;
    for (uint32_t i = 0; i < audience->channel_count; i++)
        unlink_audience(&audience->channels[i]);
    list_remove(&audience->dirty);
    if (audience->gone != NULL)
        channel_deinit(audience->gone);
    definition_unref(audience->definition);
    free(audience->channels);
    free(audience->news);
    free(audience->members);
    free(audience);
}

static void end_streams(struct replica *replica, const struct replica_channel *channel)
{
    for (uint32_t i = 0; i < channel->audience_count; i++)
        replica->ending(replica->context, channel->audiences[i].audience);
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
    case CHANGE_FORGET:
        forget(replica, change);
        break;
    case CHANGE_VARIANT:
        set_variant(replica, change);
        break;
    case CHANGE_VERDICT:
        set_verdict(replica, change);
        break;
    case CHANGE_SLOT:
        log_clear_slot(&replica->channels[change->channel]->log, change->number);
        break;
    case CHANGE_SUBSCRIPTION_OPEN:
        open_audience(replica, change->definition);
        break;
    case CHANGE_SUBSCRIPTION_ADD:
        add_channel(replica, change);
        break;
    case CHANGE_SUBSCRIPTION_REMOVE:
        remove_channel(replica, change);
        break;
    case CHANGE_SUBSCRIPTION_END:
        replica->leaving(replica->context, replica->audiences[change->number]);
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
        for (uint32_t i = 0; i < channel->forgotten_count; i++)
            log_forget(&channel->log, channel->forgotten[i]);
        channel->forgotten_count = 0;
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
