#include "models/world.h"

#include <stdlib.h>

#include "models/expect.h"

static void on_change(void *context, const struct change *change)
{
    struct world *world = context;
    struct change copy = change_copy(change);
    world->changes++;
    replica_apply(&world->replica, &copy);
}

static bool divides(int reference, const struct frame *frame)
{
    struct buffer data = {0};
    frame_data(frame, &data);
    buffer_append_byte(&data, '\0');
    bool verdict = atoi(data.data) % reference == 0;
    buffer_deinit(&data);
    return verdict;
}

static struct frame *changed(const struct frame *frame)
{
    struct buffer data = {0};
    buffer_append_byte(&data, '~');
    frame_data(frame, &data);
    struct frame *result = frame_new(&(struct frame_source){.id = frame_part(frame, frame->id),
                                                            .name = frame_part(frame, frame->name),
                                                            .data = buffer_slice(&data),
                                                            .retry = -1,
                                                            .time = frame->time,
                                                            .sequence = frame->sequence});
    buffer_deinit(&data);
    return result;
}

static struct frame *on_judge(void *context, struct group *group, const struct channel *channel,
                              struct frame *frame)
{
    (void)channel;
    ((struct world *)context)->judgements++;
    if (!divides(group->reference, frame))
        return NULL;
    return group->reference < 0 ? changed(frame) : frame_ref(frame);
}

static void on_forget(void *context, const struct group *group)
{
    (void)group;
    ((struct world *)context)->forgotten++;
}

static void on_ending(void *context, struct audience *audience)
{
    (void)audience;
    ((struct world *)context)->ended++;
}

void world_init(struct world *world)
{
    static const struct hub_limits limits = {1 << 20, 4096, 1000};
    struct hub_listener listener = {
        .context = world, .change = on_change, .judge = on_judge, .forget = on_forget};
    *world = (struct world){.now = 1000000};
    replica_init(&world->replica);
    world->replica.context = world;
    world->replica.ending = world->replica.leaving = on_ending;
    hub_init(&world->hub, &limits, &listener, "epoch");
}

void world_deinit(struct world *world)
{
    hub_deinit(&world->hub);
    replica_deinit(&world->replica);
}

struct channel *world_channel(struct world *world, const char *name, uint32_t history)
{
    struct channel *channel;
    struct channel_options options = {.history = history};
    EXPECT(hub_open(&world->hub, slice_text(name), &options, &channel) == 0);
    channel->declared = true;
    return channel;
}

/* What the script does when it publishes: asks every filter group of the channel. */
static void judge_all(struct world *world, const struct channel *channel, struct frame *frame,
                      uint64_t *verdicts, struct log_variant **variants)
{
    for (uint32_t slot = 0; slot < channel->group_count; slot++) {
        struct group *group = channel->groups[slot].group;
        if (group == NULL)
            continue;
        struct frame *made = on_judge(world, group, channel, frame);
        if (made != NULL)
            verdicts[slot / 64] |= (uint64_t)1 << (slot % 64);
        if (made != NULL && made != frame)
            log_variant_push(variants, slot, made);
        frame_unref(made);
    }
}

int world_publish_source(struct world *world, struct channel *channel, struct frame_source *source)
{
    struct frame *frame;
    struct log_variant *variants = NULL;
    int error = hub_prepare(&world->hub, channel, source, &frame);
    if (error != 0)
        return error;
    uint64_t *verdicts = calloc(channel_verdict_words(channel) + 1, sizeof *verdicts);
    judge_all(world, channel, frame, verdicts, &variants);
    hub_commit(&world->hub, channel, frame, verdicts, variants);
    free(verdicts);
    frame_unref(frame);
    return 0;
}

uint64_t world_publish(struct world *world, struct channel *channel, const char *name,
                       const char *data)
{
    struct frame_source source = {.name = slice_text(name == NULL ? "" : name),
                                  .data = slice_text(data),
                                  .retry = -1,
                                  .time = world->now};
    EXPECT(world_publish_source(world, channel, &source) == 0);
    return source.sequence;
}

uint64_t world_publish_key(struct world *world, struct channel *channel, const char *key,
                           const char *data)
{
    struct frame_source source = {.key = slice_text(key),
                                  .data = slice_text(data == NULL ? "" : data),
                                  .retry = -1,
                                  .time = world->now,
                                  .flags = data == NULL ? FRAME_TOMBSTONE : 0};
    EXPECT(world_publish_source(world, channel, &source) == 0);
    return source.sequence;
}

static struct group *group_for(struct world *world, int reference)
{
    char key[16];
    if (reference == WORLD_ALL)
        return NULL;
    snprintf(key, sizeof key, "%d", reference);
    struct group *group = hub_find_group(&world->hub, slice_text(key));
    return group != NULL ? group : hub_new_group(&world->hub, slice_text(key), reference);
}

struct subscription *world_subscribe(struct world *world, struct channel *first,
                                     struct channel *second, int reference)
{
    struct channel *channels[] = {first, second};
    struct subscription_source source = {.channels = channels,
                                         .channel_count = second == NULL ? 1 : 2,
                                         .group = group_for(world, reference),
                                         .chunked = true};
    return hub_subscribe(&world->hub, &source);
}

