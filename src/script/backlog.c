#include "script/backlog.h"

#include <stdlib.h>

#include "base/memory.h"
#include "script/judge.h"
#include "script/publication.h"
#include "store/store.h"

enum {
    PAGE = 256,          /* events of one page */
    MAX_SEARCH = 100000, /* events that "last=N" with a filter looks at */
};

struct backlog {
    connection_id connection;
    struct subscription *subscription;
    uint64_t cursor;
};

/* Events of a page, from the store and from channels that are in memory alone. */
struct page {
    struct vm *vm;
    const struct subscription *subscription;
    struct frame **frames;
    unsigned count;
    unsigned capacity;
    uint64_t last; /* the sequence of the last one read, wanted or not */
};

static struct slice key_of(const connection_id *connection)
{
    return slice_of((const char *)connection, sizeof *connection);
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
        page->capacity = page->capacity == 0 ? PAGE : page->capacity * 2;
        page->frames = memory_grow(page->frames, page->capacity * sizeof(struct frame *));
    }
    page->frames[page->count++] = made;
}

static const struct channel *find_stored(const struct subscription *subscription, uint32_t stored)
{
    uint32_t i = 0;
    while (subscription->channels[i].channel->stored != stored)
        i++;
    return subscription->channels[i].channel;
}

static void on_event(void *context, uint32_t channel, struct frame *frame)
{
    struct page *page = context;
    page->last = frame->sequence;
    add(page, find_stored(page->subscription, channel), frame);
    frame_unref(frame);
}

/* Where memory has every event after: the cursor at which a reader may join. */
static uint64_t memory_begins(const struct subscription *subscription)
{
    uint64_t begins = 0;
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct channel *channel = subscription->channels[i].channel;
        if (channel->stored > 0 && channel->log.evicted > begins)
            begins = channel->log.evicted;
    }
    return begins;
}

static void add_from_memory(struct page *page, uint64_t after)
{
    const struct subscription *subscription = page->subscription;
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        const struct log *log = &subscription->channels[i].channel->log;
        if (subscription->channels[i].channel->stored > 0)
            continue;
        for (uint32_t position = log_after(log, after); position < log->count; position++) {
            struct frame *frame = log_at(log, position)->frame;
            if (frame == NULL || frame->sequence > page->last)
                continue;
            add(page, subscription->channels[i].channel, frame);
        }
    }
}

static int by_sequence(const void *a, const void *b)
{
    uint64_t first = (*(struct frame *const *)a)->sequence;
    uint64_t second = (*(struct frame *const *)b)->sequence;
    return first < second ? -1 : first > second;
}

/* Reads the events after the cursor, at most a page of stored ones, and moves the cursor. */
static void read_page(struct vm *vm, struct backlog *backlog, struct page *page)
{
    struct subscription *subscription = backlog->subscription;
    uint32_t count = subscription->channel_count;
    uint32_t *channels = memory_new((count + 1) * sizeof *channels);
    *page = (struct page){.vm = vm, .subscription = subscription, .last = backlog->cursor};
    int found = store_read(vm->pipeline->store, channels, stored_channels(subscription, channels),
                           backlog->cursor, PAGE, on_event, page);
    free(channels);
    /* The disk has no more: what is left is in memory. */
    if (found < PAGE && page->last < memory_begins(subscription))
        page->last = memory_begins(subscription);
    add_from_memory(page, backlog->cursor);
    if (page->count > 1)
        qsort(page->frames, page->count, sizeof *page->frames, by_sequence);
    backlog->cursor = page->last;
}

static void remove_backlog(struct vm *vm, struct backlog *backlog)
{
    map_remove(&vm->backlogs, key_of(&backlog->connection));
    free(backlog);
}

/* Sends pages until one has something that the connection will tell us to have sent; at the end,
 * the reader joins those who read from memory. */
static void advance(struct vm *vm, struct backlog *backlog)
{
    struct page page;
    while (backlog->cursor < memory_begins(backlog->subscription)) {
        read_page(vm, backlog, &page);
        for (unsigned i = 0; i < page.count; i++)
            vm->host.send(vm->host.context, backlog->connection, page.frames[i]);
        free(page.frames);
        if (page.count > 0)
            return;
    }
    vm->host.subscribe(vm->host.context, backlog->connection, NULL, backlog->subscription,
                       backlog->cursor);
    remove_backlog(vm, backlog);
}

