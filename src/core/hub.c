/* Channels, sequence and retention. Subscriptions are in subscription.c. */
#include "core/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"

void hub_make_epoch(char *out)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    struct timespec now;
    uint32_t noise = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    if (getrandom(&noise, sizeof noise, GRND_NONBLOCK) < 0)
        noise = (uint32_t)now.tv_nsec;
    uint64_t value = (uint64_t)now.tv_sec * 1296 + noise % 1296;
    char text[HUB_EPOCH_MAX + 1];
    int length = 0;
    for (; value > 0; value /= 36)
        text[length++] = digits[value % 36];
    for (int i = 0; i < length; i++)
        out[i] = text[length - 1 - i];
    out[length] = '\0';
}

void hub_init(struct hub *hub, const struct hub_limits *limits, const struct hub_listener *listener,
              const char *epoch)
{
    *hub = (struct hub){.limits = *limits, .listener = *listener};
    pattern_tree_init(&hub->patterns);
    departed_init(&hub->departed);
    hub->observer_generation = 1;
    snprintf(hub->epoch, sizeof hub->epoch, "%s", epoch);
    for (int i = 0; i < HUB_SIZE_CLASSES; i++)
        list_init(&hub->by_size[i]);
}

void hub_deinit(struct hub *hub)
{
    for (uint32_t i = 0; i < hub->subscription_capacity; i++) {
        struct subscription *subscription = hub->subscriptions[i];
        if (subscription == NULL)
            continue;
        subscription->references = 1;
        hub_unsubscribe(hub, subscription);
    }
    for (uint32_t i = 0; i < hub->channel_capacity; i++) {
        if (hub->channels[i] != NULL)
            channel_free(hub->channels[i]);
    }
    free(hub->subscriptions);
    free(hub->channels);
    map_deinit(&hub->channels_by_name);
    map_deinit(&hub->subscriptions_by_key);
    map_deinit(&hub->groups_by_key);
    pattern_tree_deinit(&hub->patterns);
    departed_deinit(&hub->departed);
    heap_deinit(&hub->expiry);
}

void hub_tell(struct hub *hub, const struct change *change)
{
    hub->listener.change(hub->listener.context, change);
}

struct channel *hub_find(const struct hub *hub, struct slice name)
{
    return map_get(&hub->channels_by_name, name);
}

struct channel *hub_channel(const struct hub *hub, uint32_t id, uint64_t handle)
{
    struct channel *channel = id < hub->channel_capacity ? hub->channels[id] : NULL;
    return channel != NULL && channel->handle == handle ? channel : NULL;
}

/* Retention */

static int size_class(size_t bytes)
{
    int class = bytes == 0 ? 0 : 64 - __builtin_clzll(bytes);
    return class < HUB_SIZE_CLASSES ? class : HUB_SIZE_CLASSES - 1;
}

/* To be called after every change of a channel's log, with its bytes before. */
static void account(struct hub *hub, struct channel *channel, size_t before)
{
    size_t after = channel->log.bytes;
    hub->bytes += after;
    hub->bytes -= before;
    if (size_class(before) != size_class(after) || list_is_empty(&channel->by_size)) {
        list_remove(&channel->by_size);
        if (after > 0)
            list_append(&hub->by_size[size_class(after)], &channel->by_size);
    }
    if (channel->options.max_age == 0 || log_length(&channel->log) == 0) {
        heap_remove(&hub->expiry, &channel->expiry);
        return;
    }
    uint32_t first = 0;
    while (log_at(&channel->log, first)->frame == NULL)
        first++;
    int64_t due = log_at(&channel->log, first)->frame->time + (int64_t)channel->options.max_age;
    heap_set(&hub->expiry, &channel->expiry, (uint64_t)due);
}

