#ifndef SSE_NET_MESSAGE_H
#define SSE_NET_MESSAGE_H

#include <stdint.h>

#include "core/change.h"
#include "core/exchange.h"

/* What the script thread and the I/O threads say to each other. A message owns what it carries; the
 * receiver takes it. */

enum message_kind {
    /* To a shard. */
    MESSAGE_CHANGE,    /* change */
    MESSAGE_RESPOND,   /* connection, response */
    MESSAGE_SUBSCRIBE, /* connection, response (the head), number = subscription, sequence = cursor
                        */
    MESSAGE_JOIN,      /* connection: the stream of its own goes on as a subscriber: number =
                        * subscription, sequence = cursor, began */
    MESSAGE_MOVE,      /* connection, number = subscription: the subscriber goes on with that one */
    MESSAGE_STREAM,    /* connection, response (the head), number = heartbeat in milliseconds */
    MESSAGE_SEND,      /* connection, frame: for a stream of its own */
    MESSAGE_END,       /* connection: the stream ends when all is sent */
    MESSAGE_LEAVE,     /* connection: the same, and the client is told when to come back */
    MESSAGE_DRAIN,     /* stop accepting, end streams, close when in-flight requests are answered */
    MESSAGE_STOP,      /* close everything now */
    /* From a shard. */
    MESSAGE_REQUEST, /* connection, exchange */
    MESSAGE_CLOSED,  /* connection, number = subscription or NO_SUBSCRIPTION */
    MESSAGE_LEFT,    /* connection, number = subscription that it was moved from */
    MESSAGE_TAKEN,   /* connection: the stream of its own has sent all it was given, number = frames
                      * since the last time */
    MESSAGE_LAGGED,  /* number = channel whose log a reader fell off */
    MESSAGE_DRAINED, /* number = shard: it has no connections left after MESSAGE_DRAIN */
};

enum { NO_SUBSCRIPTION = UINT32_MAX };

struct message {
    uint8_t kind;
    uint32_t number;
    connection_id connection;
    uint64_t sequence;
    union {
        struct change change;
        struct response *response;
        struct exchange *exchange;
        struct frame *frame;
        uint64_t began; /* the last sequence when the stream was opened */
    };
};

/* Releases what a message carries that nobody will receive. */
void message_deinit(struct message *message);

#endif
