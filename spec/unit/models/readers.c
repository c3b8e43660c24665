#include "models/readers.h"

#include "models/expect.h"

const char *const delivery_names[NAMES] = {"a", "a.b", "a.c", "keyed.a", "keyed.b", "bare"};

struct channel *delivery_find(struct delivery *delivery, uint32_t index)
{
    return hub_find(&delivery->world.hub, slice_text(delivery_names[index]));
}

struct published *delivery_published(struct delivery *delivery, uint64_t sequence)
{
    EXPECT(sequence >= 1 && sequence <= delivery->count);
    return &delivery->events[sequence - 1];
}

static bool is_retained(const struct published *event)
{
    const struct log *log = &event->channel->log;
    uint32_t place = log_after(log, event->sequence - 1);
    return place < log->count && log_at(log, place)->sequence == event->sequence &&
           log_at(log, place)->frame != NULL;
}

void delivery_note_evictions(struct delivery *delivery)
{
    const struct channel *channels[NAMES];
    for (uint32_t index = 0; index < NAMES; index++)
        channels[index] = delivery_find(delivery, index);
    for (size_t i = 0; i < delivery->count; i++) {
        struct published *event = &delivery->events[i];
        bool there = false;
        for (uint32_t index = 0; event->channel != NULL && index < NAMES; index++)
            there |= channels[index] == event->channel;
        if (!there && event->channel != NULL && !event->superseded && event->evicted == 0)
            event->evicted = delivery->step;
        if (!there)
            event->channel = NULL;
        else if (!event->superseded && event->evicted == 0 && !is_retained(event))
            event->evicted = delivery->step;
    }
}

static bool has_channel(const struct subscription *subscription, const struct channel *channel)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        if (subscription->channels[i].channel == channel)
            return true;
    }
    return false;
}

/* Of a channel that is there, or that a pattern had while it was. */
static bool belongs(struct delivery *delivery, const struct subscription *subscription,
                    const struct published *event)
{
    const struct channel *channel = delivery_find(delivery, event->name);
    if (channel != NULL && has_channel(subscription, channel))
        return true;
    for (uint32_t i = 0; i < subscription->pattern_count; i++) {
        if (pattern_matches(subscription->patterns[i], slice_text(delivery_names[event->name])))
            return true;
    }
    return false;
}

static bool passes(struct delivery *delivery, const struct reader *reader,
                   const struct published *event)
{
    const struct group *group = reader->subscription->group;
    return belongs(delivery, reader->subscription, event) &&
           (group == NULL || event->number % group->reference == 0);
}

/* What the reader may miss without being told. */
static bool is_excused(const struct reader *reader, const struct published *event)
{
    return event->superseded || (event->evicted != 0 && event->evicted <= reader->joined) ||
           (event->name == BARE && event->sequence <= reader->subscriber.joined);
}

/* The reader's place moves on to `cursor`, past events that it did not get. */
static void pass_over(struct delivery *delivery, struct reader *reader, uint64_t cursor)
{
    for (size_t i = reader->had; i < delivery->count && i < cursor; i++) {
        const struct published *event = &delivery->events[i];
        EXPECT(!passes(delivery, reader, event) || is_excused(reader, event));
    }
    if (cursor > reader->had)
        reader->had = cursor;
}

static void take(struct delivery *delivery, struct reader *reader, const struct frame *frame)
{
    const struct group *group = reader->subscription->group;
    struct published *event = delivery_published(delivery, frame->sequence);
    struct buffer data = {0};
    EXPECT(frame->sequence > reader->had);
    EXPECT(event->channel != NULL && passes(delivery, reader, event));
    EXPECT(event->name != BARE || event->sequence > reader->subscriber.joined);
    frame_data(frame, &data);
    EXPECT((data.length > 0 && data.data[0] == '~') == (group != NULL && group->reference < 0));
    buffer_deinit(&data);
    pass_over(delivery, reader, frame->sequence - 1);
    reader->had = frame->sequence;
}

static bool is_lost(struct delivery *delivery, const struct reader *reader)
{
    for (size_t i = reader->had; i < delivery->count; i++) {
        const struct published *event = &delivery->events[i];
        if (event->evicted > reader->joined && belongs(delivery, reader->subscription, event) &&
            !is_excused(reader, event))
            return true;
    }
    return false;
}

/* Readers */

void readers_leave(struct delivery *delivery, struct reader *reader)
{
    audience_remove(&reader->subscriber);
    hub_count_subscribers(&delivery->world.hub, reader->subscription, -1);
    hub_unsubscribe(&delivery->world.hub, reader->subscription);
    reader->subscription = NULL;
}

static struct reader *reader_of(struct subscriber *subscriber)
{
    return CONTAINER_OF(subscriber, struct reader, subscriber);
}

