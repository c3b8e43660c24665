#ifndef SSE_NET_FANOUT_H
#define SSE_NET_FANOUT_H

#include "net/connection.h"

/* Broadcasts: one span of bytes to everyone in step. */

/* Sends the news of all dirty audiences, then lets waiting evictions happen. */
void fanout_flush(struct shard *shard);
/* Sends the audience's news, if it has any, to those in step. */
void fanout_serve(struct shard *shard, struct audience *audience);

/* A reader's cursor fell off the channel's log: applies the channel's policy. True when nothing
 * more can be sent now. */
bool fanout_lagged(struct connection *connection, const struct replica_channel *channel,
                   uint64_t cursor);

/* The replica's callbacks. The context is the shard. */
void fanout_opened(void *context, struct audience *audience);
void fanout_closing(void *context, struct audience *audience);
void fanout_ending(void *context, struct audience *audience);
void fanout_leaving(void *context, struct audience *audience);
void fanout_removing(void *context, struct audience *audience);

#endif
