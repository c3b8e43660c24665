#include "net/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/http1.h"
#include "net/stream.h"

enum {
    LINGER_TIMEOUT = 2000,   /* milliseconds that a peer has to close after we did */
    FILE_TURN = 1024 * 1024, /* bytes of a file sent before other connections have their turn */
};

struct output {
    struct buffer bytes;
    size_t written;
    int file; /* -1, or what follows the bytes */
    off_t offset;
    uint64_t left;
};

static void output_free(struct output *output)
{
    if (output == NULL)
        return;
    if (output->file >= 0)
        close(output->file);
    buffer_deinit(&output->bytes);
    free(output);
}

static struct output *output_of(struct connection *connection)
{
    if (connection->output == NULL) {
        connection->output = memory_zero(1, sizeof *connection->output);
        connection->output->file = -1;
    }
    return connection->output;
}

/* Closing */

static void on_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct connection, poll));
}

void connection_close(struct connection *connection)
{
    struct shard *shard = connection->shard;
    if (connection->state == CONNECTION_CLOSED)
        return;
    if (connection->state == CONNECTION_STREAMING)
        stream_detach(connection);
    connection->state = CONNECTION_CLOSED;
    shard_clear_deadline(shard, &connection->deadline);
    http1_free(connection->http1);
    output_free(connection->output);
    connection->http1 = NULL;
    connection->output = NULL;
    /* The poll handle must leave the loop before its descriptor may be used anew. */
    uv_poll_stop(&connection->poll);
    uv_close((uv_handle_t *)&connection->poll, on_closed);
    close(connection->descriptor);
    admission_leave(shard->admission, &connection->address);
    shard_unregister(shard, connection->id);
}

static void begin_linger(struct connection *connection)
{
    shutdown(connection->descriptor, SHUT_WR);
    if (connection->peer_done) {
        connection_close(connection);
        return;
    }
    connection_expect(connection, LINGER_TIMEOUT);
    connection_watch(connection);
}

void connection_finish(struct connection *connection)
{
    if (connection->state == CONNECTION_CLOSED)
        return;
    if (connection->state == CONNECTION_STREAMING)
        stream_detach(connection);
    connection->state = CONNECTION_LINGERING;
    http1_free(connection->http1);
    connection->http1 = NULL;
    if (connection->output == NULL) {
        begin_linger(connection);
    } else {
        connection_expect(connection, connection->shard->options->stall_timeout);
        connection_watch(connection);
    }
}

/* Writing */