struct subscription *world_subscribe_pattern(struct world *world, const char *pattern,
                                             int reference)
{
    struct slice text = slice_text(pattern);
    struct subscription_source source = {.patterns = &text,
                                         .pattern_count = 1,
                                         .group = group_for(world, reference),
                                         .chunked = true};
    return hub_subscribe(&world->hub, &source);
}

struct audience *world_audience(const struct world *world, const struct subscription *subscription)
{
    return replica_audience(&world->replica, subscription->definition->id);
}

static void expect_same_log(const struct channel *channel, const struct log *copy)
{
    const struct log *log = &channel->log;
    uint32_t other = 0;
    for (uint32_t i = 0; i < log->count; i++) {
        if (log_at(log, i)->frame == NULL)
            continue;
        while (other < copy->count && log_at(copy, other)->frame == NULL)
            other++;
        EXPECT(other < copy->count);
        EXPECT(log_at(log, i)->frame == log_at(copy, other)->frame);
        for (uint32_t slot = 0; slot < channel->group_count; slot++) {
            if (channel->groups[slot].group != NULL)
                EXPECT(log_frame(log, i, (int32_t)slot) == log_frame(copy, other, (int32_t)slot));
        }
        other++;
    }
    EXPECT(log_length(log) == log_length(copy));
    EXPECT(log->bytes == copy->bytes);
    /* What a channel lost before it went and came back, the hub alone remembers. */
    EXPECT(log->evicted >= copy->evicted);
}

static void expect_same_audience(const struct subscription *subscription,
                                 const struct audience *audience)
{
    EXPECT(audience != NULL);
    EXPECT(audience->definition == subscription->definition);
    EXPECT(audience->channel_count == subscription->channel_count);
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct subscription_channel *link = &subscription->channels[i];
        uint32_t j = 0;
        while (j < audience->channel_count &&
               audience->channels[j].channel->id != link->channel->id)
            j++;
        EXPECT(j < audience->channel_count);
        const struct audience_channel *copy = &audience->channels[j];
        EXPECT(copy->slot == link->slot);
        EXPECT(copy->channel->audiences[copy->position].audience == audience);
        EXPECT(copy->channel->audiences[copy->position].index == j);
    }
}

void expect_replica_follows(struct world *world)
{
    const struct hub *hub = &world->hub;
    const struct replica *replica = &world->replica;
    replica_settle(&world->replica);
    for (uint32_t id = 0; id < hub->channel_capacity; id++) {
        const struct replica_channel *copy =
            id < replica->channel_capacity ? replica->channels[id] : NULL;
        EXPECT((hub->channels[id] == NULL) == (copy == NULL));
        if (copy == NULL)
            continue;
        EXPECT(copy->on_lag == hub->channels[id]->options.on_lag);
        expect_same_log(hub->channels[id], &copy->log);
    }
    for (uint32_t id = 0; id < hub->subscription_capacity; id++) {
        if (hub->subscriptions[id] != NULL)
            expect_same_audience(hub->subscriptions[id], replica_audience(replica, id));
        else
            EXPECT(replica_audience(replica, id) == NULL);
    }
    EXPECT(replica->sequence == hub->appended);
}

/* Every key's bearer is in the log, and bears the key. */
static void expect_keys(const struct channel *channel)
{
    size_t position = 0;
    uint32_t tombstones = 0;
    void *value;
    while (map_next(&channel->keys, &position, &value)) {
        const struct frame *frame = value;
        EXPECT(channel_find_key(channel, frame_part(frame, frame->key)) == frame);
        uint32_t place = log_after(&channel->log, frame->sequence - 1);
        EXPECT(place < channel->log.count && log_at(&channel->log, place)->frame == frame);
        tombstones += (frame->flags & FRAME_TOMBSTONE) != 0;
    }
    EXPECT(channel->tombstones == tombstones);
}

void expect_hub_is_sound(const struct hub *hub)
{
    size_t bytes = 0;
    uint32_t count = 0, aging = 0;
    for (uint32_t id = 0; id < hub->channel_capacity; id++) {
        const struct channel *channel = hub->channels[id];
        if (channel == NULL)
            continue;
        const struct channel_options *options = &channel->options;
        count++;
        bytes += channel->log.bytes;
        EXPECT(channel->id == id);
        EXPECT(hub_find(hub, channel->name) == channel);
        EXPECT(options->max_bytes == 0 || channel->log.bytes <= options->max_bytes);
        EXPECT(options->keyed || options->history == 0 ||
               log_length(&channel->log) <= options->history);
        bool ages = options->max_age > 0 && log_length(&channel->log) > 0;
        EXPECT(heap_contains(&channel->expiry) == ages);
        aging += ages;
        EXPECT(list_is_empty(&channel->by_size) == (channel->log.bytes == 0));
        expect_keys(channel);
    }
    EXPECT(hub->bytes == bytes);
    EXPECT(hub->bytes <= hub->limits.total_bytes);
    EXPECT(hub->channel_count == count && hub->channels_by_name.count == count);
    EXPECT(hub->expiry.count == aging);
}
