#include "load/crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "load/message.h"

#define REQUEST_MAX 4096
#define RECEIVE_MAX 262144

void crowd_init(struct crowd *crowd, struct loop *loop, const struct options *options,
                crowd_event_fn on_event, void *context)
{
    *crowd =
        (struct crowd){.loop = loop, .options = options, .on_event = on_event, .context = context};
}

static void fail(struct subscriber *subscriber, const char *what, int error)
{
    if (subscriber->crowd->failed++ == 0)
        fprintf(stderr, "sse-load: subscriber %u: %s%s%s\n", subscriber->index, what,
                error ? ": " : "", error ? strerror(error) : "");
    loop_forget(&subscriber->watcher);
}

static int write_request(const struct subscriber *subscriber, char *out)
{
    const struct crowd *crowd = subscriber->crowd;
    const struct options *options = crowd->options;
    char path[1024], channel[64];
    struct message_place place = {
        .channel = options_channel(options, subscriber->index, channel, sizeof channel),
        .group = subscriber->index % options->groups,
    };
    const char *id = crowd->last_event_id;

    if (message_expand(path, sizeof path, options->subscribe, &place) < 0)
        return -E2BIG;
    int length = snprintf(out, REQUEST_MAX,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
                          "%s%s%s%s\r\n",
                          path, options->subscribe_headers, id ? "Last-Event-ID: " : "",
                          id ? id : "", id ? "\r\n" : "");
    return length < REQUEST_MAX ? length : -E2BIG;
}

static void send_request(struct subscriber *subscriber)
{
    char request[REQUEST_MAX];
    int length = write_request(subscriber, request);

    subscriber->connected = true;
    if (length < 0)
        fail(subscriber, "the request is too long", 0);
    else if (send(subscriber->watcher.descriptor, request, (size_t)length, MSG_NOSIGNAL) != length)
        fail(subscriber, "cannot send", errno);
    else
        loop_change(subscriber->crowd->loop, &subscriber->watcher, EPOLLIN);
}

static void on_event(void *context, const struct sse_event *event)
{
    struct subscriber *subscriber = context;
    struct crowd *crowd = subscriber->crowd;

    subscriber->heard++;
    crowd->loop->progress++;
    crowd->on_event(crowd->context, subscriber->index, event);
}

static void on_body(void *context, const char *bytes, size_t length)
{
    struct subscriber *subscriber = context;

    if (sse_feed(&subscriber->decoder, bytes, length, on_event, subscriber) < 0)
        abort();
}

static void note_ready(struct subscriber *subscriber)
{
    struct crowd *crowd = subscriber->crowd;

    if (subscriber->reply.status != 200) {
        fail(subscriber, "the answer is not 200", 0);
    } else if (subscriber->heard >= crowd->wanted) {
        subscriber->ready = true;
        crowd->ready++;
        crowd->loop->progress++;
    }
}

static void receive(struct subscriber *subscriber)
{
    static char bytes[RECEIVE_MAX];
    ssize_t length = recv(subscriber->watcher.descriptor, bytes, sizeof bytes, MSG_DONTWAIT);

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        fail(subscriber, "the server ended the stream", length < 0 ? errno : 0);
        return;
    }
    if (http_feed(&subscriber->reply, bytes, (size_t)length, on_body, subscriber) < 0) {
        fail(subscriber, "the answer is not HTTP", 0);
        return;
    }
    if (!subscriber->ready && http_has_head(&subscriber->reply))
        note_ready(subscriber);
    if (subscriber->reply.state == HTTP_DONE && subscriber->watcher.descriptor >= 0)
        fail(subscriber, "the server ended the stream", 0);
}

static void on_ready(struct watcher *watcher, uint32_t events)
{
    struct subscriber *subscriber = (struct subscriber *)watcher;

    if (!subscriber->connected && (events & EPOLLOUT))
        send_request(subscriber);
    else
        receive(subscriber);
}

static void connect_one(struct subscriber *subscriber)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)subscriber->crowd->options->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    subscriber->watcher.descriptor = descriptor;
    if (descriptor < 0)
        fail(subscriber, "no socket", errno);
    else if (connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0 &&
             errno != EINPROGRESS)
        fail(subscriber, "cannot connect", errno);
    else if (loop_watch(subscriber->crowd->loop, &subscriber->watcher, EPOLLOUT) < 0)
        fail(subscriber, "cannot watch", errno);
}

/* Keeps as many connections in the making as allowed; true once all are made. */
static bool advance(void *context)
{
    struct crowd *crowd = context;

    while (crowd->opened < crowd->size && !crowd->failed &&
           crowd->opened - crowd->ready < crowd->options->in_flight) {
        struct subscriber *subscriber = &crowd->members[crowd->opened];
        *subscriber = (struct subscriber){
            .watcher.ready = on_ready, .crowd = crowd, .index = crowd->opened++};
        http_init(&subscriber->reply);
        connect_one(subscriber);
    }
    return crowd->ready == crowd->size || crowd->failed;
}

int crowd_open(struct crowd *crowd, uint32_t size)
{
    crowd->members = calloc(size, sizeof *crowd->members);
    if (!crowd->members)
        return -ENOMEM;
    crowd->size = size;
    crowd->opened = crowd->ready = 0;
    int result = loop_until(crowd->loop, advance, crowd, crowd->options->stall);
    return crowd->failed ? -ECONNREFUSED : result;
}

void crowd_close(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->opened; i++) {
        loop_forget(&crowd->members[i].watcher);
        sse_deinit(&crowd->members[i].decoder);
    }
    free(crowd->members);
    crowd->members = NULL;
    crowd->size = crowd->opened = crowd->ready = 0;
}
