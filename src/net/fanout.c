#include "net/fanout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "net/stream.h"

/* Frames that are sent together, and where readers are who have not had them. */
struct span {
    struct frame **frames;
    uint32_t count;
    struct slice bytes;
    uint64_t before;
};

static struct connection *connection_of(struct member member)
{
    return CONTAINER_OF(member.subscriber, struct connection, subscriber);
}

/* Sends the span to all in step. Backwards, since who falls behind or leaves is replaced by the
 * last member, who has had its turn. */
static void broadcast(struct shard *shard, struct audience *audience, const struct span *span)
{
    struct slice bytes = span->bytes;
    for (uint32_t i = audience->member_count; i-- > 0;) {
        struct member member = audience->members[i];
        ssize_t sent =
            send(member.descriptor, bytes.data, bytes.length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent == (ssize_t)bytes.length)
            continue;
        if (sent >= 0 || errno == EAGAIN || errno == EINTR)
            stream_fall_behind(connection_of(member), span->frames, span->count,
                               sent < 0 ? 0 : (size_t)sent, span->before);
        else
            connection_close(connection_of(member));
    }
    shard_count(&shard->counters.events_sent, (uint64_t)audience->member_count * span->count);
    shard_count(&shard->counters.bytes_sent, (uint64_t)audience->member_count * bytes.length);
}

/* Puts the first frames that fit into one piece of memory. One frame alone is sent as it is. */
static uint32_t join(struct shard *shard, bool chunked, struct frame **frames, uint32_t count,
                     struct slice *out)
{
    *out = frame_wire(frames[0], chunked);
    if (count == 1 || out->length >= SHARD_JOIN_BUFFER)
        return 1;
    size_t length = 0;
    uint32_t joined = 0;
    for (; joined < count; joined++) {
        struct slice wire = frame_wire(frames[joined], chunked);
        if (length + wire.length > SHARD_JOIN_BUFFER)
            break;
        memcpy(shard->join_buffer + length, wire.data, wire.length);
        length += wire.length;
    }
    *out = slice_of(shard->join_buffer, length);
    return joined;
}

/* Sends the frames in as few pieces as the join buffer allows. */
static void broadcast_all(struct shard *shard, struct audience *audience, struct frame **frames,
                          uint32_t count, uint64_t before)
{
    while (count > 0) {
        struct span span = {.frames = frames, .before = before};
        /* Who falls behind with a piece reads the rest from the log. */
        span.count = join(shard, audience->definition->chunked, frames, count, &span.bytes);
        broadcast(shard, audience, &span);
        before = frames[span.count - 1]->sequence;
        frames += span.count;
        count -= span.count;
    }
}

void fanout_serve(struct shard *shard, struct audience *audience)
{
    struct frame *frames[SHARD_FRAMES];
    if (list_is_empty(&audience->dirty))
        return;
    list_remove(&audience->dirty);
    while (audience->member_count > 0) {
        uint64_t before = audience->cursor;
        uint32_t count = audience_collect_news(audience, frames, SHARD_FRAMES);
        if (count == 0)
            break;
        broadcast_all(shard, audience, frames, count, before);
        audience->sent_at = shard_now(shard);
    }
    audience_forget_news(audience);
}

/* Those behind whose place is about to go are told now, while the log line can say what happened.
 */
static void check_behind(struct audience *audience)
{
    struct list waiting;
    list_init(&waiting);
    list_move(&audience->behind, &waiting);
    while (!list_is_empty(&waiting)) {
        struct subscriber *subscriber = CONTAINER_OF(waiting.next, struct subscriber, behind);
        list_remove(&subscriber->behind);
        list_append(&audience->behind, &subscriber->behind);
        const struct replica_channel *channel = subscriber_lag(subscriber);
        if (channel != NULL && channel->on_lag == LAG_DISCONNECT)
            fanout_lagged(CONTAINER_OF(subscriber, struct connection, subscriber), channel,
                          subscriber_position(subscriber));
    }
}

void fanout_flush(struct shard *shard)
{
    struct list served;
    list_init(&served);
    while (!list_is_empty(&shard->replica.dirty)) {
        struct audience *audience = CONTAINER_OF(shard->replica.dirty.next, struct audience, dirty);
        fanout_serve(shard, audience);
        if (!list_is_empty(&audience->behind))
            list_append(&served, &audience->dirty);
    }
    replica_settle(&shard->replica);
    while (!list_is_empty(&served)) {
        struct audience *audience = CONTAINER_OF(served.next, struct audience, dirty);
        list_remove(&audience->dirty);
        check_behind(audience);
    }
}

static void append_id(struct buffer *out, const char *name, const struct replica *replica,
                      uint64_t sequence)
{
    struct slice epoch = frame_part(replica->epoch, replica->epoch->payload);
    if (sequence == 0)
        buffer_append_format(out, ",\"%s\":null", name);
    else
        buffer_append_format(out, ",\"%s\":\"%.*s-%" PRIu64 "\"", name, (int)epoch.length,
                             epoch.data, sequence);
}

