#include "net/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "net/fanout.h"
#include "net/http1.h"
#include "proto/event_stream.h"

enum {
    PUMP_TURN = 1024 * 1024, /* bytes sent to one reader before the others have their turn */
    RETRY_MINIMUM = 1000,    /* milliseconds until clients of ended streams should come back ... */
    RETRY_SPREAD = 4000,     /* ... plus up to this, so that they do not all come at once */
};

/* A stream of its own: a small log that one client reads. */
struct own_stream {
    struct log log;
    unsigned heartbeat;
    unsigned untold; /* frames that came since the script was told */
};

/* What one writev sends. */
struct gather {
    struct frame *frames[SHARD_FRAMES];
    struct iovec vectors[SHARD_FRAMES];
    uint32_t count;
    size_t bytes;
    uint64_t cursor; /* when all of it is sent */
};

bool stream_is_behind(const struct connection *connection)
{
    if (connection->own != NULL)
        return connection->own->log.count > 0 || connection->subscriber.partial != NULL;
    return connection->subscriber.audience != NULL &&
           !subscriber_is_in_step(&connection->subscriber);
}

static uint32_t collect_own(const struct own_stream *own, uint64_t *cursor, struct frame **frames,
                            uint32_t max)
{
    uint32_t found = 0;
    for (uint32_t i = log_after(&own->log, *cursor); i < own->log.count && found < max; i++) {
        frames[found++] = log_at(&own->log, i)->frame;
        *cursor = log_at(&own->log, i)->sequence;
    }
    return found;
}

static void gather(struct connection *connection, struct gather *out, uint32_t max)
{
    struct subscriber *subscriber = &connection->subscriber;
    uint32_t first = 0;
    out->cursor = subscriber_position(subscriber);
    if (subscriber->partial != NULL)
        out->frames[first++] = subscriber->partial;
    uint32_t room = max - first;
    out->count =
        first + (connection->own != NULL
                     ? collect_own(connection->own, &out->cursor, out->frames + first, room)
                     : subscriber_collect(subscriber, &out->cursor, out->frames + first, room));
    out->bytes = 0;
    for (uint32_t i = 0; i < out->count; i++) {
        struct slice wire = frame_wire(out->frames[i], connection->chunked);
        size_t skip = i == 0 && first == 1 ? subscriber->written : 0;
        out->vectors[i] = (struct iovec){(char *)wire.data + skip, wire.length - skip};
        out->bytes += wire.length - skip;
    }
}

/* Notes that the socket took `sent` bytes of frames whose first is `written` bytes in already. */
static void advance(struct connection *connection, struct frame **frames, uint32_t count,
                    size_t sent, size_t written)
{
    struct subscriber *subscriber = &connection->subscriber;
    struct frame *old = subscriber->partial;
    subscriber->partial = NULL;
    subscriber->written = 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t left = frame_wire(frames[i], connection->chunked).length - written;
        if (sent < left) {
            if (sent + written > 0) {
                subscriber->partial = frame_ref(frames[i]);
                subscriber->written = (uint32_t)(sent + written);
            }
            break;
        }
        sent -= left;
        written = 0;
        if (frames[i]->sequence > 0)
            subscriber->cursor = frames[i]->sequence;
        shard_count(&connection->shard->counters.events_sent, 1);
    }
    frame_unref(old);
}

void stream_fall_behind(struct connection *connection, struct frame **frames, uint32_t count,
                        size_t sent, uint64_t cursor)
{
    audience_fall_behind(&connection->subscriber, cursor);
    advance(connection, frames, count, sent, 0);
    connection_expect(connection, connection->shard->options->stall_timeout);
    connection_watch(connection);
}

static int64_t jittered_retry(void)
{
    uint32_t noise = 0;
    if (getrandom(&noise, sizeof noise, GRND_NONBLOCK) < 0)
        noise = (uint32_t)uv_hrtime();
    return RETRY_MINIMUM + noise % RETRY_SPREAD;
}

/* Tells the client when to come back, if it is to know and no frame is sent in part. False when
 * nothing more can be sent now. */
