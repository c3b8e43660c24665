/* Where a stream starts: the grammar of starting points, and the cursor that one stands for. */
#include "core/start.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/memory.h"
#include "core/hub.h"

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

bool start_is_id(struct slice text)
{
    struct start start;
    return start_parse(text, 0, &start) && start.kind == START_ID;
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
        if (channel_keeps(channel) && channel_gone(channel) > sequence)
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
        if (channel_is_deep(channel) && channel->log.evicted > cursor)
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
    switch (subscription_keeps(subscription) ? start->kind : START_LATEST) {
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
