#include "net/shard.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "net/connection.h"
#include "net/fanout.h"
#include "net/http1.h"
#include "net/stream.h"

enum {
    ACCEPTS_PER_TURN = 64,
    ACCEPT_PAUSE = 100,    /* milliseconds without accepting when descriptors are out ... */
    TELL_INTERVAL = 10000, /* ... and between two log lines about it */
    INBOX_LIMIT = 64,      /* batches that wait for a shard until senders wait too */
};

struct listener_watch {
    uv_poll_t poll;
    struct shard *shard;
    const struct listener *listener;
};

void shard_tell(struct shard *shard, const struct message *message)
{
    outbox_push(&shard->outbox, message);
}

void shard_flush(struct shard *shard)
{
    outbox_flush(&shard->outbox);
}

/* Connections by id */

struct connection *shard_find(const struct shard *shard, connection_id id)
{
    uint32_t slot = (uint32_t)id;
    uint32_t generation = (uint32_t)(id >> 32) & 0xffffff;
    if (slot >= shard->slot_count || shard->slots[slot].generation != generation)
        return NULL;
    return shard->slots[slot].connection;
}

connection_id shard_register(struct shard *shard, struct connection *connection)
{
    if (shard->free_slot == UINT32_MAX) {
        uint32_t count = shard->slot_count == 0 ? 64 : shard->slot_count * 2;
        shard->slots = memory_grow(shard->slots, count * sizeof *shard->slots);
        for (uint32_t i = shard->slot_count; i < count; i++)
            shard->slots[i] =
                (struct connection_slot){NULL, 1, i + 1 == count ? UINT32_MAX : i + 1};
        shard->free_slot = shard->slot_count;
        shard->slot_count = count;
    }
    uint32_t slot = shard->free_slot;
    shard->free_slot = shard->slots[slot].next_free;
    shard->slots[slot].connection = connection;
    shard->connection_count++;
    return (uint64_t)shard->index << 56 | (uint64_t)shard->slots[slot].generation << 32 | slot;
}

static void tell_drained(struct shard *shard)
{
    if (shard->draining && shard->connection_count == 0)
        shard_tell(shard, &(struct message){.kind = MESSAGE_DRAINED, .number = shard->index});
}

void shard_unregister(struct shard *shard, connection_id id)
{
    struct connection_slot *slot = &shard->slots[(uint32_t)id];
    slot->connection = NULL;
    slot->generation = (slot->generation + 1) & 0xffffff;
    slot->next_free = shard->free_slot;
    shard->free_slot = (uint32_t)id;
    shard->connection_count--;
    tell_drained(shard);
}

/* Deadlines */

static void arm(struct shard *shard);

static void fire_deadlines(struct shard *shard)
{
    struct heap_node *node;
    while ((node = heap_first(&shard->deadlines)) != NULL && node->key <= shard_now(shard)) {
        struct deadline *deadline = CONTAINER_OF(node, struct deadline, node);
        heap_remove(&shard->deadlines, node);
        deadline->fire(shard, deadline);
    }
}

static void on_timer(uv_timer_t *timer)
{
    fire_deadlines(timer->data);
    arm(timer->data);
}

static void arm(struct shard *shard)
{
    struct heap_node *node = heap_first(&shard->deadlines);
    if (node == NULL || shard->stopped)
        return;
    uint64_t now = uv_now(shard->loop);
    uv_timer_start(&shard->timer, on_timer, node->key > now ? node->key - now : 0, 0);
}

void shard_set_deadline(struct shard *shard, struct deadline *deadline, uint64_t due)
{
    heap_set(&shard->deadlines, &deadline->node, due);
    if (heap_first(&shard->deadlines) == &deadline->node)
        arm(shard);
}

void shard_clear_deadline(struct shard *shard, struct deadline *deadline)
{
    heap_remove(&shard->deadlines, &deadline->node);
}

/* Accepting */

static struct address address_of(const struct sockaddr_storage *name)
{
    struct address address = {{0}};
    if (name->ss_family == AF_INET) {
        address.bytes[10] = address.bytes[11] = 0xff;
        memcpy(address.bytes + 12, &((const struct sockaddr_in *)name)->sin_addr, 4);
    } else if (name->ss_family == AF_INET6) {
        memcpy(address.bytes, &((const struct sockaddr_in6 *)name)->sin6_addr, 16);
    }
    return address;
}

static void on_accept(uv_poll_t *poll, int status, int events);

