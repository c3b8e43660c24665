#ifndef SSE_NET_MAILBOX_H
#define SSE_NET_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "net/message.h"

/* A queue into a loop's thread. Senders collect messages in an outbox and hand over whole batches,
 * so a thread is woken once per batch. Batches of one outbox arrive in order. */

struct batch;

struct mailbox_receiver {
    void *context;
    void (*receive)(void *context, struct message *message); /* takes the message */
    void (*end_of_batch)(void *context);                     /* may be NULL */
};

struct mailbox {
    uv_poll_t poll; /* of `wake` */
    int wake;       /* an eventfd. uv_async_send spins when it meets its receiver at work */
    uv_idle_t idle; /* runs while something waits in a local mailbox */
    bool local;     /* all senders are on the owner's thread: nobody needs to be woken */
    pthread_mutex_t mutex;
    pthread_cond_t space;
    pthread_t owner;
    struct mailbox_receiver receiver;
    struct batch *first;
    struct batch *last;
    unsigned count;
    unsigned limit;
    bool closed;
};

/* `limit` batches may wait, then a sender of another thread blocks until the owner has taken them;
 * 0 for no limit. A sender on the owner's own thread delivers at once instead. */
int mailbox_init(struct mailbox *mailbox, uv_loop_t *loop, unsigned limit,
                 const struct mailbox_receiver *receiver);
/* All senders are and stay on the owner's thread. To be called before anything is sent. */
void mailbox_make_local(struct mailbox *mailbox);
/* The calling thread is the owner from now on. */
void mailbox_own(struct mailbox *mailbox);
/* Receives all that waits. Owner only. */
void mailbox_deliver(struct mailbox *mailbox);
/* Drops what waits and closes the handle. Owner only. What is sent later is dropped. */
void mailbox_close(struct mailbox *mailbox);
/* After the loop has closed the handle and no sender is left. */
void mailbox_deinit(struct mailbox *mailbox);

/* One thread's end of a mailbox. */
struct outbox {
    struct mailbox *mailbox;
    struct batch *batch;
};

void outbox_init(struct outbox *outbox, struct mailbox *mailbox);
/* Takes what the message carries. */
void outbox_push(struct outbox *outbox, const struct message *message);
/* Hands over what was pushed. To be called once per turn of the sender's loop. */
void outbox_flush(struct outbox *outbox);
void outbox_deinit(struct outbox *outbox);

#endif
