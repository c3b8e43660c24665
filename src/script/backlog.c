#include "script/backlog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "script/durable.h"
#include "script/page.h"

/* What retention had taken from a channel when a reader began to read. */
struct mark {
    uint32_t channel;
    uint64_t evicted;
};

struct backlog {
    connection_id connection;
    struct subscription *subscription;
    uint64_t cursor;
    uint64_t began;  /* the last event that was published then */
    unsigned unsent; /* frames of the page that the connection has not reported */
    struct mark *marks;
    uint32_t mark_count;
    struct address address;
    bool given_up; /* the stream is told to end */
};

static struct slice key_of(const connection_id *connection)
{
    return slice_of((const char *)connection, sizeof *connection);
}

/* What is gone of the channel for good, by now. */
static uint64_t gone(struct vm *vm, struct channel *channel)
{
    durable_refresh(vm, channel);
    return channel_gone(channel);
}

/* What was gone when the reader began; for a channel that came later, what is gone now. */
static uint64_t mark(struct vm *vm, struct backlog *backlog, uint32_t index,
                     struct channel *channel)
{
    if (index < backlog->mark_count && backlog->marks[index].channel == channel->id)
        return backlog->marks[index].evicted;
    for (uint32_t i = 0; i < backlog->mark_count; i++) {
        if (backlog->marks[i].channel == channel->id)
            return backlog->marks[i].evicted;
    }
    backlog->marks =
        memory_grow(backlog->marks, (backlog->mark_count + 1) * sizeof *backlog->marks);
    backlog->marks[backlog->mark_count++] = (struct mark){channel->id, gone(vm, channel)};
    return backlog->marks[backlog->mark_count - 1].evicted;
}

static void mark_all(struct vm *vm, struct backlog *backlog)
{
    const struct subscription *subscription = backlog->subscription;
    for (uint32_t i = 0; i < subscription->channel_count; i++)
        mark(vm, backlog, i, subscription->channels[i].channel);
}

/* The channel that lost, while the reader was on its way, what it needs next; or NULL. */
static struct channel *find_loss(struct vm *vm, struct backlog *backlog)
{
    const struct subscription *subscription = backlog->subscription;
    for (uint32_t i = 0; i < subscription->channel_count; i++) {
        struct channel *channel = subscription->channels[i].channel;
        uint64_t needs = backlog->cursor;
        if (!channel_keeps(channel) && backlog->began > needs)
            needs = backlog->began;
        uint64_t before = mark(vm, backlog, i, channel);
        if (gone(vm, channel) > (before > needs ? before : needs))
            return channel;
    }
    return NULL;
}

static void remove_backlog(struct vm *vm, struct backlog *backlog)
{
    map_remove(&vm->backlogs, key_of(&backlog->connection));
    free(backlog->marks);
    free(backlog);
}

/* The client comes back with the id it has reached, and is told what is lost. */
static void give_up(struct vm *vm, struct backlog *backlog, struct channel *channel)
{
    char address[ADDRESS_TEXT];
    address_text(&backlog->address, address, sizeof address);
    if (channel != NULL) {
        hub_count_lag(vm->hub, channel->id);
        log_line(LOG_INFO, "a reader of %.*s at %s lagged by %" PRIu64 " events: disconnected",
                 (int)channel->name.length, channel->name.data, address,
                 vm->hub->appended - backlog->cursor);
    } else {
        log_line(LOG_ERROR, "cannot read events for %s from %s", address, vm->pipeline->path);
    }
    backlog->given_up = true;
    vm->host.end(vm->host.context, backlog->connection);
}

/* Sends pages until one has something that the connection will tell us to have sent; at the end,
 * the reader joins those who read from memory. */
static void advance(struct vm *vm, struct backlog *backlog)
{
    uint64_t begins;
    while (backlog->cursor < (begins = page_memory_begins(backlog->subscription))) {
        struct page page;
        int error =
            page_read(&page, vm, backlog->subscription, backlog->cursor, begins, backlog->began);
        struct channel *lost = error == 0 ? find_loss(vm, backlog) : NULL;
        if (error != 0 || lost != NULL) {
            page_deinit(&page);
            give_up(vm, backlog, lost);
            return;
        }
        backlog->cursor = page.last;
        backlog->unsent = page.count;
        for (unsigned i = 0; i < page.count; i++)
            vm->host.send(vm->host.context, backlog->connection, page.frames[i]);
        free(page.frames);
        if (page.count > 0)
            return;
    }
    struct channel *lost = find_loss(vm, backlog);
    if (lost != NULL) {
        give_up(vm, backlog, lost);
        return;
    }
    vm->host.join(vm->host.context, backlog->connection, backlog->subscription, backlog->cursor,
                  backlog->began);
    remove_backlog(vm, backlog);
}

void backlog_start(struct vm *vm, connection_id connection, const struct address *address,
                   struct response *head, struct subscription *subscription, uint64_t cursor)
{
    struct backlog *backlog = memory_zero(1, sizeof *backlog);
    *backlog = (struct backlog){.connection = connection,
                                .subscription = subscription,
                                .cursor = cursor,
                                .began = vm->hub->appended};
    backlog->address = *address;
    map_put(&vm->backlogs, key_of(&backlog->connection), backlog);
    mark_all(vm, backlog);
    vm->host.stream(vm->host.context, connection, head, subscription->definition->heartbeat);
    advance(vm, backlog);
    publication_advance(vm);
}

bool backlog_taken(struct vm *vm, connection_id connection, unsigned frames)
{
    struct backlog *backlog = map_get(&vm->backlogs, key_of(&connection));
    if (backlog == NULL)
        return false;
    /* The next page may replace what the connection reads from only when this one is through. */
    backlog->unsent -= frames;
    if (backlog->unsent == 0 && !backlog->given_up)
        advance(vm, backlog);
    publication_advance(vm);
    return true;
}

bool backlog_closed(struct vm *vm, connection_id connection)
{
    struct backlog *backlog = map_get(&vm->backlogs, key_of(&connection));
    if (backlog == NULL)
        return false;
    hub_count_subscribers(vm->hub, backlog->subscription, -1);
    hub_unsubscribe(vm->hub, backlog->subscription);
    remove_backlog(vm, backlog);
    vm_subscriber_closed(vm, connection);
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
    while (map_next(&vm->backlogs, &position, &backlog)) {
        free(((struct backlog *)backlog)->marks);
        free(backlog);
    }
    map_deinit(&vm->backlogs);
}