static void watch_listeners(struct shard *shard, bool on)
{
    for (unsigned i = 0; i < shard->watch_count; i++) {
        if (on)
            uv_poll_start(&shard->watches[i].poll, UV_READABLE, on_accept);
        else
            uv_poll_stop(&shard->watches[i].poll);
    }
}

static void on_accept_pause(uv_timer_t *timer)
{
    struct shard *shard = timer->data;
    watch_listeners(shard, !shard->draining);
}

/* Out of descriptors or memory: those who wait to be accepted go on waiting, since an error answer
 * would make an EventSource give up for good. */
static void pause_accepting(struct shard *shard, int error)
{
    uint64_t now = shard_now(shard);
    if (shard->accept_told == 0 || now - shard->accept_told >= TELL_INTERVAL) {
        log_line(LOG_WARN, "cannot accept connections: %s; new ones wait", strerror(error));
        shard->accept_told = now;
    }
    watch_listeners(shard, false);
    uv_timer_start(&shard->accept_pause, on_accept_pause, ACCEPT_PAUSE, 0);
}

static void on_accept(uv_poll_t *poll, int status, int events)
{
    struct listener_watch *watch = CONTAINER_OF(poll, struct listener_watch, poll);
    struct shard *shard = watch->shard;
    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage name = {0};
        socklen_t length = sizeof name;
        int descriptor = accept4(watch->listener->descriptor, (struct sockaddr *)&name, &length,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(shard, errno);
            return;
        }
        struct address address = address_of(&name);
        if (admission_enter(shard->admission, &address))
            connection_open(shard, descriptor, &address);
        else
            close(descriptor);
    }
}

int shard_listen(struct shard *shard, const struct listeners *listeners)
{
    shard->watches = memory_zero(listeners->count + 1, sizeof *shard->watches);
    for (unsigned i = 0; i < listeners->count; i++) {
        struct listener_watch *watch = &shard->watches[i];
        watch->shard = shard;
        watch->listener = &listeners->all[i];
        listener_allow_stall(watch->listener, shard->options->stall_timeout);
        int error = uv_poll_init(shard->loop, &watch->poll, watch->listener->descriptor);
        if (error != 0)
            return error;
        shard->watch_count++;
        uv_poll_start(&watch->poll, UV_READABLE, on_accept);
    }
    return 0;
}

/* Ending */

static void drain_connection(struct connection *connection)
{
    if (connection->state == CONNECTION_STREAMING)
        stream_end(connection, true);
    else if (http1_is_idle(connection) && !connection_has_input(connection))
        connection_close(connection);
}

static void drain(struct shard *shard)
{
    if (shard->draining)
        return;
    /* Those who came before the end, and the events before it, are served. */
    for (unsigned i = 0; i < shard->watch_count; i++) {
        on_accept(&shard->watches[i].poll, 0, UV_READABLE);
        listener_refuse(shard->watches[i].listener);
    }
    fanout_flush(shard);
    shard->draining = true;
    watch_listeners(shard, false);
    for (uint32_t i = 0; i < shard->slot_count; i++) {
        if (shard->slots[i].connection != NULL)
            drain_connection(shard->slots[i].connection);
    }
    tell_drained(shard);
}

static void stop(struct shard *shard)
{
    if (shard->stopped)
        return;
    shard->draining = true;
    for (uint32_t i = 0; i < shard->slot_count; i++) {
        if (shard->slots[i].connection != NULL)
            connection_close(shard->slots[i].connection);
    }
    shard->stopped = true;
    for (unsigned i = 0; i < shard->watch_count; i++)
        uv_close((uv_handle_t *)&shard->watches[i].poll, NULL);
    uv_close((uv_handle_t *)&shard->accept_pause, NULL);
    uv_close((uv_handle_t *)&shard->timer, NULL);
    uv_close((uv_handle_t *)&shard->prepare, NULL);
    outbox_flush(&shard->outbox);
    mailbox_close(&shard->inbox);
}

/* Messages */

/* The decision on a request whose connection is gone: what it promised is taken back. */
static void decline(struct shard *shard, struct message *message)
{
    bool counts = message->kind == MESSAGE_SUBSCRIBE || message->kind == MESSAGE_JOIN ||
                  message->kind == MESSAGE_MOVE;
    if (counts || message->kind == MESSAGE_STREAM)
        shard_tell(shard, &(struct message){.kind = MESSAGE_CLOSED,
                                            .connection = message->connection,
                                            .number = counts ? message->number : NO_SUBSCRIPTION});
    message_deinit(message);
}