static bool tell_retry(struct connection *connection)
{
    if (!connection->owes_retry || connection->subscriber.partial != NULL)
        return true;
    struct buffer text = {0};
    event_stream_retry(&text, jittered_retry());
    struct frame *frame = frame_of_text(buffer_slice(&text), 0);
    buffer_deinit(&text);
    connection->owes_retry = false;
    connection_write(connection, frame_wire(frame, connection->chunked));
    frame_unref(frame);
    return connection->state == CONNECTION_STREAMING && connection->output == NULL;
}

static void finish(struct connection *connection)
{
    tell_retry(connection);
    if (connection->chunked)
        connection_write(connection, http1_last_chunk());
    connection_finish(connection);
}

/* Everything is sent: the stream waits for news, or ends. */
static void caught_up(struct connection *connection, uint64_t cursor)
{
    struct subscriber *subscriber = &connection->subscriber;
    subscriber->cursor = cursor;
    if (connection->own != NULL) {
        struct own_stream *own = connection->own;
        log_evict(&own->log, cursor);
        if (own->untold > 0)
            shard_tell(connection->shard, &(struct message){.kind = MESSAGE_TAKEN,
                                                            .connection = connection->id,
                                                            .number = own->untold});
        own->untold = 0;
    }
    if (connection->ending) {
        finish(connection);
        return;
    }
    if (connection->own == NULL)
        audience_catch_up(subscriber, connection->descriptor);
    if (connection->own != NULL && connection->own->heartbeat > 0)
        connection_expect(connection, connection->own->heartbeat);
    else
        connection_expect_nothing(connection);
    connection_watch(connection);
}

/* True when the reader's place fell off the log and its channel's policy leaves nothing to send
 * now. A frame that is partly sent is completed before its reader is moved. */
static bool is_lost(struct connection *connection, bool *only_partial)
{
    struct subscriber *subscriber = &connection->subscriber;
    *only_partial = false;
    if (subscriber->audience == NULL)
        return false;
    const struct replica_channel *channel = subscriber_lag(subscriber);
    if (channel == NULL)
        return false;
    *only_partial = channel->on_lag == LAG_SKIP && subscriber->partial != NULL;
    return !*only_partial && fanout_lagged(connection, channel, subscriber_position(subscriber));
}

void stream_pump(struct connection *connection)
{
    struct gather next;
    size_t turn = 0;
    bool only_partial;
    if (connection->state != CONNECTION_STREAMING || connection->output != NULL)
        return;
    while (turn < PUMP_TURN) {
        if (is_lost(connection, &only_partial) || !tell_retry(connection))
            return;
        gather(connection, &next, only_partial || connection->owes_retry ? 1 : SHARD_FRAMES);
        if (next.count == 0) {
            caught_up(connection, next.cursor);
            return;
        }
        struct msghdr header = {.msg_iov = next.vectors, .msg_iovlen = next.count};
        ssize_t sent = sendmsg(connection->descriptor, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            connection_close(connection);
            return;
        }
        sent = sent < 0 ? 0 : sent;
        shard_count(&connection->shard->counters.bytes_sent, (uint64_t)sent);
        turn += (size_t)sent;
        advance(connection, next.frames, next.count, (size_t)sent, connection->subscriber.written);
        if (connection->own != NULL)
            log_evict(&connection->own->log, connection->subscriber.cursor);
        if (sent > 0 || !heap_contains(&connection->deadline.node))
            connection_expect(connection, connection->shard->options->stall_timeout);
        if ((size_t)sent < next.bytes)
            break;
        connection->subscriber.cursor = next.cursor;
    }
    connection_watch(connection);
}

static void free_own(struct connection *connection)
{
    if (connection->own == NULL)
        return;
    log_deinit(&connection->own->log);
    free(connection->own);
    connection->own = NULL;
}

/* Opening */

static void begin(struct connection *connection, struct response *head)
{
    http1_free(connection->http1);
    connection->http1 = NULL;
    connection->state = CONNECTION_STREAMING;
    connection->chunked = head->chunked;
    shard_count(&connection->shard->counters.streams, 1);
    connection_expect_nothing(connection);
}

void stream_will_end(struct connection *connection, bool come_back)
{
    if (connection->ending)
        return;
    connection->ending = true;
    connection->owes_retry = come_back;
}

