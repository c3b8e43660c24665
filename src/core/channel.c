#include "core/channel.h"

#include <stdlib.h>

#include "base/memory.h"

struct channel *channel_new(struct slice name, uint32_t id, const struct channel_options *options)
{
    struct channel *channel = memory_zero(1, sizeof *channel);
    channel->name = slice_of(memory_copy(name.data, name.length), name.length);
    channel->id = id;
    channel->options = *options;
    list_init(&channel->by_size);
    return channel;
}

void channel_free(struct channel *channel)
{
    log_deinit(&channel->log);
    map_deinit(&channel->keys);
    free(channel->groups);
    free((char *)channel->name.data);
    free(channel->reset_name);
    free(channel->observers);
    free(channel);
}

struct frame *channel_find_key(const struct channel *channel, struct slice key)
{
    return map_get(&channel->keys, key);
}

static bool bears_key(const struct channel *channel, const struct frame *frame)
{
    return frame != NULL && frame->key.length > 0 &&
           channel_find_key(channel, frame_part(frame, frame->key)) == frame;
}

/* Returns the frame that bore the key, or NULL. */
static struct frame *remove_key(struct channel *channel, struct slice key)
{
    struct frame *frame = map_remove(&channel->keys, key);
    if (frame != NULL && frame->flags & FRAME_TOMBSTONE)
        channel->tombstones--;
    return frame;
}

uint64_t channel_evict_oldest(struct channel *channel)
{
    struct log *log = &channel->log;
    struct frame *frame = log_at(log, 0)->frame;
    uint64_t sequence = frame->sequence;
    if (bears_key(channel, frame))
        remove_key(channel, frame_part(frame, frame->key));
    log_evict(log, sequence);
    return sequence;
}

uint64_t channel_forget_tombstone(struct channel *channel)
{
    struct log *log = &channel->log;
    uint32_t position = 0;
    while (!bears_key(channel, log_at(log, position)->frame) ||
           !(log_at(log, position)->frame->flags & FRAME_TOMBSTONE))
        position++;
    struct frame *frame = log_at(log, position)->frame;
    uint64_t sequence = frame->sequence;
    remove_key(channel, frame_part(frame, frame->key));
    log_forget(log, sequence);
    return sequence;
}

uint64_t channel_forget_key(struct channel *channel, struct slice key)
{
    struct frame *frame = remove_key(channel, key);
    if (frame == NULL)
        return 0;
    uint64_t sequence = frame->sequence;
    log_supersede(&channel->log, sequence);
    return sequence;
}

void channel_append(struct channel *channel, struct frame *frame, const uint64_t *verdicts)
{
    uint32_t words = verdicts == NULL ? 0 : channel_verdict_words(channel);
    log_append(&channel->log, frame, verdicts, words);
    if (!channel->options.keyed || frame->key.length == 0)
        return;
    map_put(&channel->keys, frame_part(frame, frame->key), frame);
    if (frame->flags & FRAME_TOMBSTONE)
        channel->tombstones++;
}

static uint32_t find_slot(struct channel *channel, const struct group *group)
{
    uint32_t unused = channel->group_count;
    for (uint32_t i = 0; i < channel->group_count; i++) {
        if (channel->groups[i].group == group)
            return i;
        if (channel->groups[i].group == NULL && unused == channel->group_count)
            unused = i;
    }
    return unused;
}

uint32_t channel_attach(struct channel *channel, struct group *group, uint64_t sequence)
{
    uint32_t slot = find_slot(channel, group);
    if (slot == channel->group_count) {
        /* Doubling keeps the cost of a thousandth group that of the first. */
        if ((slot & (slot - 1)) == 0) {
            size_t capacity = slot == 0 ? 1 : (size_t)slot * 2;
            channel->groups = memory_grow(channel->groups, capacity * sizeof *channel->groups);
        }
        channel->groups[slot] = (struct channel_group){0};
        channel->group_count++;
    }
    struct channel_group *entry = &channel->groups[slot];
    if (entry->group == NULL)
        *entry = (struct channel_group){group, 0, sequence};
    entry->references++;
    return slot;
}

void channel_detach(struct channel *channel, uint32_t slot)
{
    struct channel_group *entry = &channel->groups[slot];
    if (--entry->references == 0)
        *entry = (struct channel_group){0};
    while (channel->group_count > 0 && channel->groups[channel->group_count - 1].group == NULL)
        channel->group_count--;
}
