#include "script/publication.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "script/call.h"
#include "script/channel.h"
#include "script/event.h"
#include "script/idempotency.h"
#include "script/judge.h"
#include "script/observer.h"
#include "script/task.h"

enum {
    RESERVE = 1000000,    /* sequences that one note in the store makes free to give */
    RESERVE_LOW = 100000, /* so many must be left when the next note is made */
};

struct publication {
    struct list link; /* in vm.publications */
    int references;   /* the list, and each task that waits */
    struct channel *channel;
    struct frame *frame;
    struct idempotency_entry *entry;
    struct list waiters;
    bool decided;
    bool failed;
    char message[128];
};

struct waiter {
    struct list link;
    struct task *task;
    struct publication *publication; /* with a reference, which the waking task takes over */
};

static void unref(struct publication *publication)
{
    if (--publication->references > 0)
        return;
    frame_unref(publication->frame);
    free(publication);
}

/* The way into the log */

static void commit(struct vm *vm, struct channel *channel, struct frame *frame, int event_index)
{
    judge_commit(vm_state(vm), channel, frame, event_index);
    observer_notify(vm_state(vm), channel, frame);
}

static void on_waiter_ended(void *context)
{
    struct waiter *waiter = context;
    list_remove(&waiter->link);
    free(waiter);
}

static void wake(struct publication *publication)
{
    struct list ready;
    list_init(&ready);
    list_move(&publication->waiters, &ready);
    while (!list_is_empty(&ready)) {
        struct waiter *waiter = CONTAINER_OF(ready.next, struct waiter, link);
        struct task *task = waiter->task;
        on_waiter_ended(waiter);
        task_resume(task, 0);
    }
}

static void settle_entry(struct vm *vm, struct publication *publication)
{
    struct idempotency_entry *entry = publication->entry;
    if (entry == NULL)
        return;
    entry->pending = NULL;
    entry->durable = !publication->failed;
    if (publication->failed)
        idempotency_remove(&vm->pipeline->idempotency, entry);
    publication->entry = NULL;
}

/* Appends the decided ones at the front, in order, and lets their publishers go on. */
static void advance(struct vm *vm)
{
    while (!list_is_empty(&vm->pipeline->publications)) {
        struct publication *first =
            CONTAINER_OF(vm->pipeline->publications.next, struct publication, link);
        if (!first->decided)
            return;
        list_remove(&first->link);
        struct channel *channel = first->channel;
        if (!first->failed)
            commit(vm, channel, first->frame, 0);
        settle_entry(vm, first);
        wake(first);
        channel->pending--;
        hub_release(vm->hub, channel);
        unref(first);
    }
}

static void apply_result(struct vm *vm, const struct store_result *result)
{
    struct list *all = &vm->pipeline->publications;
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

static void publication_results(struct vm *vm)
{
    struct store_result result;
    if (vm->pipeline->store == NULL)
        return;
    while (store_take_result(vm->pipeline->store, &result))
        apply_result(vm, &result);
    advance(vm);
}

static void decide_all(struct vm *vm)
{
    store_wait(vm->pipeline->store);
    publication_results(vm);
}

static void reserve(struct vm *vm)
{
    if (vm->pipeline->store == NULL || vm->hub->sequence + RESERVE_LOW < vm->pipeline->reserved)
        return;
    vm->pipeline->reserved = vm->hub->sequence + RESERVE;
    store_reserve(vm->pipeline->store, vm->pipeline->reserved);
}

/* Takes the frame. NULL when the event is in the log already. */
static struct publication *enter(lua_State *L, struct channel *channel, struct frame *frame,
                                 struct slice key, int event_index)
{
    struct vm *vm = vm_of(L);
    reserve(vm);
    if (channel->stored > 0)
        store_append(vm->pipeline->store, channel->stored, frame, key);
    bool waits = channel->stored > 0 && !channel->options.relaxed;
    if (!waits && list_is_empty(&vm->pipeline->publications)) {
        commit(vm, channel, frame, event_index);
        frame_unref(frame);
        return NULL;
    }
    struct publication *publication = memory_zero(1, sizeof *publication);
    publication->references = 1;
    publication->channel = channel;
    publication->frame = frame;
    publication->decided = !waits;
    channel->pending++;
    list_init(&publication->waiters);
    list_append(&vm->pipeline->publications, &publication->link);
    return publication;
}

/* Publishing */

/* Finds the key of an event of a keyed channel: its own, or by the channel's rule. What it borrows
 * from stays on the stack. False when there is none. */
static bool find_key(lua_State *L, const struct channel *channel, int event_index,
                     struct frame_source *source)
{
    if (source->key.length > 0)
        return true;
    int type = channel_push_key_rule(L, channel);
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, event_index);
        lua_call(L, 1, 1);
    } else if (type == LUA_TSTRING && lua_type(L, event_index) == LUA_TTABLE &&
               lua_getfield(L, event_index, "data") == LUA_TTABLE) {
        lua_pushvalue(L, -2);
        lua_gettable(L, -2);
    } else {
        return false;
    }
    source->key.data = lua_tolstring(L, -1, &source->key.length);
    return source->key.data != NULL && source->key.length > 0;
}