static void evict_oldest(struct hub *hub, struct channel *channel, uint64_t *counter)
{
    size_t before = channel->log.bytes;
    uint64_t sequence = channel_evict_oldest(channel);
    account(hub, channel, before);
    ++*counter;
    hub_tell(hub,
             &(struct change){.kind = CHANGE_EVICT, .channel = channel->id, .sequence = sequence});
}

/* A channel of the highest size class: within a factor of two of the biggest. */
static struct channel *biggest(struct hub *hub)
{
    for (int i = HUB_SIZE_CLASSES - 1; i > 0; i--) {
        if (!list_is_empty(&hub->by_size[i]))
            return CONTAINER_OF(hub->by_size[i].next, struct channel, by_size);
    }
    return NULL;
}

static void forget_tombstone(struct hub *hub, struct channel *channel)
{
    size_t before = channel->log.bytes;
    uint64_t sequence = channel_forget_tombstone(channel);
    account(hub, channel, before);
    hub->counters.tombstones++;
    hub_tell(hub,
             &(struct change){.kind = CHANGE_FORGET, .channel = channel->id, .sequence = sequence});
}

static void retain_own_bytes(struct hub *hub, struct channel *channel)
{
    const struct log *log = &channel->log;
    size_t limit = channel->options.max_bytes;
    while (limit > 0 && log->bytes > limit && log_length(log) > 0)
        evict_oldest(hub, channel, &hub->counters.evicted_bytes);
}

/* Channels but `used` go with their last event. */
static void retain_total_bytes(struct hub *hub, const struct channel *used)
{
    while (hub->bytes > hub->limits.total_bytes) {
        struct channel *victim = biggest(hub);
        if (victim == NULL)
            return;
        evict_oldest(hub, victim, &hub->counters.evicted_total);
        if (victim != used)
            hub_release(hub, victim);
    }
}

void hub_note_judgements(struct hub *hub, struct channel *channel, size_t before)
{
    account(hub, channel, before);
    retain_own_bytes(hub, channel);
}

void hub_retain(struct hub *hub)
{
    retain_total_bytes(hub, NULL);
}

static void retain(struct hub *hub, struct channel *channel)
{
    const struct channel_options *options = &channel->options;
    struct log *log = &channel->log;
    uint32_t history = options->history == 0 ? HUB_BACKLOG : options->history;
    while (channel->tombstones > history)
        forget_tombstone(hub, channel);
    while (!options->keyed && log_length(log) > history)
        evict_oldest(hub, channel, &hub->counters.evicted_count);
    retain_own_bytes(hub, channel);
    retain_total_bytes(hub, channel);
}

int64_t hub_expire(struct hub *hub, int64_t now)
{
    struct heap_node *node;
    while ((node = heap_first(&hub->expiry)) != NULL) {
        if ((int64_t)node->key > now)
            return (int64_t)node->key - now;
        struct channel *channel = CONTAINER_OF(node, struct channel, expiry);
        evict_oldest(hub, channel, &hub->counters.evicted_age);
        hub_release(hub, channel);
    }
    return -1;
}

/* Channels */

static void grow_channels(struct hub *hub)
{
    uint32_t capacity = hub->channel_capacity == 0 ? 64 : hub->channel_capacity * 2;
    hub->channels = memory_grow(hub->channels, capacity * sizeof(struct channel *));
    for (uint32_t i = hub->channel_capacity; i < capacity; i++)
        hub->channels[i] = NULL;
    hub->channel_capacity = capacity;
}

static void tell_channel(struct hub *hub, const struct channel *channel)
{
    const char *reset = channel->reset_name == NULL ? "reset" : channel->reset_name;
    struct frame *names = frame_new(
        &(struct frame_source){.name = slice_text(reset), .key = channel->name, .retry = -1});
    hub_tell(hub, &(struct change){.kind = CHANGE_CHANNEL_OPEN,
                                   .channel = channel->id,
                                   .number = channel->options.on_lag * 2 + channel_keeps(channel),
                                   .frame = names});
    frame_unref(names);
}

