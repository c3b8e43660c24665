#include "script/publication.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "script/judge.h"
#include "script/observer.h"
#include "script/task.h"

enum {
    RESERVE = 1000000,    /* sequences that one note in the store makes free to give */
    RESERVE_LOW = 100000, /* so many must be left when the next note is made */
};

struct waiter {
    struct list link; /* in publication.waiters */
    struct task *task;
    struct publication
        *publication; /* with a reference, which is the task's again when it goes on */
};

void publication_unref(struct publication *publication)
{
    if (--publication->references > 0)
        return;
    frame_unref(publication->frame);
    free(publication);
}

bool publication_waits(const struct vm *vm, const struct channel *channel)
{
    const struct list *all = &vm->pipeline->publications;
    for (const struct list *node = all->next; node != all; node = node->next) {
        if (CONTAINER_OF(node, struct publication, link)->channel == channel)
            return true;
    }
    return false;
}

/* Waiting */

static void remove_waiter(struct waiter *waiter)
{
    list_remove(&waiter->link);
    free(waiter);
}

/* The task is ended while it waits: the event goes its way without it. */
static void abandon(void *context)
{
    struct publication *publication = ((struct waiter *)context)->publication;
    remove_waiter(context);
    publication_unref(publication);
}

void publication_await(struct publication *publication, struct task *task)
{
    struct waiter *waiter = memory_zero(1, sizeof *waiter);
    waiter->task = task;
    waiter->publication = publication;
    list_append(&publication->waiters, &waiter->link);
    task_will_wait(task, abandon, waiter);
}

static void wake(struct publication *publication)
{
    struct list ready;
    list_init(&ready);
    list_move(&publication->waiters, &ready);
    while (!list_is_empty(&ready)) {
        struct waiter *waiter = CONTAINER_OF(ready.next, struct waiter, link);
        struct task *task = waiter->task;
        remove_waiter(waiter);
        task_resume(task, 0);
    }
}

/* The way into the log */

static void commit(struct vm *vm, struct channel *channel, struct frame *frame, int event)
{
    lua_State *L = vm_state(vm);
    judge_commit(L, channel, frame, event);
    observer_notify(L, channel, frame);
}

static void settle_entry(struct pipeline *pipeline, struct publication *publication)
{
    struct idempotency_entry *entry = publication->entry;
    if (entry == NULL)
        return;
    publication->entry = NULL;
    entry->pending = NULL;
    entry->durable = publication->waits;
    if (publication->failed)
        idempotency_remove(&pipeline->idempotency, entry);
}

static void leave(struct vm *vm, struct publication *publication)
{
    struct channel *channel = publication->channel;
    settle_entry(vm->pipeline, publication);
    wake(publication);
    channel->pending--;
    hub_release(vm->hub, channel);
    publication_unref(publication);
}

void publication_advance(struct vm *vm)
{
    struct pipeline *pipeline = vm->pipeline;
    while (pipeline->judging == 0 && !list_is_empty(&pipeline->publications)) {
        struct publication *first =
            CONTAINER_OF(pipeline->publications.next, struct publication, link);
        if (!first->decided)
            return;
        list_remove(&first->link);
        if (!first->failed)
            commit(pipeline->vm, first->channel, first->frame, 0);
        leave(pipeline->vm, first);
    }
}

static void apply_result(struct pipeline *pipeline, const struct store_result *result)
{
    struct list *all = &pipeline->publications;
    for (struct list *node = all->next; node != all; node = node->next) {
        struct publication *publication = CONTAINER_OF(node, struct publication, link);
        uint64_t sequence = publication->frame->sequence;
        if (sequence > result->sequence)
            break;
        if (publication->decided || sequence < result->first)
            continue;
        publication->decided = true;
        publication->failed = result->error != 0;
        snprintf(publication->message, sizeof publication->message, "%s", result->message);
    }
}

static void take_results(struct pipeline *pipeline)
{
    struct store_result result;
    while (pipeline->store != NULL && store_take_result(pipeline->store, &result))
        apply_result(pipeline, &result);
}

void publication_results(struct vm *vm)
{
    take_results(vm->pipeline);
    publication_advance(vm);
}

void publication_decide_all(struct vm *vm)
{
    struct pipeline *pipeline = vm->pipeline;
    store_wait(pipeline->store);
    take_results(pipeline);
    /* Tasks of a script that is being replaced must not go on behind the back of the new one, which
     * has read already how far they are. */
    if (vm->previous == NULL)
        publication_advance(vm);
    else
        uv_async_send(&pipeline->async);
}

void publication_drop_all(struct pipeline *pipeline)
{
    while (!list_is_empty(&pipeline->publications)) {
        struct publication *first =
            CONTAINER_OF(pipeline->publications.next, struct publication, link);
        list_remove(&first->link);
        first->failed = first->decided = true;
        first->channel->pending--;
        settle_entry(pipeline, first);
        publication_unref(first);
    }
}

/* Entering */

bool publication_is_clear(const struct pipeline *pipeline)
{
    return list_is_empty(&pipeline->publications) && pipeline->judging == 0;
}

void publication_reserve(struct vm *vm)
{
    struct pipeline *pipeline = vm->pipeline;
    if (pipeline->store == NULL || vm->hub->sequence + RESERVE_LOW < pipeline->reserved)
        return;
    pipeline->reserved = vm->hub->sequence + RESERVE;
    store_reserve(pipeline->store, pipeline->reserved);
}

static struct publication *new_publication(struct pipeline *pipeline, struct channel *channel,
                                           struct frame *frame, bool waits)
{
    struct publication *publication = memory_zero(1, sizeof *publication);
    publication->references = 2;
    publication->channel = channel;
    publication->frame = frame;
    publication->subscribers = channel->subscribers;
    publication->waits = waits;
    publication->decided = !waits;
    channel->pending++;
    list_init(&publication->waiters);
    list_append(&pipeline->publications, &publication->link);
    return publication;
}

struct publication *publication_enter(lua_State *L, struct channel *channel, struct frame *frame,
                                      struct slice key, int event)
{
    struct vm *vm = vm_of(L);
    struct pipeline *pipeline = vm->pipeline;
    bool stored = channel->stored > 0 && pipeline->store != NULL;
    bool waits = stored && !channel->options.relaxed;
    publication_reserve(vm);
    if (stored)
        store_append(pipeline->store, channel->stored, frame, waits,
                     &(struct store_answer){key, channel->subscribers});
    if (waits || !publication_is_clear(pipeline))
        return new_publication(pipeline, channel, frame, waits);
    /* Filters and observers are those of the script that runs, whichever script publishes. */
    commit(pipeline->vm, channel, frame, vm == pipeline->vm ? event : 0);
    frame_unref(frame);
    /* What filters published meanwhile comes after it. */
    publication_advance(vm);
    return NULL;
}
