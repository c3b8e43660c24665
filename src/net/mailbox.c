#include "net/mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/memory.h"

enum { BATCH_MESSAGES = 256, BATCH_FIRST = 8 };

struct batch {
    struct batch *next;
    unsigned count;
    unsigned capacity;
    struct message messages[];
};

static void batch_free(struct batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++)
        message_deinit(&batch->messages[i]);
    free(batch);
}

static void on_wake(uv_poll_t *poll, int status, int events)
{
    struct mailbox *mailbox = poll->data;
    eventfd_t count;
    (void)status;
    (void)events;
    eventfd_read(mailbox->wake, &count);
    mailbox_deliver(mailbox);
}

static void on_idle(uv_idle_t *idle)
{
    mailbox_deliver(idle->data);
}

int mailbox_init(struct mailbox *mailbox, uv_loop_t *loop, unsigned limit,
                 const struct mailbox_receiver *receiver)
{
    *mailbox = (struct mailbox){.receiver = *receiver, .limit = limit};
    pthread_mutex_init(&mailbox->mutex, NULL);
    pthread_cond_init(&mailbox->space, NULL);
    mailbox->owner = pthread_self();
    mailbox->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mailbox->wake < 0)
        return -errno;
    mailbox->poll.data = mailbox->idle.data = mailbox;
    uv_idle_init(loop, &mailbox->idle);
    int error = uv_poll_init(loop, &mailbox->poll, mailbox->wake);
    return error != 0 ? error : uv_poll_start(&mailbox->poll, UV_READABLE, on_wake);
}

void mailbox_make_local(struct mailbox *mailbox)
{
    mailbox->local = true;
}

void mailbox_own(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->owner = pthread_self();
    pthread_mutex_unlock(&mailbox->mutex);
}

static struct batch *take_all(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    struct batch *first = mailbox->first;
    mailbox->first = mailbox->last = NULL;
    mailbox->count = 0;
    pthread_cond_broadcast(&mailbox->space);
    pthread_mutex_unlock(&mailbox->mutex);
    if (mailbox->local)
        uv_idle_stop(&mailbox->idle);
    return first;
}

void mailbox_deliver(struct mailbox *mailbox)
{
    struct batch *batch = take_all(mailbox);
    while (batch != NULL) {
        struct batch *next = batch->next;
        for (unsigned i = 0; i < batch->count; i++)
            mailbox->receiver.receive(mailbox->receiver.context, &batch->messages[i]);
        if (mailbox->receiver.end_of_batch != NULL)
            mailbox->receiver.end_of_batch(mailbox->receiver.context);
        free(batch);
        batch = next;
    }
}

void mailbox_close(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->closed = true;
    pthread_cond_broadcast(&mailbox->space);
    pthread_mutex_unlock(&mailbox->mutex);
    for (struct batch *batch = take_all(mailbox), *next; batch != NULL; batch = next) {
        next = batch->next;
        batch_free(batch);
    }
    uv_close((uv_handle_t *)&mailbox->idle, NULL);
    uv_close((uv_handle_t *)&mailbox->poll, NULL);
}

void mailbox_deinit(struct mailbox *mailbox)
{
    close(mailbox->wake);
    pthread_cond_destroy(&mailbox->space);
    pthread_mutex_destroy(&mailbox->mutex);
}

void outbox_init(struct outbox *outbox, struct mailbox *mailbox)
{
    *outbox = (struct outbox){.mailbox = mailbox};
}

void outbox_push(struct outbox *outbox, const struct message *message)
{
    struct batch *batch = outbox->batch;
    if (batch == NULL || batch->count == batch->capacity) {
        unsigned capacity = batch == NULL ? BATCH_FIRST : batch->capacity * 2;
        batch = memory_grow(batch, sizeof *batch + capacity * sizeof batch->messages[0]);
        if (outbox->batch == NULL)
            batch->count = 0;
        batch->capacity = capacity;
        batch->next = NULL;
        outbox->batch = batch;
    }
    batch->messages[batch->count++] = *message;
    if (batch->count == BATCH_MESSAGES)
        outbox_flush(outbox);
}

/* False when the mailbox takes no more. On return the batch is linked. */
static bool post(struct mailbox *mailbox, struct batch *batch, bool *first, bool *full)
{
    pthread_mutex_lock(&mailbox->mutex);
    bool own = pthread_equal(mailbox->owner, pthread_self());
    while (!own && !mailbox->closed && mailbox->limit > 0 && mailbox->count >= mailbox->limit)
        pthread_cond_wait(&mailbox->space, &mailbox->mutex);
    bool open = !mailbox->closed;
    *first = mailbox->first == NULL;
    if (open) {
        if (*first)
            mailbox->first = batch;
        else
            mailbox->last->next = batch;
        mailbox->last = batch;
        mailbox->count++;
    }
    *full = own && mailbox->limit > 0 && mailbox->count >= mailbox->limit;
    /* Inside the lock: the owner closes the descriptor only after it has set `closed`. */
    if (open && *first && mailbox->local)
        uv_idle_start(&mailbox->idle, on_idle);
    else if (open && *first)
        eventfd_write(mailbox->wake, 1);
    pthread_mutex_unlock(&mailbox->mutex);
    return open;
}

void outbox_flush(struct outbox *outbox)
{
    struct batch *batch = outbox->batch;
    bool first, full;
    if (batch == NULL)
        return;
    outbox->batch = NULL;
    if (!post(outbox->mailbox, batch, &first, &full))
        batch_free(batch);
    else if (full)
        mailbox_deliver(outbox->mailbox);
}

void outbox_deinit(struct outbox *outbox)
{
    if (outbox->batch != NULL)
        batch_free(outbox->batch);
    outbox->batch = NULL;
}
