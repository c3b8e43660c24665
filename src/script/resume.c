#include "script/resume.h"

#include <stdlib.h>

#include "base/memory.h"
#include "script/durable.h"
#include "script/page.h"

enum { MAX_SEARCH = 100000 /* events that "last=N" looks at, with a filter */ };

/* How many events of the subscription memory has that are newer than the cursor. */
static int64_t count_in_memory(const struct subscription *subscription, uint64_t after)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct subscription_channel *link = &subscription->channels[i];
        const struct log *log = &link->channel->log;
        if (!channel_keeps(link->channel))
            continue;
        for (uint32_t position = log_after(log, after); position < log->count; position++) {
            const struct frame *frame = log_frame(log, position, link->slot);
            count += frame != NULL && definition_wants(subscription->definition, frame);
        }
    }
    return count;
}

/* Takes the newest of the page's events for those that are still wanted. */
static void take_newest(const struct page *page, int64_t *wanted, uint64_t *cursor)
{
    for (unsigned i = page->count; i > 0 && *wanted > 0; i--) {
        --*wanted;
        *cursor = page->frames[i - 1]->sequence - 1;
    }
}

/* The cursor before the last `wanted` events that are older than what memory has whole. */
static uint64_t search_back(struct vm *vm, const struct subscription *subscription, int64_t wanted)
{
    uint64_t until = page_memory_begins(subscription);
    uint64_t cursor = until;
    for (int looked = 0; wanted > 0 && until > 0 && looked < MAX_SEARCH; looked += PAGE_EVENTS) {
        struct page page;
        int error = page_read_back(&page, vm, subscription, until);
        take_newest(&page, &wanted, &cursor);
        until = error == 0 ? page.last : 0;
        page_deinit(&page);
    }
    return cursor;
}

/* The stored channels of the subscription. `out` has room for all its channels. */
static unsigned stored_channels(const struct subscription *subscription, uint32_t *out)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        if (subscription->channels[i].channel->stored > 0)
            out[count++] = subscription->channels[i].channel->stored;
    }
    return count;
}

static uint64_t find_id(struct vm *vm, const struct subscription *subscription, struct slice id)
{
    uint32_t *channels = memory_new((subscription->channel_count + 1) * sizeof *channels);
    unsigned count = stored_channels(subscription, channels);
    uint64_t sequence = store_find_id(vm->pipeline->store, channels, count, id);
    free(channels);
    return sequence;
}

/* Whether the channel's `found` is a sequence, and lower than what was found before. */
static bool is_older(uint64_t found, uint64_t oldest)
{
    return found > 0 && (oldest == 0 || found < oldest);
}

/* The oldest event that the store has since that time, 0 for none. */
static uint64_t find_since(struct vm *vm, const struct subscription *subscription, int64_t time)
{
    uint64_t oldest = 0;
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct channel *channel = subscription->channels[i].channel;
        uint64_t found =
            channel->stored == 0 ? 0 : store_since(vm->pipeline->store, channel->stored, time);
        if (is_older(found, oldest))
            oldest = found;
    }
    return oldest;
}

static void note_oldest(struct vm *vm, const struct subscription *subscription,
                        struct start_result *result)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct channel *channel = subscription->channels[i].channel;
        if (channel->stored == 0)
            continue;
        uint64_t found =
            store_oldest(vm->pipeline->store, channel->stored, channel->stored_evicted);
        if (is_older(found, result->oldest))
            result->oldest = found;
    }
}

/* Corrects what memory alone has made of the start. */
static void resolve_stored(struct vm *vm, struct subscription *subscription,
                           const struct start *start, struct start_result *result)
{
    uint64_t begins = page_memory_begins(subscription);
    if (start->kind == START_ID && result->reset != RESET_NONE && result->reset != RESET_EVICTED) {
        uint64_t sequence = find_id(vm, subscription, start->id);
        struct start found = {.kind = START_SEQUENCE, .number = (int64_t)sequence};
        if (sequence > 0)
            subscription_resolve(vm->hub, subscription, &found, result);
    } else if (start->kind == START_SINCE) {
        uint64_t sequence = find_since(vm, subscription, start->number);
        if (sequence > 0 && sequence <= result->cursor)
            result->cursor = sequence - 1;
    } else if (start->kind == START_LAST && begins > 0) {
        int64_t wanted = start->number - count_in_memory(subscription, begins);
        if (wanted > 0)
            result->cursor = search_back(vm, subscription, wanted);
    }
    if (result->reset != RESET_NONE)
        note_oldest(vm, subscription, result);
    result->deep = result->cursor < begins;
}

static bool has_stored(const struct subscription *subscription)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        if (subscription->channels[i].channel->stored > 0)
            return true;
    }
    return false;
}

void resume_resolve(struct vm *vm, struct subscription *subscription, const struct start *start,
                    struct start_result *result)
{
    for (uint32_t i = 0; i < subscription->channel_count; i++)
        durable_refresh(vm, subscription->channels[i].channel);
    subscription_resolve(vm->hub, subscription, start, result);
    result->deep = false;
    if (start->kind != START_LATEST && vm->pipeline->store != NULL && has_stored(subscription))
        resolve_stored(vm, subscription, start, result);
    publication_advance(vm);
}
