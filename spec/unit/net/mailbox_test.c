#include "support/unit.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include "net/mailbox.h"

/* A loop with a mailbox, and what it got. */
struct office {
    uv_loop_t loop;
    struct mailbox mailbox;
    uint32_t last[4]; /* by sender: the number of its last message */
    unsigned received;
    unsigned batches;
    unsigned wanted; /* closes after so many messages */
    bool closed;
};

/* The sender is in `connection`; its messages are numbered from 1. */
static void on_message(void *context, struct message *message)
{
    struct office *office = context;
    assert_int_equal(message->number, office->last[message->connection] + 1);
    office->last[message->connection] = message->number;
    office->received++;
    message_deinit(message);
}

static void on_end_of_batch(void *context)
{
    struct office *office = context;
    office->batches++;
    if (office->received >= office->wanted && !office->closed) {
        office->closed = true;
        mailbox_close(&office->mailbox);
    }
}

static void open_office(struct office *office, unsigned limit, unsigned wanted)
{
    struct mailbox_receiver receiver = {office, on_message, on_end_of_batch};
    *office = (struct office){.wanted = wanted};
    assert_int_equal(uv_loop_init(&office->loop), 0);
    assert_int_equal(mailbox_init(&office->mailbox, &office->loop, limit, &receiver), 0);
}

/* The loop ends because nothing is left of the mailbox. */
static void close_office(struct office *office)
{
    if (!office->closed)
        mailbox_close(&office->mailbox);
    uv_run(&office->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&office->loop), 0);
    mailbox_deinit(&office->mailbox);
}

struct sender {
    struct outbox outbox;
    unsigned name;
    unsigned count;
    unsigned per_batch;
};

static void *send_all(void *context)
{
    struct sender *sender = context;
    for (uint32_t i = 1; i <= sender->count; i++) {
        outbox_push(
            &sender->outbox,
            &(struct message){.kind = MESSAGE_TAKEN, .connection = sender->name, .number = i});
        if (i % sender->per_batch == 0)
            outbox_flush(&sender->outbox);
    }
    outbox_flush(&sender->outbox);
    return NULL;
}

TEST(messages_of_one_sender_come_in_order)
{
    struct office office;
    struct sender sender = {.name = 1, .count = 3000, .per_batch = 1000};
    open_office(&office, 0, 3000);
    outbox_init(&sender.outbox, &office.mailbox);
    send_all(&sender);
    assert_int_equal(office.received, 0);
    uv_run(&office.loop, UV_RUN_DEFAULT);
    assert_int_equal(office.received, 3000);
    outbox_deinit(&sender.outbox);
    close_office(&office);
}

TEST(an_empty_outbox_sends_nothing)
{
    struct office office;
    struct outbox outbox;
    open_office(&office, 0, 0);
    outbox_init(&outbox, &office.mailbox);
    outbox_flush(&outbox);
    uv_run(&office.loop, UV_RUN_NOWAIT);
    assert_int_equal(office.batches, 0);
    outbox_deinit(&outbox);
    close_office(&office);
}

/* Few places, so senders wait for the owner all the time. */
TEST(messages_of_several_threads_all_come)
{
    enum { SENDERS = 3, COUNT = 5000 };
    struct office office;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    open_office(&office, 2, SENDERS * COUNT);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.name = i + 1, .count = COUNT, .per_batch = i * 3 + 1};
        outbox_init(&senders[i].outbox, &office.mailbox);
        pthread_create(&threads[i], NULL, send_all, &senders[i]);
    }
    uv_run(&office.loop, UV_RUN_DEFAULT);
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(office.last[i + 1], COUNT);
        outbox_deinit(&senders[i].outbox);
    }
    close_office(&office);
}