static bool is_full(ssize_t result)
{
    return result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

void connection_write(struct connection *connection, struct slice bytes)
{
    if (connection->state == CONNECTION_CLOSED)
        return;
    size_t sent = 0;
    if (connection->output == NULL) {
        ssize_t result =
            send(connection->descriptor, bytes.data, bytes.length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (result < 0 && !is_full(result)) {
            connection_close(connection);
            return;
        }
        sent = result < 0 ? 0 : (size_t)result;
        shard_count(&connection->shard->counters.bytes_sent, sent);
    }
    if (sent == bytes.length)
        return;
    buffer_append(&output_of(connection)->bytes, bytes.data + sent, bytes.length - sent);
    connection_watch(connection);
}

void connection_write_file(struct connection *connection, int file, int64_t offset, uint64_t length)
{
    if (connection->state == CONNECTION_CLOSED || length == 0) {
        close(file);
        return;
    }
    struct output *output = output_of(connection);
    output->file = file;
    output->offset = offset;
    output->left = length;
    connection_flush(connection);
}

/* 1: all bytes are written; 0: the socket is full; negative: the connection is broken. */
static int flush_bytes(struct connection *connection, struct output *output)
{
    while (output->written < output->bytes.length) {
        ssize_t result = send(connection->descriptor, output->bytes.data + output->written,
                              output->bytes.length - output->written, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (result < 0)
            return is_full(result) ? 0 : -1;
        output->written += (size_t)result;
        shard_count(&connection->shard->counters.bytes_sent, (uint64_t)result);
    }
    return 1;
}

static int flush_file(struct connection *connection, struct output *output)
{
    uint64_t turn = FILE_TURN;
    while (output->left > 0) {
        if (turn == 0)
            return 0;
        uint64_t wanted = output->left < turn ? output->left : turn;
        ssize_t result =
            sendfile(connection->descriptor, output->file, &output->offset, (size_t)wanted);
        if (result < 0)
            return is_full(result) ? 0 : -1;
        /* The file became shorter: the promised length cannot be kept. */
        if (result == 0)
            return -1;
        output->left -= (uint64_t)result;
        turn -= (uint64_t)result;
        shard_count(&connection->shard->counters.bytes_sent, (uint64_t)result);
    }
    return 1;
}

bool connection_flush(struct connection *connection)
{
    struct output *output = connection->output;
    if (connection->state == CONNECTION_CLOSED)
        return false;
    if (output == NULL)
        return true;
    size_t written = output->written;
    uint64_t left = output->left;
    int result = flush_bytes(connection, output);
    if (result > 0 && output->file >= 0)
        result = flush_file(connection, output);
    if (result < 0) {
        connection_close(connection);
        return false;
    }
    if (result > 0) {
        output_free(output);
        connection->output = NULL;
    } else if (output->written != written || output->left != left) {
        connection_expect(connection, connection->shard->options->stall_timeout);
    }
    connection_watch(connection);
    return result > 0;
}

/* Reading */

static void receive(struct connection *connection)
{
    struct shard *shard = connection->shard;
    ssize_t length = recv(connection->descriptor, shard->read_buffer, SHARD_READ_BUFFER, 0);
    if (is_full(length))
        return;
    if (length < 0) {
        connection_close(connection);
        return;
    }
    switch ((enum connection_state)connection->state) {
    case CONNECTION_READING:
    case CONNECTION_WAITING:
    case CONNECTION_WRITING:
        if (length == 0)
            http1_receive_end(connection);
        else
            http1_receive(connection, slice_of(shard->read_buffer, (size_t)length));
        if (http1_is_full(connection))
            connection_watch(connection);
        break;
    case CONNECTION_STREAMING:
    case CONNECTION_LINGERING:
        /* A stream's client has nothing more to say; its end is the end. */
        if (length == 0)
            connection_close(connection);
        break;
    case CONNECTION_CLOSED:
        break;
    }
}

bool connection_has_input(const struct connection *connection)
{
    char byte;
    return recv(connection->descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void connection_write_more(struct connection *connection)
{
    if (!connection_flush(connection))
        return;
    switch ((enum connection_state)connection->state) {
    case CONNECTION_WRITING:
        http1_written(connection);
        break;
    case CONNECTION_STREAMING:
        stream_pump(connection);
        break;
    case CONNECTION_LINGERING:
        begin_linger(connection);
        break;
    case CONNECTION_READING:
    case CONNECTION_WAITING:
    case CONNECTION_CLOSED:
        break;
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = CONTAINER_OF(poll, struct connection, poll);
    if (status < 0) {
        connection_close(connection);
        return;
    }
    if (events & UV_READABLE)
        receive(connection);
    if ((events & UV_WRITABLE) && connection->state != CONNECTION_CLOSED)
        connection_write_more(connection);
}

static int wanted_events(const struct connection *connection)
{
    int events = 0;
    if (!connection->peer_done && !http1_is_full(connection))
        events |= UV_READABLE;
    if (connection->output != NULL ||
        (connection->state == CONNECTION_STREAMING && stream_is_behind(connection)))
        events |= UV_WRITABLE;
    return events;
}

void connection_watch(struct connection *connection)
{
    if (connection->state == CONNECTION_CLOSED)
        return;
    int events = wanted_events(connection);
    if (events == connection->events)
        return;
    connection->events = (uint8_t)events;
    if (events == 0)
        uv_poll_stop(&connection->poll);
    else
        uv_poll_start(&connection->poll, events, on_poll);
}

/* Deadlines */

static void on_deadline(struct shard *shard, struct deadline *deadline)
{
    struct connection *connection = CONTAINER_OF(deadline, struct connection, deadline);
    switch ((enum connection_state)connection->state) {
    case CONNECTION_READING:
        http1_timeout(connection);
        break;
    case CONNECTION_STREAMING:
        stream_deadline(connection);
        break;
    case CONNECTION_WRITING:
        shard_count(&shard->counters.stalled, 1);
        connection_close(connection);
        break;
    default:
        connection_close(connection);
    }
}

void connection_expect(struct connection *connection, unsigned milliseconds)
{
    if (connection->state != CONNECTION_CLOSED)
        shard_set_deadline(connection->shard, &connection->deadline,
                           shard_now(connection->shard) + milliseconds);
}

void connection_expect_nothing(struct connection *connection)
{
    shard_clear_deadline(connection->shard, &connection->deadline);
}

/* Opening */

void connection_open(struct shard *shard, int descriptor, const struct address *address)
{
    struct connection *connection = memory_zero(1, sizeof *connection);
    connection->shard = shard;
    connection->descriptor = descriptor;
    connection->address = *address;
    connection->deadline.fire = on_deadline;
    if (uv_poll_init(shard->loop, &connection->poll, descriptor) != 0) {
        admission_leave(shard->admission, address);
        close(descriptor);
        free(connection);
        return;
    }
    connection->id = shard_register(shard, connection);
    shard_count(&shard->counters.accepted, 1);
    connection_expect(connection, shard->options->head_timeout);
    connection_watch(connection);
    /* The request is often there already. */
    receive(connection);
}
