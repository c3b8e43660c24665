#include "script/durable.h"

#include <stdlib.h>
#include <string.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "script/call.h"
#include "script/channel.h"
#include "script/event.h"
#include "script/scratch.h"

enum { CLOSING_ROUNDS = 100 }; /* of publications that others' ends lead to */

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

static void close_store(struct pipeline *pipeline)
{
    for (int i = 0; i < CLOSING_ROUNDS && !list_is_empty(&pipeline->publications); i++)
        publication_decide_all(pipeline->vm);
    publication_drop_all(pipeline);
    store_reserve(pipeline->store, pipeline->vm->hub->sequence);
    store_close(pipeline->store);
    pipeline->store = NULL;
    uv_close((uv_handle_t *)&pipeline->async, NULL);
}

void pipeline_deinit(struct pipeline *pipeline)
{
    if (pipeline->store != NULL)
        close_store(pipeline);
    scratch_free(pipeline->scratch);
    idempotency_deinit(&pipeline->idempotency);
    free(pipeline->path);
}

/* Goes on with the life of the log in the file. No sequence may be given, and no epoch be used,
 * before the file has noted it. */
static bool continue_log(struct vm *vm, struct store *store)
{
    if (store_epoch(store)[0] == '\0')
        store_set_epoch(store, vm->hub->epoch);
    hub_continue(vm->hub, store_epoch(store), store_sequence(store));
    publication_reserve(vm);
    return store_wait(store);
}

static void open_store(lua_State *L, struct pipeline *pipeline, const char *path)
{
    struct vm *vm = vm_of(L);
    char message[512];
    const char *file = path;
    if (vm->hub->sequence > 0 || vm->hub->channel_count > 0)
        call_raise(L, "sse.store must come before the first channel");
    if (vm->options.check) {
        file = pipeline->scratch = scratch_new(path, message, sizeof message);
        if (file == NULL)
            call_raise(L, "sse.store: %s", message);
    }
    uv_async_init(vm->loop, &pipeline->async, on_async);
    uv_unref((uv_handle_t *)&pipeline->async);
    pipeline->async.data = pipeline;
    if (store_open(&pipeline->store, file, on_ready, &pipeline->async, message, sizeof message) !=
        0) {
        uv_close((uv_handle_t *)&pipeline->async, NULL);
        call_raise(L, "sse.store: %s", message);
    }
    pipeline->path = memory_copy(path, strlen(path));
    if (continue_log(vm, pipeline->store))
        return;
    store_failure(pipeline->store, message, sizeof message);
    call_raise(L, "sse.store: cannot write to %s: %s", path, message);
}

void durable_open_store(lua_State *L, const char *path, bool is_default)
{
    struct pipeline *pipeline = vm_of(L)->pipeline;
    if (pipeline->store == NULL)
        open_store(L, pipeline, path);
    else if (strcmp(pipeline->path, path) != 0)
        call_raise(L, "sse.store: the router keeps its logs in '%s'; another store needs a restart",
                   pipeline->path);
    pipeline->is_default = is_default;
}

/* Channels */

/* A channel's last events, newest first. */
struct tail {
    struct frame *frames[CHANNEL_TAIL];
    unsigned count;
    unsigned limit;
    size_t bytes;
    size_t max_bytes;
    bool cut; /* the disk has more */
};

static bool on_tail(void *context, uint32_t channel, struct frame *frame)
{
    struct tail *tail = context;
    (void)channel;
    size_t bytes = frame_memory(frame);
    if (tail->count == tail->limit ||
        (tail->max_bytes > 0 && tail->bytes + bytes > tail->max_bytes)) {
        tail->cut = true;
        frame_unref(frame);
        return false;
    }
    tail->frames[tail->count++] = frame;
    tail->bytes += bytes;
    return true;
}

/* Puts the last events back, and notes up to where memory lacks what the disk has. */
static void restore(struct vm *vm, struct channel *channel)
{
    const struct channel_options *options = &channel->options;
    struct tail *tail = memory_new(sizeof *tail);
    *tail = (struct tail){.limit = CHANNEL_TAIL, .max_bytes = options->max_bytes};
    if (!options->keyed && options->history < CHANNEL_TAIL)
        tail->limit = options->history;
    int error = store_read_back(vm->pipeline->store, &channel->stored, 1, channel->stored_evicted,
                                UINT64_MAX, on_tail, tail);
    if (error != 0)
        log_line(LOG_ERROR, "cannot read the events of %.*s from %s", (int)channel->name.length,
                 channel->name.data, vm->pipeline->path);
    channel->log.evicted = channel->stored_evicted;
    if (tail->cut || error != 0)
        channel->log.evicted =
            tail->count == 0 ? vm->hub->appended : tail->frames[tail->count - 1]->sequence - 1;
    for (unsigned i = tail->count; i-- > 0;) {
        hub_restore(vm->hub, channel, tail->frames[i]);
        frame_unref(tail->frames[i]);
    }
    free(tail);
}

/* What the channel had before it came to the disk is not there. */
static uint64_t begins(const struct vm *vm, const struct channel *channel)
{
    uint64_t last = log_last(&channel->log);
    uint64_t evicted = channel->log.evicted > vm->hub->floor ? channel->log.evicted : 0;
    return last > evicted ? last : evicted;
}

void durable_attach(struct vm *vm, struct channel *channel)
{
    const struct channel_options *options = &channel->options;
    bool was_stored = channel->stored > 0;
    bool known;
    if (vm->pipeline->store == NULL || !options->durable || !channel_keeps(channel)) {
        channel->stored = 0;
        return;
    }
    struct store_retention retention = {.history = options->stored_history,
                                        .max_age = options->max_age,
                                        .max_bytes = options->stored_bytes,
                                        .tombstones = options->history,
                                        .keyed = options->keyed};
    uint64_t first = was_stored ? 0 : begins(vm, channel);
    channel->stored = store_channel(vm->pipeline->store, channel->name, &retention, first, &known);
    if (known && !was_stored)
        store_wait(vm->pipeline->store);
    durable_refresh(vm, channel);
    if (known && !was_stored && first == 0)
        restore(vm, channel);
    else if (!was_stored && first == 0)
        channel->log.evicted = 0;
}

void durable_refresh(struct vm *vm, struct channel *channel)
{
    struct store *store = vm->pipeline->store;
    if (store == NULL || channel->stored == 0)
        return;
    uint64_t evicted = store_evicted(store, channel->stored);
    /* The writer looks for what is too old every now and then. */
    if (channel->options.max_age > 0) {
        uint64_t expired =
            store_expired(store, channel->stored, event_now() - (int64_t)channel->options.max_age);
        evicted = expired > evicted ? expired : evicted;
    }
    channel->stored_evicted = evicted;
}