static const char key_missing[] =
    "the event needs a key: the channel keeps the latest event of each";

/* core.key_problem(channel, event) -> what is wrong with the event's key, or nil */
int publication_key_problem(lua_State *L)
{
    struct frame_source source = {0};
    const struct channel *channel = channel_at(L, 1);
    if (lua_istable(L, 2) && lua_getfield(L, 2, "key") == LUA_TSTRING)
        source.key.data = lua_tolstring(L, -1, &source.key.length);
    if (!channel->options.keyed || find_key(L, channel, 2, &source))
        return 0;
    lua_pushstring(L, key_missing);
    return 1;
}

static void format_id(const struct vm *vm, const struct frame *frame, char *out, size_t size)
{
    if (frame->id.length > 0)
        snprintf(out, size, "%.*s", (int)frame->id.length, frame->bytes + frame->id.offset);
    else
        snprintf(out, size, "%s-%" PRIu64, vm->hub->epoch, frame->sequence);
}

static int push_answer(lua_State *L, const char *id, uint32_t subscribers, bool durable,
                       bool duplicate)
{
    lua_pushstring(L, id);
    lua_pushinteger(L, subscribers);
    lua_pushboolean(L, durable);
    lua_pushboolean(L, duplicate);
    return 4;
}

/* The decided publication's answer. */
static int push_decision(lua_State *L, const struct publication *publication, bool duplicate)
{
    char id[300];
    if (publication->failed) {
        lua_pushnil(L);
        lua_pushfstring(L, "the event is not on disk: %s", publication->message);
        lua_pushliteral(L, "EIO");
        return 3;
    }
    format_id(vm_of(L), publication->frame, id, sizeof id);
    return push_answer(L, id, publication->channel->subscribers, true, duplicate);
}

/* The context is the publication with its lowest bit as `duplicate`. */
static int after_wait(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct publication *publication = (struct publication *)(context & ~(lua_KContext)1);
    int count = push_decision(L, publication, context & 1);
    unref(publication);
    return count;
}

/* The task is ended while it waits: the event goes its way without it. */
static void abandon(void *context)
{
    struct publication *publication = ((struct waiter *)context)->publication;
    on_waiter_ended(context);
    unref(publication);
}

/* The answer where nothing can wait, in pipes and filters: the event goes its way. */
static int push_accepted(lua_State *L, const struct publication *publication, bool duplicate)
{
    char id[300];
    format_id(vm_of(L), publication->frame, id, sizeof id);
    return push_answer(L, id, publication->channel->subscribers, false, duplicate);
}

/* Waits for the decision. While the script is loaded nothing else goes on, so the thread waits. */
static int wait_for(lua_State *L, struct publication *publication, bool duplicate)
{
    struct task *task = task_of(L);
    if (task == NULL && !vm_of(L)->loading)
        return push_accepted(L, publication, duplicate);
    publication->references++;
    lua_KContext context = (lua_KContext)publication | (duplicate ? 1 : 0);
    if (task == NULL) {
        decide_all(vm_of(L));
        return after_wait(L, LUA_OK, context);
    }
    struct waiter *waiter = memory_zero(1, sizeof *waiter);
    waiter->task = task;
    waiter->publication = publication;
    list_append(&publication->waiters, &waiter->link);
    task_will_wait(task, abandon, waiter);
    return lua_yieldk(L, 0, context, after_wait);
}