/* What fanout_serve does. Some readers take only a part, and fall behind. */
static void serve(struct delivery *delivery, struct audience *audience)
{
    struct frame *frames[FRAMES];
    list_remove(&audience->dirty);
    while (audience->member_count > 0) {
        uint64_t before = audience->cursor;
        uint32_t count = audience_collect_news(audience, frames, FRAMES);
        if (count == 0)
            break;
        for (uint32_t i = audience->member_count; i-- > 0;) {
            struct reader *reader = reader_of(audience->members[i].subscriber);
            uint32_t most = program_byte(delivery->program);
            uint32_t taken = most < 230 ? count : most % count;
            for (uint32_t j = 0; j < taken; j++)
                take(delivery, reader, frames[j]);
            if (taken < count)
                audience_fall_behind(&reader->subscriber,
                                     taken > 0 ? frames[taken - 1]->sequence : before);
        }
    }
    audience_forget_news(audience);
    for (uint32_t i = 0; i < audience->member_count; i++)
        pass_over(delivery, reader_of(audience->members[i].subscriber), audience->cursor);
}

void readers_on_removing(void *context, struct audience *audience)
{
    serve(CONTAINER_OF(context, struct delivery, world), audience);
}

/* Channels that are gone are remembered together; a keyed one drops deletions before older events.
 * Both only know the highest sequence that they lost. */
static bool may_exaggerate(const struct audience *audience, const struct replica_channel *lag)
{
    return lag == audience->gone || frame_part(lag->names, lag->names->key).data[0] == 'k';
}

/* One that is behind reads on, as far as the program lets it. Those in step first get what there
 * is, so that this one may join them. */
void readers_read_on(struct delivery *delivery, struct reader *reader, uint32_t turns)
{
    struct frame *frames[FRAMES];
    struct subscriber *subscriber = &reader->subscriber;
    serve(delivery, subscriber->audience);
    if (subscriber_is_in_step(subscriber))
        return;
    for (; turns > 0; turns--) {
        const struct replica_channel *lag = subscriber_lag(subscriber);
        if (lag != NULL) {
            EXPECT(is_lost(delivery, reader) || may_exaggerate(subscriber->audience, lag));
            readers_leave(delivery, reader);
            return;
        }
        uint64_t cursor = subscriber->cursor;
        uint32_t count = subscriber_collect(subscriber, &cursor, frames, FRAMES);
        for (uint32_t i = 0; i < count; i++)
            take(delivery, reader, frames[i]);
        pass_over(delivery, reader, cursor);
        subscriber->cursor = cursor;
        if (count == 0) {
            audience_catch_up(subscriber, 1);
            return;
        }
    }
}

/* A reader that resumes is told of a loss when, and only when, something behind its place was lost
 * in a channel that is there, be it another life of the channel. */
static void expect_truth(struct delivery *delivery, const struct subscription *subscription,
                         uint64_t sequence, const struct start_result *result)
{
    bool lost = false;
    for (size_t i = sequence; i < delivery->count; i++) {
        const struct published *event = &delivery->events[i];
        const struct channel *channel = delivery_find(delivery, event->name);
        lost |= event->evicted != 0 && event->name != BARE && channel != NULL &&
                has_channel(subscription, channel);
    }
    if (sequence > delivery->world.hub.appended)
        EXPECT(result->reset == RESET_UNKNOWN);
    else
        EXPECT(result->reset == (lost ? RESET_EVICTED : RESET_NONE));
}

static bool any_keeps(const struct subscription *subscription)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        if (channel_keeps(subscription->channels[i].channel))
            return true;
    }
    return false;
}

void readers_join(struct delivery *delivery, struct program *program)
{
    uint32_t which = program_below(program, SUBSCRIPTIONS);
    struct reader *reader = &delivery->readers[program_below(program, READERS)];
    struct subscription *subscription = delivery->subscriptions[which];
    struct start start = {.kind = program_below(program, START_SEQUENCE + 1)};
    struct start_result result;
    if (subscription == NULL || reader->subscription != NULL)
        return;
    uint64_t appended = delivery->world.hub.appended;
    start.number = start.kind == START_LAST ? program_byte(program)
                   : start.kind == START_SINCE
                       ? delivery->world.now - 10 * program_byte(program)
                       : (int64_t)program_below(program, (uint32_t)appended % 60000 + 2);
    subscription_resolve(&delivery->world.hub, subscription, &start, &result);
    EXPECT(result.cursor <= appended);
    /* What filters made of old events may have been too large to keep. */
    delivery_note_evictions(delivery);
    if (start.kind == START_SEQUENCE && any_keeps(subscription))
        expect_truth(delivery, subscription, (uint64_t)start.number, &result);
    subscription->references++;
    hub_count_subscribers(&delivery->world.hub, subscription, 1);
    struct audience *audience = world_audience(&delivery->world, subscription);
    serve(delivery, audience);
    *reader = (struct reader){
        .subscription = subscription, .had = result.cursor, .joined = delivery->step};
    audience_add(audience, &reader->subscriber, result.cursor);
}

void readers_turn(struct delivery *delivery)
{
    struct replica *replica = &delivery->world.replica;
    while (!list_is_empty(&replica->dirty))
        serve(delivery, CONTAINER_OF(replica->dirty.next, struct audience, dirty));
    expect_replica_follows(&delivery->world);
}