TEST(a_full_mailbox_blocks_its_senders)
{
    struct office office;
    struct sender sender = {.name = 1, .count = 10, .per_batch = 1};
    pthread_t thread;
    open_office(&office, 4, 10);
    outbox_init(&sender.outbox, &office.mailbox);
    pthread_create(&thread, NULL, send_all, &sender);
    unsigned waiting = 0;
    while (waiting < 4) {
        pthread_mutex_lock(&office.mailbox.mutex);
        waiting = office.mailbox.count;
        pthread_mutex_unlock(&office.mailbox.mutex);
        assert_true(waiting <= 4);
    }
    uv_run(&office.loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
    assert_int_equal(office.received, 10);
    outbox_deinit(&sender.outbox);
    close_office(&office);
}

/* With both halves on one loop nobody may wait for itself. */
TEST(the_owner_delivers_to_itself_instead_of_waiting)
{
    struct office office;
    struct sender sender = {.name = 1, .count = 100, .per_batch = 1};
    open_office(&office, 4, 100);
    mailbox_own(&office.mailbox);
    outbox_init(&sender.outbox, &office.mailbox);
    send_all(&sender);
    assert_true(office.received >= 96);
    uv_run(&office.loop, UV_RUN_DEFAULT);
    assert_int_equal(office.received, 100);
    outbox_deinit(&sender.outbox);
    close_office(&office);
}

TEST(a_local_mailbox_receives_in_the_next_turn_and_wakes_nobody)
{
    struct office office;
    struct sender sender = {.name = 1, .count = 100, .per_batch = 10};
    eventfd_t woken;
    open_office(&office, 0, 200);
    mailbox_make_local(&office.mailbox);
    outbox_init(&sender.outbox, &office.mailbox);
    for (unsigned turn = 1; turn <= 2; turn++) {
        office.last[1] = 0;
        send_all(&sender);
        assert_int_equal(eventfd_read(office.mailbox.wake, &woken), -1);
        uv_run(&office.loop, UV_RUN_NOWAIT);
        assert_int_equal(office.received, turn * 100);
    }
    outbox_deinit(&sender.outbox);
    close_office(&office);
}

/* A message that carries something; the sanitizer counts what is never released. */
static void push_frame(struct outbox *outbox)
{
    outbox_push(outbox, &(struct message){.kind = MESSAGE_SEND,
                                          .frame = frame_of_text(slice_text("x"), 0)});
}

TEST(what_is_never_received_is_released)
{
    struct office office;
    struct outbox first, second;
    open_office(&office, 0, 1000);
    outbox_init(&first, &office.mailbox);
    outbox_init(&second, &office.mailbox);
    push_frame(&first);
    outbox_flush(&first);
    push_frame(&first);
    push_frame(&second);
    mailbox_close(&office.mailbox);
    office.closed = true;
    outbox_flush(&second);
    outbox_deinit(&first);
    outbox_deinit(&second);
    assert_int_equal(office.received, 0);
    close_office(&office);
}

TEST(closing_wakes_those_who_wait)
{
    struct office office;
    struct sender sender = {.name = 1, .count = 10, .per_batch = 1};
    pthread_t thread;
    open_office(&office, 2, 1000);
    outbox_init(&sender.outbox, &office.mailbox);
    pthread_create(&thread, NULL, send_all, &sender);
    unsigned waiting = 0;
    while (waiting < 2) {
        pthread_mutex_lock(&office.mailbox.mutex);
        waiting = office.mailbox.count;
        pthread_mutex_unlock(&office.mailbox.mutex);
    }
    office.closed = true;
    mailbox_close(&office.mailbox);
    pthread_join(thread, NULL);
    assert_int_equal(office.received, 0);
    outbox_deinit(&sender.outbox);
    close_office(&office);
}

TEST(messages_release_what_they_carry)
{
    struct frame *frame = frame_of_text(slice_text("x"), 0);
    struct message messages[] = {
        {.kind = MESSAGE_CHANGE, .change = {.kind = CHANGE_APPEND, .frame = frame_ref(frame)}},
        {.kind = MESSAGE_SEND, .frame = frame_ref(frame)},
        {.kind = MESSAGE_RESPOND, .response = response_new()},
        {.kind = MESSAGE_SUBSCRIBE, .response = response_new()},
        {.kind = MESSAGE_SUBSCRIBE},
        {.kind = MESSAGE_STREAM, .response = response_new()},
        {.kind = MESSAGE_REQUEST, .exchange = calloc(1, sizeof(struct exchange))},
        {.kind = MESSAGE_CLOSED},
        {.kind = MESSAGE_STOP}};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
        message_deinit(&messages[i]);
    assert_int_equal(atomic_load(&frame->references), 1);
    frame_unref(frame);
}

RUN_TESTS(cmocka_unit_test(messages_of_one_sender_come_in_order),
          cmocka_unit_test(an_empty_outbox_sends_nothing),
          cmocka_unit_test(messages_of_several_threads_all_come),
          cmocka_unit_test(a_full_mailbox_blocks_its_senders),
          cmocka_unit_test(the_owner_delivers_to_itself_instead_of_waiting),
          cmocka_unit_test(a_local_mailbox_receives_in_the_next_turn_and_wakes_nobody),
          cmocka_unit_test(what_is_never_received_is_released),
          cmocka_unit_test(closing_wakes_those_who_wait),
          cmocka_unit_test(messages_release_what_they_carry))
