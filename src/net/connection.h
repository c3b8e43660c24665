#ifndef SSE_NET_CONNECTION_H
#define SSE_NET_CONNECTION_H

#include "net/shard.h"

/* A client's socket and what it is doing.
 *
 *             bytes                    request complete
 *   READING ---------> (parser)  ----------------------->  WAITING  for the script
 *      ^                                                      |
 *      |  keep-alive, all written                             | respond        | subscribe, stream
 *      +-------------------------------  WRITING  <-----------+                v
 *                                           |                              STREAMING
 *                            close, error   |                                  |  end
 *                                           v                                  v
 *                                       LINGERING  (our side shut, reads until the peer's FIN)
 *                                           |
 *                                           v
 *                                        CLOSED  (memory goes in uv_close's callback)
 */
enum connection_state {
    CONNECTION_READING,
    CONNECTION_WAITING,
    CONNECTION_WRITING,
    CONNECTION_STREAMING,
    CONNECTION_LINGERING,
    CONNECTION_CLOSED,
};

struct http1;
struct output;
struct own_stream;

struct connection {
    uv_poll_t poll;
    struct shard *shard;
    connection_id id;
    int descriptor;
    uint8_t state;
    uint8_t events;  /* what `poll` watches */
    bool chunked;    /* the stream's framing */
    bool ending;     /* the stream ends when all is sent */
    bool owes_retry; /* before that the client must be told when to come back */
    bool peer_done;  /* the peer has shut down its side */
    struct deadline deadline;
    struct http1 *http1;    /* while a request is read or answered, else NULL */
    struct output *output;  /* bytes that the socket did not take yet; NULL when there are none */
    struct own_stream *own; /* of sse.stream; NULL for a subscriber */
    struct subscriber subscriber; /* its cursor and partial frame serve `own` too */
    struct address address;
};

/* Takes the descriptor, which must be non-blocking. */
void connection_open(struct shard *shard, int descriptor, const struct address *address);

/* Closes at once. Idempotent; the memory goes later. */
void connection_close(struct connection *connection);

/* Says that no more will be sent, once the pending output is: shuts down our side and reads on
 * until the peer has closed too, so that nothing sent is lost to a reset (RFC 9112, 9.6). */
void connection_finish(struct connection *connection);

/* Sends the bytes, or keeps what the socket does not take. On an error the connection closes. */
void connection_write(struct connection *connection, struct slice bytes);

/* Sends what waits, as far as the socket takes it. */
void connection_write_more(struct connection *connection);

/* Queues a part of a file behind the pending output. Takes the descriptor. */
void connection_write_file(struct connection *connection, int file, int64_t offset,
                           uint64_t length);

/* Sends pending output. True when none is left and the connection lives. */
bool connection_flush(struct connection *connection);

/* Whether bytes of the peer wait to be read. */
bool connection_has_input(const struct connection *connection);

/* Watches the socket for what its state needs. */
void connection_watch(struct connection *connection);

/* Closes the connection when nothing happens for that long. */
void connection_expect(struct connection *connection, unsigned milliseconds);
void connection_expect_nothing(struct connection *connection);

#endif