void backlog_start(struct vm *vm, connection_id connection, struct response *head,
                   struct subscription *subscription, uint64_t cursor)
{
    struct backlog *backlog = memory_zero(1, sizeof *backlog);
    *backlog = (struct backlog){connection, subscription, cursor};
    map_put(&vm->backlogs, key_of(&backlog->connection), backlog);
    vm->host.stream(vm->host.context, connection, head, subscription->definition->heartbeat);
    advance(vm, backlog);
}

bool backlog_taken(struct vm *vm, connection_id connection)
{
    struct backlog *backlog = map_get(&vm->backlogs, key_of(&connection));
    if (backlog != NULL)
        advance(vm, backlog);
    return backlog != NULL;
}

bool backlog_closed(struct vm *vm, connection_id connection)
{
    struct backlog *backlog = map_get(&vm->backlogs, key_of(&connection));
    if (backlog == NULL)
        return false;
    hub_count_subscribers(vm->hub, backlog->subscription, -1);
    hub_unsubscribe(vm->hub, backlog->subscription);
    remove_backlog(vm, backlog);
    return true;
}

bool backlog_move(struct vm *vm, connection_id connection, struct subscription *subscription)
{
    struct backlog *backlog = map_get(&vm->backlogs, key_of(&connection));
    if (backlog == NULL)
        return false;
    hub_count_subscribers(vm->hub, backlog->subscription, -1);
    hub_unsubscribe(vm->hub, backlog->subscription);
    backlog->subscription = subscription;
    return true;
}

void backlog_leave(struct vm *vm)
{
    size_t position = 0;
    void *backlog;
    while (map_next(&vm->backlogs, &position, &backlog))
        vm->host.leave(vm->host.context, ((struct backlog *)backlog)->connection);
}

void backlog_forget_all(struct vm *vm)
{
    size_t position = 0;
    void *backlog;
    while (map_next(&vm->backlogs, &position, &backlog))
        free(backlog);
    map_deinit(&vm->backlogs);
}

/* Starting points */

/* Looks further back for the events that "last=N" still wants. */
static void search_back(struct vm *vm, struct subscription *subscription, const uint32_t *channels,
                        unsigned count, struct start_result *result)
{
    uint64_t before = memory_begins(subscription) + 1;
    for (int looked = 0; result->wanted > 0 && looked < MAX_SEARCH; looked += PAGE) {
        struct page page = {.vm = vm, .subscription = subscription};
        int found =
            store_read_back(vm->pipeline->store, channels, count, before, PAGE, on_event, &page);
        before = page.last;
        for (unsigned i = 0; i < page.count; i++) {
            if (result->wanted > 0) {
                result->wanted--;
                result->cursor = page.frames[i]->sequence - 1;
            }
            frame_unref(page.frames[i]);
        }
        free(page.frames);
        if (found < PAGE)
            return;
    }
}

static void resolve(struct vm *vm, struct subscription *subscription, const struct start *start,
                    const uint32_t *channels, unsigned count, struct start_result *result)
{
    if (start->kind == START_ID && result->reset != RESET_NONE && result->reset != RESET_EVICTED) {
        uint64_t sequence = store_find_id(vm->pipeline->store, channels, count, start->id);
        struct start found = {.kind = START_SEQUENCE, .number = (int64_t)sequence};
        if (sequence > 0)
            subscription_resolve(vm->hub, subscription, &found, result);
    } else if (start->kind == START_SINCE) {
        uint64_t sequence = store_since(vm->pipeline->store, channels, count, start->number);
        if (sequence > 0 && sequence <= result->cursor)
            result->cursor = sequence - 1;
    } else if (start->kind == START_LAST && result->wanted > 0) {
        search_back(vm, subscription, channels, count, result);
    }
    uint64_t oldest = store_since(vm->pipeline->store, channels, count, 0);
    if (oldest > 0 && (result->oldest == 0 || oldest < result->oldest))
        result->oldest = oldest;
    result->deep = result->cursor < memory_begins(subscription);
}

void backlog_resolve(struct vm *vm, struct subscription *subscription, const struct start *start,
                     struct start_result *result)
{
    uint32_t total = subscription->channel_count;
    for (uint32_t i = 0; i < total && vm->pipeline->store != NULL; i++) {
        struct channel *channel = subscription->channels[i].channel;
        if (channel->stored > 0)
            channel->stored_evicted = store_evicted(vm->pipeline->store, channel->stored);
    }
    subscription_resolve(vm->hub, subscription, start, result);
    uint32_t *channels = memory_new((total + 1) * sizeof *channels);
    unsigned count = stored_channels(subscription, channels);
    if (count > 0 && start->kind != START_LATEST)
        resolve(vm, subscription, start, channels, count, result);
    free(channels);
}