/* The answer to a repeated publication, or 0 when it is the first of its key. */
static int repeat(lua_State *L, struct slice key)
{
    struct vm *vm = vm_of(L);
    struct idempotency_entry *entry =
        idempotency_find(&vm->pipeline->idempotency, key, event_now());
    if (entry != NULL && entry->pending != NULL)
        return wait_for(L, entry->pending, true);
    if (entry != NULL)
        return push_answer(L, entry->id, entry->subscribers, entry->durable, true);
    if (vm->pipeline->store == NULL)
        return 0;
    uint64_t sequence =
        store_find_idempotency(vm->pipeline->store, key, event_now() - IDEMPOTENCY_WINDOW);
    if (sequence == 0)
        return 0;
    char id[HUB_EPOCH_MAX + 24];
    snprintf(id, sizeof id, "%s-%" PRIu64, vm->hub->epoch, sequence);
    return push_answer(L, id, 0, true, true);
}

/* "CHANNEL\nKEY" of event.idempotency_key, left on the stack; empty when there is none. */
static struct slice idempotency_key(lua_State *L, int event_index, const struct channel *channel)
{
    struct slice key = {"", 0};
    if (lua_type(L, event_index) != LUA_TTABLE ||
        lua_getfield(L, event_index, "idempotency_key") != LUA_TSTRING)
        return key;
    if (lua_rawlen(L, -1) > 255)
        call_raise(L, "event.idempotency_key must have at most 255 bytes");
    lua_pushlstring(L, channel->name.data, channel->name.length);
    lua_pushliteral(L, "\n");
    lua_rotate(L, -3, -1);
    lua_concat(L, 3);
    key.data = lua_tolstring(L, -1, &key.length);
    return key;
}

static int publish(lua_State *L, struct channel *channel, struct frame_source *source,
                   struct slice key)
{
    struct vm *vm = vm_of(L);
    struct frame *frame;
    char id[300];
    source->time = event_now();
    int error = hub_prepare(vm->hub, channel, source, &frame);
    if (error != 0)
        return event_raise(L, "publish", error);
    format_id(vm, frame, id, sizeof id);
    struct publication *publication = enter(L, channel, frame, key, 2);
    uint32_t subscribers = channel->subscribers;
    if (key.length > 0) {
        struct idempotency_entry *entry =
            idempotency_add(&vm->pipeline->idempotency, key, source->time);
        snprintf(entry->id, sizeof entry->id, "%s", id);
        entry->subscribers = subscribers;
        entry->pending = publication;
        if (publication != NULL)
            publication->entry = entry;
    }
    if (publication != NULL && !publication->decided)
        return wait_for(L, publication, false);
    if (publication == NULL)
        hub_release(vm->hub, channel);
    return push_answer(L, id, subscribers, false, false);
}

int publication_publish(lua_State *L)
{
    struct frame_source source;
    lua_settop(L, 2);
    /* A name opens its channel only when the event is in order. */
    if (lua_type(L, 1) != LUA_TSTRING)
        channel_at(L, 1);
    event_read(L, 2, &source);
    struct channel *channel = channel_at(L, 1);
    if (channel->options.keyed && !find_key(L, channel, 2, &source))
        return call_raise(L, "%s", key_missing);
    struct slice key = idempotency_key(L, 2, channel);
    int answered = key.length > 0 ? repeat(L, key) : 0;
    return answered > 0 ? answered : publish(L, channel, &source, key);
}

/* channel:delete(key, event) -> as publish. The event tells the readers; `{ event = "delete", data
 * = { key = key } }` when it is absent. */
int publication_delete(lua_State *L)
{
    struct frame_source source;
    struct channel *channel = channel_at(L, 1);
    struct slice key;
    key.data = luaL_checklstring(L, 2, &key.length);
    lua_settop(L, 3);
    if (!channel->options.keyed)
        return call_raise(L, "channel:delete needs a keyed channel (option 'key')");
    if (channel_find_key(channel, key) == NULL)
        return 0;
    if (lua_isnil(L, 3)) {
        lua_newtable(L);
        lua_pushliteral(L, "delete");
        lua_setfield(L, -2, "event");
        lua_newtable(L);
        lua_pushvalue(L, 2);
        lua_setfield(L, -2, "key");
        lua_setfield(L, -2, "data");
        lua_replace(L, 3);
    }
    lua_remove(L, 2);
    event_read(L, 2, &source);
    lua_pushlstring(L, key.data, key.length);
    source.key.data = lua_tolstring(L, -1, &source.key.length);
    source.flags |= FRAME_TOMBSTONE;
    return publish(L, channel, &source, slice_of("", 0));
}

