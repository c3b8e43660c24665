#ifndef SSE_SCRIPT_BACKLOG_H
#define SSE_SCRIPT_BACKLOG_H

#include "script/vm.h"

/* Subscribers whose place is further back than memory reaches: they read pages from the store until
 * they are where memory begins, and then join the others there. */

/* Starts the stream on the connection with the head (which it takes) and the store's events after
 * the cursor. The reference to the subscription is the stream's. `address` is the peer's, for the
 * log. */
void backlog_start(struct vm *vm, connection_id connection, const struct address *address,
                   struct response *head, struct subscription *subscription, uint64_t cursor);

/* The connection has sent so many frames. False when it is none of ours. */
bool backlog_taken(struct vm *vm, connection_id connection, unsigned frames);
/* The connection is gone while it read. False when it is none of ours. */
bool backlog_closed(struct vm *vm, connection_id connection);
/* The reader goes on with another subscription, whose reference it takes. False when it is none of
 * ours. */
bool backlog_move(struct vm *vm, connection_id connection, struct subscription *subscription);
/* Ends the streams that still read, as their clients should come back through a new script. */
void backlog_leave(struct vm *vm);
void backlog_forget_all(struct vm *vm);

#endif