/* What a reader is told that goes on with the channel's newest event: the form is that of
 * scripts/resets.lua. */
static void send_reset(struct connection *connection, const struct replica_channel *channel,
                       uint64_t cursor)
{
    const struct replica *replica = &connection->shard->replica;
    struct slice name = frame_part(channel->names, channel->names->name);
    struct buffer text = {0};
    if (name.length == 0)
        return;
    buffer_append_format(&text, "event: %.*s\ndata: {\"reason\":\"lagged\"", (int)name.length,
                         name.data);
    append_id(&text, "requested", replica, cursor);
    append_id(&text, "oldest", replica, log_last(&channel->log));
    append_id(&text, "latest", replica, replica->sequence);
    buffer_append_text(&text, "}\n\n");
    struct frame *frame = frame_of_text(buffer_slice(&text), 0);
    buffer_deinit(&text);
    connection_write(connection, frame_wire(frame, connection->chunked));
    frame_unref(frame);
}

static void tell_lag(struct connection *connection, const struct replica_channel *channel,
                     uint64_t cursor, const char *what)
{
    struct shard *shard = connection->shard;
    struct slice name = frame_part(channel->names, channel->names->key);
    char address[ADDRESS_TEXT];
    address_text(&connection->address, address, sizeof address);
    shard_tell(shard, &(struct message){.kind = MESSAGE_LAGGED, .number = channel->id});
    log_line(LOG_INFO, "a reader of %.*s at %s lagged by %" PRIu64 " events: %s", (int)name.length,
             name.data, address, shard->replica.sequence - cursor, what);
}

bool fanout_lagged(struct connection *connection, const struct replica_channel *channel,
                   uint64_t cursor)
{
    if (channel->on_lag != LAG_SKIP) {
        tell_lag(connection, channel, cursor, "disconnected");
        connection_close(connection);
        return true;
    }
    /* One that skips again before it has come to an event of the channel knows already. */
    if (subscriber_skip(&connection->subscriber, channel)) {
        tell_lag(connection, channel, cursor, "skipped to the newest");
        send_reset(connection, channel, cursor);
    }
    return connection->state != CONNECTION_STREAMING || connection->output != NULL;
}

/* Heartbeats */

struct pulse {
    struct deadline deadline;
    struct audience *audience;
};

static void beat(struct shard *shard, struct deadline *deadline)
{
    struct audience *audience = CONTAINER_OF(deadline, struct pulse, deadline)->audience;
    unsigned interval = audience->definition->heartbeat;
    uint64_t due = audience->sent_at + interval;
    if (due <= shard_now(shard)) {
        struct frame *heartbeat = shard->heartbeat;
        struct span span = {.frames = &heartbeat,
                            .count = 1,
                            .bytes = frame_wire(heartbeat, audience->definition->chunked),
                            .before = audience->cursor};
        broadcast(shard, audience, &span);
        audience->sent_at = shard_now(shard);
        due = audience->sent_at + interval;
    }
    shard_set_deadline(shard, deadline, due);
}

void fanout_opened(void *context, struct audience *audience)
{
    struct shard *shard = context;
    audience->sent_at = shard_now(shard);
    if (audience->definition->heartbeat == 0)
        return;
    struct pulse *pulse = memory_zero(1, sizeof *pulse);
    pulse->deadline.fire = beat;
    pulse->audience = audience;
    audience->heartbeat = pulse;
    shard_set_deadline(shard, &pulse->deadline,
                       audience->sent_at + audience->definition->heartbeat);
}

void fanout_closing(void *context, struct audience *audience)
{
    struct pulse *pulse = audience->heartbeat;
    if (pulse == NULL)
        return;
    shard_clear_deadline(context, &pulse->deadline);
    free(pulse);
}

/* Those behind end when they have caught up. */
static void end_streams(struct shard *shard, struct audience *audience, bool come_back)
{
    struct list *behind = &audience->behind;
    fanout_serve(shard, audience);
    for (uint32_t i = audience->member_count; i-- > 0;)
        stream_end(connection_of(audience->members[i]), come_back);
    for (struct list *node = behind->next; node != behind; node = node->next) {
        struct subscriber *subscriber = CONTAINER_OF(node, struct subscriber, behind);
        stream_will_end(CONTAINER_OF(subscriber, struct connection, subscriber), come_back);
    }
}

void fanout_removing(void *context, struct audience *audience)
{
    fanout_serve(context, audience);
}

void fanout_leaving(void *context, struct audience *audience)
{
    end_streams(context, audience, true);
}

void fanout_ending(void *context, struct audience *audience)
{
    end_streams(context, audience, false);
}