int hub_open(struct hub *hub, struct slice name, const struct channel_options *options,
             struct channel **out)
{
    *out = hub_find(hub, name);
    if (*out != NULL)
        return 0;
    if (hub->channel_count >= hub->limits.channels) {
        hub->counters.refused_channels++;
        return ERROR_CHANNEL_LIMIT;
    }
    while (hub->free_id < hub->channel_capacity && hub->channels[hub->free_id] != NULL)
        hub->free_id++;
    if (hub->free_id == hub->channel_capacity)
        grow_channels(hub);
    struct channel *channel = channel_new(name, hub->free_id++, options);
    uint64_t departed = departed_take(&hub->departed, name);
    channel->log.evicted = departed > hub->floor ? departed : hub->floor;
    channel->handle = ++hub->handles;
    hub->channels[channel->id] = channel;
    hub->channel_count++;
    map_put(&hub->channels_by_name, channel->name, channel);
    tell_channel(hub, channel);
    subscription_extend(hub, channel);
    *out = channel;
    return 0;
}

void hub_configure(struct hub *hub, struct channel *channel, const struct channel_options *options,
                   int64_t now)
{
    channel->options = *options;
    retain(hub, channel);
    account(hub, channel, channel->log.bytes);
    hub_expire(hub, now);
    tell_channel(hub, channel);
}

/* Whether anybody uses the channel, or could find something in it. */
static bool is_needed(const struct channel *channel)
{
    return channel->declared || channel->subscriptions > 0 || channel->pending > 0 ||
           log_length(&channel->log) > 0 || channel_is_deep(channel);
}

/* A reader who comes back to the channel must hear of what it has lost. */
static void remember(struct hub *hub, const struct channel *channel)
{
    if (!channel_keeps(channel) || channel->stored > 0 || channel->log.evicted <= hub->floor)
        return;
    uint64_t floor = departed_note(&hub->departed, channel->name, channel->log.evicted);
    hub->floor = floor > hub->floor ? floor : hub->floor;
}

void hub_release(struct hub *hub, struct channel *channel)
{
    if (is_needed(channel))
        return;
    remember(hub, channel);
    subscription_shorten(hub, channel);
    hub_tell(hub, &(struct change){.kind = CHANGE_CHANNEL_CLOSE, .channel = channel->id});
    map_remove(&hub->channels_by_name, channel->name);
    heap_remove(&hub->expiry, &channel->expiry);
    list_remove(&channel->by_size);
    hub->channels[channel->id] = NULL;
    hub->channel_count--;
    if (channel->id < hub->free_id)
        hub->free_id = channel->id;
    channel_free(channel);
}

void hub_count_lag(struct hub *hub, uint32_t id)
{
    hub->counters.lagged++;
    if (id < hub->channel_capacity && hub->channels[id] != NULL)
        hub->channels[id]->lagged++;
}

void hub_close(struct hub *hub, struct channel *channel)
{
    hub_tell(hub, &(struct change){.kind = CHANGE_END_STREAMS, .channel = channel->id});
    channel->declared = false;
    channel->handle = ++hub->handles;
    if (channel->options.max_age == 0 || channel->options.max_age > HUB_CLOSED_AGE)
        channel->options.max_age = HUB_CLOSED_AGE;
    account(hub, channel, channel->log.bytes);
    hub_release(hub, channel);
}

/* Publishing */

static void supersede(struct hub *hub, struct channel *channel, struct slice key)
{
    size_t before = channel->log.bytes;
    uint64_t sequence = channel_forget_key(channel, key);
    if (sequence == 0)
        return;
    account(hub, channel, before);
    hub->counters.superseded++;
    hub_tell(hub, &(struct change){
                      .kind = CHANGE_SUPERSEDE, .channel = channel->id, .sequence = sequence});
}

