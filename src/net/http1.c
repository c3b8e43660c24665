#include "net/http1.h"

#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"
#include "proto/http_response.h"

enum { MAX_PIPELINED = 65536 };

struct http1 {
    struct http_parser *parser; /* NULL between requests */
    struct buffer input;        /* bytes behind the request that is being answered */
    bool close;                 /* after the response */
};

static struct http1 *http1_of(struct connection *connection)
{
    if (connection->http1 == NULL)
        connection->http1 = memory_zero(1, sizeof *connection->http1);
    return connection->http1;
}

void http1_free(struct http1 *http1)
{
    if (http1 == NULL)
        return;
    http_parser_free(http1->parser);
    buffer_deinit(&http1->input);
    free(http1);
}

/* Answers a request that never gets to the script, and ends the connection: after a framing error
 * nobody knows where the next request starts. */
static void refuse(struct connection *connection, int error)
{
    struct buffer response = {0};
    shard_count(&connection->shard->counters.refused_requests, 1);
    bool has_body = !http_parser_is_head(connection->http1->parser);
    http_response_error(&response, http_status_of(error), error_text(error), has_body, time(NULL));
    connection_write(connection, buffer_slice(&response));
    buffer_deinit(&response);
    connection_finish(connection);
}

static void dispatch(struct connection *connection)
{
    struct http1 *http1 = connection->http1;
    struct exchange *exchange = memory_zero(1, sizeof *exchange);
    exchange->request = http_parser_take(http1->parser);
    exchange->address = connection->address;
    http_parser_free(http1->parser);
    http1->parser = NULL;
    http1->close = !exchange->request->keep_alive;
    connection->state = CONNECTION_WAITING;
    connection_expect_nothing(connection);
    shard_count(&connection->shard->counters.requests, 1);
    shard_tell(connection->shard, &(struct message){.kind = MESSAGE_REQUEST,
                                                    .connection = connection->id,
                                                    .exchange = exchange});
}

/* Reads one request from the bytes. Returns how many it used. */
static size_t read_request(struct connection *connection, struct slice bytes)
{
    struct http1 *http1 = http1_of(connection);
    const struct shard_options *options = connection->shard->options;
    size_t used = 0;
    if (http1->parser == NULL) {
        http1->parser = http_parser_new(&options->http);
        connection_expect(connection, options->head_timeout);
    }
    while (used < bytes.length) {
        size_t consumed;
        int result = http_parser_feed(http1->parser,
                                      slice_of(bytes.data + used, bytes.length - used), &consumed);
        used += consumed;
        if (result < 0) {
            refuse(connection, result);
            return bytes.length;
        }
        if (result == HTTP_PARSER_DONE) {
            dispatch(connection);
            return used;
        }
        /* A client that sent its body already does not wait (RFC 9110, 10.1.1). */
        if (result == HTTP_PARSER_CONTINUE && used == bytes.length)
            connection_write(connection, slice_text("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    if (connection->state != CONNECTION_CLOSED && http_parser_head_is_complete(http1->parser))
        connection_expect(connection, options->body_timeout);
    return used;
}

void http1_receive(struct connection *connection, struct slice bytes)
{
    size_t used = 0;
    if (connection->state == CONNECTION_READING)
        used = read_request(connection, bytes);
    if (used < bytes.length && connection->state != CONNECTION_CLOSED)
        buffer_append(&http1_of(connection)->input, bytes.data + used, bytes.length - used);
}

void http1_receive_end(struct connection *connection)
{
    connection->peer_done = true;
    /* A client may shut down its side and still wait for the answer. */
    if (connection->state == CONNECTION_READING)
        connection_close(connection);
    else
        connection_watch(connection);
}

void http1_respond(struct connection *connection, struct response *response)
{
    struct http1 *http1 = http1_of(connection);
    http1->close = http1->close || response->close;
    connection->state = CONNECTION_WRITING;
    connection_expect(connection, connection->shard->options->stall_timeout);
    if (response->file >= 0) {
        int file = response->file;
        response->file = -1;
        connection_write(connection, buffer_slice(&response->bytes));
        connection_write_file(connection, file, response->file_offset, response->file_length);
    } else {
        connection_write(connection, buffer_slice(&response->bytes));
    }
    response_free(response);
    if (connection->state == CONNECTION_WRITING && connection->output == NULL)
        http1_written(connection);
    else
        connection_watch(connection);
}

/* Goes on with what was pipelined. */
static void read_pipelined(struct connection *connection)
{
    struct http1 *http1 = connection->http1;
    size_t used = read_request(connection, buffer_slice(&http1->input));
    /* A refusal ends the connection, and http1 with it. */
    if (connection->http1 != NULL)
        buffer_consume(&http1->input, used);
}

/* Whether nothing more is answered. A router that ends still answers what has arrived. */
static bool is_last(const struct connection *connection)
{
    const struct http1 *http1 = connection->http1;
    if (http1->close || http1->input.length > 0)
        return http1->close;
    return connection->peer_done ||
           (connection->shard->draining && !connection_has_input(connection));
}

void http1_written(struct connection *connection)
{
    struct http1 *http1 = http1_of(connection);
    if (is_last(connection)) {
        connection_finish(connection);
        return;
    }
    connection->state = CONNECTION_READING;
    if (http1->input.length > 0) {
        read_pipelined(connection);
    } else {
        http1_free(http1);
        connection->http1 = NULL;
        connection_expect(connection, connection->shard->options->idle_timeout);
    }
    if (connection->state == CONNECTION_READING && connection->peer_done)
        connection_close(connection);
    else
        connection_watch(connection);
}

void http1_timeout(struct connection *connection)
{
    if (http1_is_idle(connection))
        connection_close(connection);
    else
        refuse(connection, ERROR_TIMEOUT);
}

bool http1_is_idle(const struct connection *connection)
{
    return connection->state == CONNECTION_READING &&
           (connection->http1 == NULL || connection->http1->parser == NULL ||
            !http_parser_has_begun(connection->http1->parser));
}

bool http1_is_full(const struct connection *connection)
{
    return connection->http1 != NULL && connection->http1->input.length >= MAX_PIPELINED;
}

struct slice http1_last_chunk(void)
{
    return slice_text("0\r\n\r\n");
}
