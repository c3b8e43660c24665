#include "script/page.h"

#include <stdlib.h>

#include "base/memory.h"
#include "script/judge.h"
#include "script/publication.h"

enum { PAGE_BYTES = 256 * 1024 };

uint64_t page_memory_begins(const struct subscription *subscription)
{
    uint64_t begins = 0;
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct channel *channel = subscription->channels[i].channel;
        if (channel_is_deep(channel) && channel->log.evicted > begins)
            begins = channel->log.evicted;
    }
    return begins;
}

/* What the subscription's readers get of the frame: NULL, or a reference for the caller. */
static struct frame *make(struct vm *vm, const struct subscription *subscription,
                          const struct channel *channel, struct frame *frame)
{
    struct frame *made = subscription->group == NULL
                             ? frame_ref(frame)
                             : judge_frame(vm, subscription->group, channel, frame);
    if (made == NULL || definition_wants(subscription->definition, made))
        return made;
    frame_unref(made);
    return NULL;
}

/* Adds what readers get of the frame, which is borrowed. */
static void add(struct page *page, const struct channel *channel, struct frame *frame)
{
    struct frame *made = make(page->vm, page->subscription, channel, frame);
    if (made == NULL)
        return;
    if (page->count == page->capacity) {
        page->capacity = page->capacity == 0 ? PAGE_EVENTS : page->capacity * 2;
        page->frames = memory_grow(page->frames, page->capacity * sizeof(struct frame *));
    }
    page->frames[page->count++] = made;
}

static const struct channel *find_stored(const struct subscription *subscription, uint32_t stored)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        if (subscription->channels[i].channel->stored == stored)
            return subscription->channels[i].channel;
    }
    return NULL;
}

static bool on_event(void *context, uint32_t stored, struct frame *frame)
{
    struct page *page = context;
    const struct channel *channel = find_stored(page->subscription, stored);
    page->last = frame->sequence;
    page->read++;
    page->bytes += frame_memory(frame);
    /* What is too old may still be there. */
    if (channel != NULL && frame->sequence > channel->stored_evicted)
        add(page, channel, frame);
    frame_unref(frame);
    page->full = page->read == PAGE_EVENTS || page->bytes >= PAGE_BYTES;
    return !page->full;
}

/* Adds the events in (after, until] of channels that memory has whole. */
static void add_from_memory(struct page *page, uint64_t after, uint64_t until, uint64_t began)
{
    const struct subscription *subscription = page->subscription;
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct channel *channel = subscription->channels[i].channel;
        const struct log *log = &channel->log;
        /* A channel without history has nothing for those who come later. */
        uint64_t from = channel_keeps(channel) || after > began ? after : began;
        if (channel_is_deep(channel))
            continue;
        for (uint32_t position = log_after(log, from); position < log->count; position++) {
            struct frame *frame = log_at(log, position)->frame;
            if (log_at(log, position)->sequence > until)
                break;
            if (frame != NULL)
                add(page, channel, frame);
        }
    }
}

static int by_sequence(const void *a, const void *b)
{
    uint64_t first = (*(struct frame *const *)a)->sequence;
    uint64_t second = (*(struct frame *const *)b)->sequence;
    return first < second ? -1 : first > second;
}

static void sort(struct page *page)
{
    if (page->count > 1)
        qsort(page->frames, page->count, sizeof *page->frames, by_sequence);
}

/* Events of relaxed channels leave memory whether the disk has them yet or not. */
static void flush_relaxed(struct vm *vm, const struct subscription *subscription)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct channel *channel = subscription->channels[i].channel;
        if (channel->stored > 0 && channel->options.relaxed) {
            store_wait(vm->pipeline->store);
            return;
        }
    }
}

/* The channels to read from the store. `out` has room for all of the subscription's. */
static unsigned deep_channels(const struct subscription *subscription, uint32_t *out)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        if (channel_is_deep(subscription->channels[i].channel))
            out[count++] = subscription->channels[i].channel->stored;
    }
    return count;
}

int page_read(struct page *page, struct vm *vm, const struct subscription *subscription,
              uint64_t after, uint64_t until, uint64_t began)
{
    uint32_t *channels = memory_new((subscription->channel_count + 1) * sizeof *channels);
    *page = (struct page){.vm = vm, .subscription = subscription};
    flush_relaxed(vm, subscription);
    int error = store_read(vm->pipeline->store, channels, deep_channels(subscription, channels),
                           after, until, on_event, page);
    free(channels);
    if (!page->full)
        page->last = until;
    add_from_memory(page, after, page->last, began);
    sort(page);
    return error;
}

int page_read_back(struct page *page, struct vm *vm, const struct subscription *subscription,
                   uint64_t until)
{
    uint32_t *channels = memory_new((subscription->channel_count + 1) * sizeof *channels);
    *page = (struct page){.vm = vm, .subscription = subscription};
    flush_relaxed(vm, subscription);
    int error = store_read_back(vm->pipeline->store, channels,
                                deep_channels(subscription, channels), 0, until, on_event, page);
    free(channels);
    page->last = page->full ? page->last - 1 : 0;
    add_from_memory(page, page->last, until, until);
    sort(page);
    return error;
}

void page_deinit(struct page *page)
{
    for (unsigned i = 0; i < page->count; i++)
        frame_unref(page->frames[i]);
    free(page->frames);
    *page = (struct page){0};
}