static void receive_for(struct shard *shard, struct connection *connection, struct message *message)
{
    switch ((enum message_kind)message->kind) {
    case MESSAGE_RESPOND:
        http1_respond(connection, message->response);
        break;
    case MESSAGE_SUBSCRIBE:
        stream_subscribe(connection, message->response,
                         replica_audience(&shard->replica, message->number), message->sequence);
        break;
    case MESSAGE_JOIN:
        /* The stream may have ended meanwhile. */
        if (connection->state == CONNECTION_STREAMING)
            stream_join(connection, replica_audience(&shard->replica, message->number),
                        message->sequence, message->began);
        else
            decline(shard, message);
        break;
    case MESSAGE_MOVE:
        stream_move(connection, replica_audience(&shard->replica, message->number));
        break;
    case MESSAGE_STREAM:
        stream_open(connection, message->response, message->number);
        break;
    case MESSAGE_SEND:
        stream_send(connection, message->frame);
        frame_unref(message->frame);
        break;
    case MESSAGE_LEAVE:
        stream_end(connection, true);
        break;
    default: /* MESSAGE_END */
        stream_end(connection, false);
    }
}

static void on_message(void *context, struct message *message)
{
    struct shard *shard = context;
    if (message->kind == MESSAGE_CHANGE) {
        replica_apply(&shard->replica, &message->change);
    } else if (message->kind == MESSAGE_DRAIN) {
        drain(shard);
    } else if (message->kind == MESSAGE_STOP) {
        stop(shard);
    } else {
        struct connection *connection = shard_find(shard, message->connection);
        if (connection == NULL)
            decline(shard, message);
        else
            receive_for(shard, connection, message);
    }
}

static void on_end_of_batch(void *context)
{
    struct shard *shard = context;
    if (!shard->stopped)
        fanout_flush(shard);
}

static void on_prepare(uv_prepare_t *prepare)
{
    shard_flush(prepare->data);
}

void shard_turn(struct shard *shard)
{
    if (shard->stopped)
        return;
    /* The loop's own time stays: the script may be in a timer, and its timers that became due would
     * follow in the same turn of the loop, before any socket. */
    shard->turn = uv_hrtime() / 1000000;
    mailbox_deliver(&shard->inbox);
    fire_deadlines(shard);
    for (uint32_t i = 0; i < shard->slot_count; i++) {
        struct connection *connection = shard->slots[i].connection;
        if (connection != NULL && connection->events & UV_WRITABLE)
            connection_write_more(connection);
    }
}

/* Life */

int shard_init(struct shard *shard, uint32_t index, uv_loop_t *loop,
               const struct shard_options *options, struct admission *admission,
               struct mailbox *script)
{
    *shard = (struct shard){.index = index,
                            .loop = loop,
                            .options = options,
                            .admission = admission,
                            .free_slot = UINT32_MAX};
    struct mailbox_receiver receiver = {shard, on_message, on_end_of_batch};
    int error = mailbox_init(&shard->inbox, loop, INBOX_LIMIT, &receiver);
    if (error != 0)
        return error;
    outbox_init(&shard->outbox, script);
    replica_init(&shard->replica);
    shard->replica.context = shard;
    shard->replica.opened = fanout_opened;
    shard->replica.closing = fanout_closing;
    shard->replica.ending = fanout_ending;
    shard->replica.leaving = fanout_leaving;
    shard->replica.removing = fanout_removing;
    heap_init(&shard->deadlines);
    uv_timer_init(loop, &shard->timer);
    uv_timer_init(loop, &shard->accept_pause);
    uv_prepare_init(loop, &shard->prepare);
    uv_prepare_start(&shard->prepare, on_prepare);
    shard->timer.data = shard->accept_pause.data = shard->prepare.data = shard;
    shard->heartbeat = frame_of_text(slice_text(":\n\n"), 0);
    shard->read_buffer = memory_new(SHARD_READ_BUFFER);
    shard->join_buffer = memory_new(SHARD_JOIN_BUFFER);
    return 0;
}

void shard_deinit(struct shard *shard)
{
    replica_deinit(&shard->replica);
    outbox_deinit(&shard->outbox);
    mailbox_deinit(&shard->inbox);
    heap_deinit(&shard->deadlines);
    frame_unref(shard->heartbeat);
    free(shard->read_buffer);
    free(shard->join_buffer);
    free(shard->watches);
    free(shard->slots);
}