/* The store */

static void on_ready(void *context)
{
    uv_async_send(context);
}

static void on_async(uv_async_t *async)
{
    publication_results(((struct pipeline *)async->data)->vm);
}

void pipeline_init(struct pipeline *pipeline)
{
    *pipeline = (struct pipeline){0};
    list_init(&pipeline->publications);
    idempotency_init(&pipeline->idempotency);
}

void pipeline_deinit(struct pipeline *pipeline)
{
    if (pipeline->store != NULL) {
        store_reserve(pipeline->store, pipeline->vm->hub->sequence);
        decide_all(pipeline->vm);
        store_close(pipeline->store);
        pipeline->store = NULL;
        uv_close((uv_handle_t *)&pipeline->async, NULL);
    }
    idempotency_deinit(&pipeline->idempotency);
    free(pipeline->path);
}

static void open_store(lua_State *L, struct pipeline *pipeline, const char *path)
{
    struct vm *vm = vm_of(L);
    char message[512];
    struct store *store;
    if (vm->hub->sequence > 0 || vm->hub->channel_count > 0)
        call_raise(L, "sse.store must come before the first channel");
    uv_async_init(vm->loop, &pipeline->async, on_async);
    pipeline->async.data = pipeline;
    if (store_open(&store, path, on_ready, &pipeline->async, message, sizeof message) != 0) {
        uv_close((uv_handle_t *)&pipeline->async, NULL);
        call_raise(L, "sse.store: %s", message);
    }
    uv_unref((uv_handle_t *)&pipeline->async);
    pipeline->store = store;
    pipeline->path = memory_copy(path, strlen(path));
    if (store_epoch(store)[0] == '\0')
        store_set_epoch(store, vm->hub->epoch);
    hub_continue(vm->hub, store_epoch(store), store_sequence(store));
    reserve(vm);
    /* No sequence may be given before the store has noted that it may. */
    store_wait(store);
    publication_results(vm);
}

void publication_open_store(lua_State *L, const char *path, bool is_default)
{
    struct pipeline *pipeline = vm_of(L)->pipeline;
    if (pipeline->store == NULL)
        open_store(L, pipeline, path);
    else if (strcmp(pipeline->path, path) != 0)
        call_raise(L, "sse.store: the router keeps its logs in '%s'; another store needs a restart",
                   pipeline->path);
    pipeline->is_default = is_default;
}

/* Restored events come newest first. */
struct tail {
    struct frame *frames[CHANNEL_TAIL];
    int count;
};

static void on_tail(void *context, uint32_t channel, struct frame *frame)
{
    struct tail *tail = context;
    (void)channel;
    tail->frames[tail->count++] = frame;
}

static void restore(struct vm *vm, struct channel *channel)
{
    struct tail *tail = memory_new(sizeof *tail);
    tail->count = 0;
    int limit = channel->options.keyed ? CHANNEL_TAIL : (int)channel->options.history;
    store_read_back(vm->pipeline->store, &channel->stored, 1, UINT64_MAX, limit, on_tail, tail);
    for (int i = tail->count; i-- > 0;) {
        hub_restore(vm->hub, channel, tail->frames[i]);
        frame_unref(tail->frames[i]);
    }
    /* Memory has all that the disk has, or lacks what is older than its oldest. */
    channel->log.evicted = tail->count < limit ? store_evicted(vm->pipeline->store, channel->stored)
                                               : log_at(&channel->log, 0)->sequence - 1;
    free(tail);
}

void publication_attach(struct vm *vm, struct channel *channel)
{
    const struct channel_options *options = &channel->options;
    bool keeps = channel_keeps(channel);
    if (vm->pipeline->store == NULL || !options->durable || !keeps)
        return;
    struct store_retention retention = {.history = options->keyed ? 0 : options->stored_history,
                                        .max_age = options->max_age,
                                        .max_bytes = options->stored_bytes,
                                        .keyed = options->keyed};
    bool fresh = channel->stored == 0;
    channel->stored = store_channel(vm->pipeline->store, channel->name, &retention);
    store_wait(vm->pipeline->store);
    channel->stored_evicted = store_evicted(vm->pipeline->store, channel->stored);
    if (fresh)
        restore(vm, channel);
}
