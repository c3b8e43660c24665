#ifndef SSE_NET_STREAM_H
#define SSE_NET_STREAM_H

#include "net/connection.h"

/* Event streams: a connection whose request the script answered with one. */

/* Sends the head (takes the response) and joins the audience at the cursor. */
void stream_subscribe(struct connection *connection, struct response *head,
                      struct audience *audience, uint64_t cursor);

/* Sends the head (takes the response); events come by stream_send. Heartbeat in milliseconds of
 * silence, 0 for none. */
void stream_open(struct connection *connection, struct response *head, unsigned heartbeat);
/* A stream of its own, which has sent all it was given, joins the audience at the cursor. It has
 * been open since the sequence `began`. */
void stream_join(struct connection *connection, struct audience *audience, uint64_t cursor,
                 uint64_t began);
/* The subscriber goes on with another audience from where it is. Tells the script when it has left
 * the old one. */
void stream_move(struct connection *connection, struct audience *audience);
/* Queues a frame of a stream of its own. Borrows it. */
void stream_send(struct connection *connection, struct frame *frame);

/* Ends the stream when all that it should have is sent. A client that should come back is told
 * when, between the events at which it is: what is left may take its time. */
void stream_end(struct connection *connection, bool come_back);
/* The same, but nothing happens yet to a stream that has sent everything. */
void stream_will_end(struct connection *connection, bool come_back);

/* Sends what comes after the stream's cursor, as much as the socket takes. */
void stream_pump(struct connection *connection);
/* True while the stream has something to send that the socket did not take. */
bool stream_is_behind(const struct connection *connection);
/* The socket took only `sent` bytes of these frames: the subscriber falls behind, in the middle. */
void stream_fall_behind(struct connection *connection, struct frame **frames, uint32_t count,
                        size_t sent, uint64_t cursor);

void stream_deadline(struct connection *connection);
/* Takes the stream off its audience and tells the script. Only for connection.c. */
void stream_detach(struct connection *connection);

#endif
