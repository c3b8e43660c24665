#ifndef SSE_NET_HTTP1_H
#define SSE_NET_HTTP1_H

#include "net/connection.h"

/* What is HTTP/1.1 on the wire: requests in, responses out, keep-alive and pipelining. */

/* Bytes from the peer, in any state before a stream. */
void http1_receive(struct connection *connection, struct slice bytes);
/* The peer has shut down its side. */
void http1_receive_end(struct connection *connection);
/* The script's response. Takes it. */
void http1_respond(struct connection *connection, struct response *response);
/* The response is written: goes on with the next request, or ends the connection. */
void http1_written(struct connection *connection);
/* The request did not arrive in time. */
void http1_timeout(struct connection *connection);
/* No request is under way. */
bool http1_is_idle(const struct connection *connection);
/* True when so much is pipelined that the socket should be read no further now. */
bool http1_is_full(const struct connection *connection);
void http1_free(struct http1 *http1);

/* Ends a stream's chunked body. */
struct slice http1_last_chunk(void);

#endif
