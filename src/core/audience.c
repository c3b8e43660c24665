#include "core/audience.h"

#include <stdlib.h>

#include "base/memory.h"
#include "core/replica.h"

/* Subscribers */

void audience_add(struct audience *audience, struct subscriber *subscriber, uint64_t cursor)
{
    *subscriber = (struct subscriber){.audience = audience,
                                      .index = SUBSCRIBER_BEHIND,
                                      .cursor = cursor,
                                      .joined = audience->replica->sequence,
                                      .evictions = audience->replica->evictions};
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
    skips_free(subscriber->skips);
    subscriber->partial = NULL;
    subscriber->skips = NULL;
    subscriber->audience = NULL;
}

void audience_move(struct audience *audience, struct subscriber *subscriber)
{
    struct subscriber before = *subscriber;
    uint64_t cursor =
        subscriber_is_in_step(subscriber) ? audience->replica->sequence : subscriber->cursor;
    subscriber->partial = NULL;
    subscriber->skips = NULL;
    audience_remove(subscriber);
    audience_add(audience, subscriber, cursor);
    subscriber->partial = before.partial;
    subscriber->skips = before.skips;
    subscriber->written = before.written;
    subscriber->joined = before.joined;
    subscriber->evictions = before.evictions;
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
    skips_free(subscriber->skips);
    subscriber->skips = NULL;
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

/* What is read: some of an audience's channels, all when `which` is NULL. */
struct selection {
    const struct audience *audience;
    const uint32_t *which;
    uint32_t count;
    uint64_t joined;
    const struct skips *skips;
};

static const struct audience_channel *selected(const struct selection *selection, uint32_t index)
{
    const uint32_t *which = selection->which;
    return &selection->audience->channels[which == NULL ? index : which[index]];
}

/* The position of the first entry after the cursor that the reader may have. */
static uint32_t first_after(const struct selection *selection, uint32_t index, uint64_t cursor)
{
    const struct replica_channel *channel = selected(selection, index)->channel;
    uint64_t skipped = skips_of(selection->skips, channel->id);
    uint64_t from = skipped > cursor ? skipped : cursor;
    bool is_late = !channel->keeps && selection->joined > from;
    return log_after(&channel->log, is_late ? selection->joined : from);
}

static struct frame *wanted(const struct selection *selection, uint32_t index, uint32_t position)
{
    const struct audience_channel *source = selected(selection, index);
    struct frame *frame = log_frame(&source->channel->log, position, source->slot);
    return frame != NULL && definition_wants(selection->audience->definition, frame) ? frame : NULL;
}

static uint32_t collect_one(const struct selection *selection, uint64_t *cursor,
                            struct frame **frames, uint32_t max)
{
    const struct log *log = &selected(selection, 0)->channel->log;
    uint32_t found = 0;
    uint32_t position = first_after(selection, 0, *cursor);
    for (; position < log->count && found < max; position++) {
        struct frame *frame = wanted(selection, 0, position);
        if (frame != NULL)
            frames[found++] = frame;
        *cursor = log_at(log, position)->sequence;
    }
    if (position == log->count)
        *cursor = selection->audience->replica->sequence;
    return found;
}

/* A merge of the channels' logs by sequence. */
static uint32_t collect_merged(const struct selection *selection, uint64_t *cursor,
                               struct frame **frames, uint32_t max)
{
    uint32_t found = 0;
    uint32_t local[64];
    uint32_t count = selection->count;
    uint32_t *positions = count <= 64 ? local : memory_new(count * sizeof *positions);
    for (uint32_t i = 0; i < count; i++)
        positions[i] = first_after(selection, i, *cursor);
    while (found < max) {
        uint32_t next = count;
        uint64_t lowest = UINT64_MAX;
        for (uint32_t i = 0; i < count; i++) {
            const struct log *log = &selected(selection, i)->channel->log;
            if (positions[i] < log->count && log_at(log, positions[i])->sequence < lowest) {
                next = i;
                lowest = log_at(log, positions[i])->sequence;
            }
        }
        if (next == count) {
            *cursor = selection->audience->replica->sequence;
            break;
        }
        struct frame *frame = wanted(selection, next, positions[next]);
        if (frame != NULL)
            frames[found++] = frame;
        positions[next]++;
        *cursor = lowest;
    }
    if (positions != local)
        free(positions);
    return found;
}

static uint32_t collect(const struct selection *selection, uint64_t *cursor, struct frame **frames,
                        uint32_t max)
{
    return selection->count == 1 ? collect_one(selection, cursor, frames, max)
                                 : collect_merged(selection, cursor, frames, max);
}

uint32_t subscriber_collect(const struct subscriber *subscriber, uint64_t *cursor,
                            struct frame **frames, uint32_t max)
{
    const struct audience *audience = subscriber->audience;
    if (*cursor >= audience->replica->sequence)
        return 0;
    struct selection all = {.audience = audience,
                            .count = audience->channel_count,
                            .joined = subscriber->joined,
                            .skips = subscriber->skips};
    return collect(&all, cursor, frames, max);
}

uint32_t audience_collect_news(struct audience *audience, struct frame **frames, uint32_t max)
{
    struct selection news = {
        .audience = audience, .which = audience->news, .count = audience->news_count};
    uint32_t found = collect(&news, &audience->cursor, frames, max);
    if (audience->cursor >= audience->replica->sequence)
        audience_forget_news(audience);
    return found;
}

void audience_forget_news(struct audience *audience)
{
    for (uint32_t i = 0; i < audience->news_count; i++)
        audience->channels[audience->news[i]].has_news = false;
    audience->news_count = 0;
    audience->cursor = audience->replica->sequence;
}

static bool has_lost(const struct subscriber *subscriber, const struct replica_channel *channel)
{
    uint64_t evicted = channel->log.evicted;
    bool is_its = channel->keeps || evicted > subscriber->joined;
    return is_its && evicted > subscriber_position(subscriber) &&
           evicted > skips_of(subscriber->skips, channel->id) &&
           channel->evicted_at > subscriber->evictions;
}

const struct replica_channel *subscriber_lag(const struct subscriber *subscriber)
{
    const struct audience *audience = subscriber->audience;
    for (uint32_t i = 0; i < audience->channel_count; i++) {
        if (has_lost(subscriber, audience->channels[i].channel))
            return audience->channels[i].channel;
    }
    return audience->gone != NULL && has_lost(subscriber, audience->gone) ? audience->gone : NULL;
}

bool subscriber_skip(struct subscriber *subscriber, const struct replica_channel *channel)
{
    const struct log *log = &channel->log;
    uint64_t before = skips_of(subscriber->skips, channel->id);
    skips_add(&subscriber->skips, channel->id, log->count > 0 ? log_last(log) - 1 : log->evicted);
    return before == 0 || subscriber_position(subscriber) > before;
}