static void tell_variants(struct hub *hub, const struct channel *channel, uint64_t sequence,
                          const struct log_variant *variants)
{
    for (; variants != NULL; variants = variants->next)
        hub_tell(hub, &(struct change){.kind = CHANGE_VARIANT,
                                       .channel = channel->id,
                                       .number = variants->slot,
                                       .sequence = sequence,
                                       .frame = variants->frame});
}

static void append(struct hub *hub, struct channel *channel, struct frame *frame,
                   const uint64_t *verdicts, struct log_variant *variants)
{
    struct change change = {.kind = CHANGE_APPEND,
                            .channel = channel->id,
                            .frame = frame,
                            .words = verdicts == NULL ? 0 : channel_verdict_words(channel)};
    if (change.words > 1)
        change.verdicts = (uint64_t *)verdicts;
    else
        change.verdict = change.words == 1 ? verdicts[0] : 0;
    size_t before = channel->log.bytes;
    tell_variants(hub, channel, frame->sequence, variants);
    channel_append(channel, frame, verdicts);
    log_append_variants(&channel->log, variants);
    if (frame->sequence > hub->appended)
        hub->appended = frame->sequence;
    account(hub, channel, before);
    hub_tell(hub, &change);
    retain(hub, channel);
}

int hub_check(const struct hub *hub, const struct event_fields *fields)
{
    if (fields->data.length > hub->limits.event_bytes)
        return ERROR_EVENT_TOO_LARGE;
    int error = event_stream_check(fields);
    if (error == 0 && fields->id.length > 0 && !start_is_id(fields->id))
        return ERROR_START_ID;
    return error;
}

size_t hub_write_id(const struct hub *hub, uint64_t sequence, char *out)
{
    size_t length = strlen(hub->epoch);
    memcpy(out, hub->epoch, length);
    out[length++] = '-';
    return length + digits_write(out + length, sequence, 10);
}

int hub_prepare(struct hub *hub, struct channel *channel, struct frame_source *source,
                struct frame **out)
{
    struct event_fields fields = {source->id, source->name, source->data, source->retry};
    char id[HUB_ID_MAX];
    int error = hub_check(hub, &fields);
    if (error != 0)
        return error;
    source->sequence = ++hub->sequence;
    struct frame_source full = *source;
    if (source->id.data != NULL) {
        full.flags |= FRAME_OWN_ID;
    } else if (channel_keeps(channel)) {
        full.id = slice_of(id, hub_write_id(hub, source->sequence, id));
    }
    *out = frame_new(&full);
    return 0;
}

void hub_commit(struct hub *hub, struct channel *channel, struct frame *frame,
                const uint64_t *verdicts, struct log_variant *variants)
{
    if (channel->options.keyed && frame->key.length > 0)
        supersede(hub, channel, frame_part(frame, frame->key));
    append(hub, channel, frame, verdicts, variants);
    channel->published++;
    hub->counters.published++;
}

int hub_publish(struct hub *hub, struct channel *channel, struct frame_source *source,
                const uint64_t *verdicts, struct frame **out)
{
    struct frame *frame;
    int error = hub_prepare(hub, channel, source, &frame);
    if (error != 0)
        return error;
    hub_commit(hub, channel, frame, verdicts, NULL);
    if (out != NULL)
        *out = frame;
    else
        frame_unref(frame);
    return 0;
}

void hub_continue(struct hub *hub, const char *epoch, uint64_t sequence)
{
    snprintf(hub->epoch, sizeof hub->epoch, "%s", epoch);
    hub->sequence = hub->appended = hub->floor = sequence;
    struct frame *name = frame_of_text(slice_text(epoch), 0);
    hub_tell(hub, &(struct change){.kind = CHANGE_EPOCH, .frame = name});
    frame_unref(name);
}

void hub_restore(struct hub *hub, struct channel *channel, struct frame *frame)
{
    if (channel->options.keyed && frame->key.length > 0)
        supersede(hub, channel, frame_part(frame, frame->key));
    append(hub, channel, frame, NULL, NULL);
}