static void begin_sending(struct connection *connection, struct response *head)
{
    connection_write(connection, buffer_slice(&head->bytes));
    response_free(head);
    if (connection->shard->draining)
        stream_will_end(connection, true);
    if (connection->output != NULL)
        connection_expect(connection, connection->shard->options->stall_timeout);
    if (connection->state == CONNECTION_STREAMING && connection->peer_done)
        connection_close(connection);
    else
        stream_pump(connection);
}

void stream_subscribe(struct connection *connection, struct response *head,
                      struct audience *audience, uint64_t cursor)
{
    /* Those in step first get what they miss, so that this one may join them at the end. */
    fanout_serve(connection->shard, audience);
    begin(connection, head);
    audience_add(audience, &connection->subscriber, cursor);
    begin_sending(connection, head);
}

void stream_join(struct connection *connection, struct audience *audience, uint64_t cursor,
                 uint64_t began)
{
    fanout_serve(connection->shard, audience);
    free_own(connection);
    audience_add(audience, &connection->subscriber, cursor);
    connection->subscriber.joined = began;
    stream_pump(connection);
}

void stream_move(struct connection *connection, struct audience *audience)
{
    struct subscriber *subscriber = &connection->subscriber;
    struct shard *shard = connection->shard;
    uint32_t left = audience->definition->id;
    if (subscriber->audience != NULL && connection->state == CONNECTION_STREAMING) {
        fanout_serve(shard, subscriber->audience);
        fanout_serve(shard, audience);
    }
    /* Serving may have closed the connection, which has told of its old subscription then. */
    if (subscriber->audience != NULL && connection->state == CONNECTION_STREAMING) {
        left = subscriber->audience->definition->id;
        audience_move(audience, subscriber);
    }
    shard_tell(shard, &(struct message){
                          .kind = MESSAGE_LEFT, .connection = connection->id, .number = left});
    stream_pump(connection);
}

void stream_open(struct connection *connection, struct response *head, unsigned heartbeat)
{
    begin(connection, head);
    connection->own = memory_zero(1, sizeof *connection->own);
    connection->own->heartbeat = heartbeat;
    begin_sending(connection, head);
}

void stream_send(struct connection *connection, struct frame *frame)
{
    if (connection->state != CONNECTION_STREAMING || connection->own == NULL)
        return;
    log_append(&connection->own->log, frame, NULL, 0);
    connection->own->untold++;
    /* While the socket is full, its readiness calls the pump. */
    if (!(connection->events & UV_WRITABLE))
        stream_pump(connection);
}

/* Ending */

void stream_end(struct connection *connection, bool come_back)
{
    if (connection->state != CONNECTION_STREAMING || connection->ending)
        return;
    stream_will_end(connection, come_back);
    if (!stream_is_behind(connection))
        finish(connection);
}

void stream_detach(struct connection *connection)
{
    struct audience *audience = connection->subscriber.audience;
    uint32_t number = audience == NULL ? NO_SUBSCRIPTION : audience->definition->id;
    if (audience != NULL) {
        audience_remove(&connection->subscriber);
    } else {
        frame_unref(connection->subscriber.partial);
        connection->subscriber.partial = NULL;
    }
    free_own(connection);
    shard_tell(
        connection->shard,
        &(struct message){.kind = MESSAGE_CLOSED, .connection = connection->id, .number = number});
}

void stream_deadline(struct connection *connection)
{
    struct shard *shard = connection->shard;
    if (stream_is_behind(connection) || connection->output != NULL) {
        char address[ADDRESS_TEXT];
        address_text(&connection->address, address, sizeof address);
        shard_count(&shard->counters.stalled, 1);
        log_line(LOG_INFO, "closed a stream of %s: it took nothing for %u s", address,
                 shard->options->stall_timeout / 1000);
        connection_close(connection);
    } else if (connection->own != NULL) {
        unsigned heartbeat = connection->own->heartbeat;
        connection_write(connection, frame_wire(shard->heartbeat, connection->chunked));
        /* That may have closed the connection, or have found the socket full. */
        connection_expect(connection,
                          connection->output != NULL ? shard->options->stall_timeout : heartbeat);
    }
}
