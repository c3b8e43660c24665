#include "support/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/hub.h"
#include "net/shard.h"
#include "support/random.h"

/* A shard on a loop of its own, a hub that it follows, and a script that answers every request with
 * what the test wants. All on one thread, as with --threads 0. */
struct stage {
    uv_loop_t loop;
    struct shard_options options;
    struct admission admission;
    struct listeners listeners;
    struct shard shard;
    struct mailbox script;
    struct outbox outbox;
    struct hub hub;
    struct channel *channel;
    struct subscription *subscription; /* what a request starts; NULL: it is answered */
    unsigned requests;
    unsigned closed; /* streams that ended */
    connection_id connection;
};

static void on_change(void *context, const struct change *change)
{
    struct stage *stage = context;
    outbox_push(&stage->outbox,
                &(struct message){.kind = MESSAGE_CHANGE, .change = change_copy(change)});
}

static void answer(struct stage *stage)
{
    struct response *response = response_new();
    struct message message = {
        .kind = MESSAGE_RESPOND, .connection = stage->connection, .response = response};
    if (stage->subscription != NULL) {
        buffer_append_text(&response->bytes, "HEAD\r\n\r\n");
        response->chunked = false;
        stage->subscription->references++;
        message.kind = MESSAGE_SUBSCRIBE;
        message.number = stage->subscription->definition->id;
        message.sequence = stage->hub.sequence;
    } else {
        buffer_append_text(&response->bytes, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    }
    outbox_push(&stage->outbox, &message);
}

static void on_message(void *context, struct message *message)
{
    struct stage *stage = context;
    if (message->kind == MESSAGE_REQUEST) {
        stage->requests++;
        stage->connection = message->connection;
        assert_text(http_request_target(message->exchange->request), "/a");
        answer(stage);
    } else if (message->kind == MESSAGE_CLOSED) {
        stage->closed++;
        if (message->number != NO_SUBSCRIPTION)
            hub_unsubscribe(&stage->hub, hub_subscription(&stage->hub, message->number));
    }
    message_deinit(message);
}

static void on_end_of_batch(void *context)
{
    outbox_flush(&((struct stage *)context)->outbox);
}

static void open_stage(struct stage *stage)
{
    static const struct hub_limits limits = {64 << 20, 1 << 20, 10};
    struct channel_options kept = {.history = 1000000};
    struct mailbox_receiver receiver = {stage, on_message, on_end_of_batch};
    struct hub_listener changes = {.context = stage, .change = on_change};
    char message[200];
    *stage = (struct stage){.options = {{16384, 1 << 20}, 10000, 10000, 60000, 30000}};
    assert_int_equal(uv_loop_init(&stage->loop), 0);
    assert_int_equal(mailbox_init(&stage->script, &stage->loop, 0, &receiver), 0);
    admission_init(&stage->admission, 100, 0);
    assert_int_equal(shard_init(&stage->shard, 0, &stage->loop, &stage->options, &stage->admission,
                                &stage->script),
                     0);
    outbox_init(&stage->outbox, &stage->shard.inbox);
    assert_int_equal(listeners_open(&stage->listeners, "127.0.0.1:0", message, sizeof message), 0);
    assert_int_equal(shard_listen(&stage->shard, &stage->listeners), 0);
    hub_init(&stage->hub, &limits, &changes, "epoch");
    hub_continue(&stage->hub, "epoch", 0);
    hub_open(&stage->hub, slice_text("a"), &kept, &stage->channel);
    stage->channel->declared = true;
    outbox_flush(&stage->outbox);
}

/* Everything at once, whatever goes on: the loop must end by itself. */
static void close_stage(struct stage *stage)
{
    outbox_push(&stage->outbox, &(struct message){.kind = MESSAGE_STOP});
    outbox_flush(&stage->outbox);
    while (!stage->shard.stopped)
        uv_run(&stage->loop, UV_RUN_NOWAIT);
    uv_run(&stage->loop, UV_RUN_NOWAIT);
    mailbox_close(&stage->script);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    hub_deinit(&stage->hub);
    outbox_deinit(&stage->outbox);
    shard_deinit(&stage->shard);
    mailbox_deinit(&stage->script);
    listeners_close(&stage->listeners);
    assert_int_equal(admission_count(&stage->admission), 0);
    admission_deinit(&stage->admission);
    assert_int_equal(uv_loop_close(&stage->loop), 0);
}

static int connect_client(struct stage *stage, int receive_buffer)
{
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    getsockname(stage->listeners.all[0].descriptor, (struct sockaddr *)&name, &length);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (receive_buffer > 0)
        setsockopt(client, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    assert_int_equal(connect(client, (struct sockaddr *)&name, length), 0);
    return client;
}

static void send_text(int client, const char *text)
{
    assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static const char request[] = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

/* Runs the loop until the client has read that many bytes. */
static void read_bytes(struct stage *stage, int client, struct buffer *out, size_t wanted)
{
    for (int turn = 0; out->length < wanted && turn < 100000; turn++) {
        ssize_t got = recv(client, buffer_reserve(out, 65536), 65536, MSG_DONTWAIT);
        if (got > 0)
            out->length += (size_t)got;
        else
            uv_run(&stage->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(out->length, wanted);
}

static void publish(struct stage *stage, struct slice data, struct buffer *expected)
{
    struct frame *frame;
    struct frame_source source = {.data = data, .retry = -1};
    assert_int_equal(hub_publish(&stage->hub, stage->channel, &source, NULL, &frame), 0);
    buffer_append_slice(expected, frame_wire(frame, false));
    frame_unref(frame);
}

static void subscribe(struct stage *stage)
{
    struct subscription_source source = {.channels = &stage->channel, .channel_count = 1};
    stage->subscription = hub_subscribe(&stage->hub, &source);
    outbox_flush(&stage->outbox);
}

TEST(a_shard_that_nobody_uses_ends)
{
    struct stage stage;
    open_stage(&stage);
    close_stage(&stage);
}

TEST(requests_are_answered_one_after_the_other)
{
    static const char expected[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
                                   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    struct stage stage;
    struct buffer got = {0};
    open_stage(&stage);
    int client = connect_client(&stage, 0);
    send_text(client, request);
    send_text(client, request);
    read_bytes(&stage, client, &got, strlen(expected));
    assert_text(buffer_slice(&got), expected);
    assert_int_equal(stage.requests, 2);
    buffer_deinit(&got);
    close_stage(&stage);
    close(client);
}

TEST(a_stream_has_all_events_in_order)
{
    struct stage stage;
    struct buffer got = {0}, expected = {0};
    open_stage(&stage);
    subscribe(&stage);
    int client = connect_client(&stage, 0);
    send_text(client, request);
    buffer_append_text(&expected, "HEAD\r\n\r\n");
    read_bytes(&stage, client, &got, expected.length);
    for (int turn = 0; turn < 50; turn++) {
        for (int i = 0; i <= turn % 7 * 20; i++)
            publish(&stage, slice_text("some data"), &expected);
        outbox_flush(&stage.outbox);
        uv_run(&stage.loop, UV_RUN_NOWAIT);
    }
    read_bytes(&stage, client, &got, expected.length);
    assert_true(slice_equal(buffer_slice(&got), buffer_slice(&expected)));
    buffer_deinit(&got);
    buffer_deinit(&expected);
    close(client);
    while (stage.closed == 0)
        uv_run(&stage.loop, UV_RUN_NOWAIT);
    close_stage(&stage);
}

/* The socket takes what it likes of a frame: nothing is lost or sent twice, however the reader
 * falls behind and catches up. */
TEST(a_slow_reader_gets_every_byte_once)
{
    struct random random = random_start(17);
    struct stage stage;
    struct buffer got = {0}, expected = {0};
    char *data = malloc(200000);
    for (int i = 0; i < 200000; i++)
        data[i] = (char)('a' + i % 26);
    open_stage(&stage);
    subscribe(&stage);
    int client = connect_client(&stage, 4096);
    send_text(client, request);
    buffer_append_text(&expected, "HEAD\r\n\r\n");
    read_bytes(&stage, client, &got, expected.length);
    for (int turn = 0; turn < 60; turn++) {
        for (uint32_t i = random_below(&random, 8); i > 0; i--)
            publish(&stage, slice_of(data, random_below(&random, i % 3 == 0 ? 200000 : 500)),
                    &expected);
        outbox_flush(&stage.outbox);
        uv_run(&stage.loop, UV_RUN_NOWAIT);
        if (turn % 10 == 9)
            read_bytes(&stage, client, &got, expected.length);
    }
    read_bytes(&stage, client, &got, expected.length);
    assert_true(slice_equal(buffer_slice(&got), buffer_slice(&expected)));
    buffer_deinit(&got);
    buffer_deinit(&expected);
    free(data);
    close_stage(&stage);
    close(client);
}

/* Half a request, a stream in step, a stream that is behind: the loop still ends, and nothing
 * leaks. */
TEST(a_shard_ends_in_the_middle_of_everything)
{
    struct stage stage;
    struct buffer expected = {0}, got = {0};
    char *data = calloc(1, 500000);
    memset(data, 'x', 500000);
    open_stage(&stage);
    subscribe(&stage);
    int half = connect_client(&stage, 0), stream = connect_client(&stage, 0);
    int slow = connect_client(&stage, 4096);
    send_text(half, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    send_text(stream, request);
    send_text(slow, request);
    read_bytes(&stage, stream, &got, 8);
    buffer_clear(&got);
    read_bytes(&stage, slow, &got, 8);
    for (int i = 0; i < 30; i++)
        publish(&stage, slice_of(data, 500000), &expected);
    outbox_flush(&stage.outbox);
    uv_run(&stage.loop, UV_RUN_NOWAIT);
    publish(&stage, slice_text("never sent"), &expected);
    close_stage(&stage);
    close(half);
    close(stream);
    close(slow);
    buffer_deinit(&expected);
    buffer_deinit(&got);
    free(data);
}

RUN_TESTS(cmocka_unit_test(a_shard_that_nobody_uses_ends),
          cmocka_unit_test(requests_are_answered_one_after_the_other),
          cmocka_unit_test(a_stream_has_all_events_in_order),
          cmocka_unit_test(a_slow_reader_gets_every_byte_once),
          cmocka_unit_test(a_shard_ends_in_the_middle_of_everything))
