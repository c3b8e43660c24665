#include "load/publisher.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void fail(struct lane *lane, const char *what, int error)
{
    if (lane->publisher->failed++ == 0)
        fprintf(stderr, "sse-load: publisher %u: %s%s%s\n", lane->index, what, error ? ": " : "",
                error ? strerror(error) : "");
    loop_forget(&lane->watcher);
    lane->busy = lane->behind = false;
}

static void finish(struct lane *lane)
{
    struct publisher *publisher = lane->publisher;
    uint16_t status = lane->reply.status;

    lane->busy = false;
    if (status < 200 || status > 299) {
        fail(lane, "the answer is not 2xx", 0);
        return;
    }
    publisher->loop->progress++;
    publisher->on_answer(publisher->context, lane->index);
}

static void flush(struct lane *lane)
{
    ssize_t sent = send(lane->watcher.descriptor, lane->request + lane->sent,
                        lane->request_length - lane->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent < 0 && errno != EAGAIN) {
        fail(lane, "cannot send", errno);
        return;
    }
    lane->sent += sent > 0 ? (size_t)sent : 0;
    bool behind = lane->sent < lane->request_length;
    if (behind != lane->behind)
        loop_change(lane->publisher->loop, &lane->watcher, EPOLLIN | (behind ? EPOLLOUT : 0));
    lane->behind = behind;
}

static void receive(struct lane *lane)
{
    char bytes[16384];
    ssize_t length = recv(lane->watcher.descriptor, bytes, sizeof bytes, MSG_DONTWAIT);

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        if (lane->busy)
            fail(lane, "the server closed before it answered", length < 0 ? errno : 0);
        else
            loop_forget(&lane->watcher);
        return;
    }
    if (!lane->busy || http_feed(&lane->reply, bytes, (size_t)length, NULL, NULL) < 0)
        fail(lane, "the answer is not HTTP", 0);
    else if (lane->reply.state == HTTP_DONE)
        finish(lane);
}

static void on_ready(struct watcher *watcher, uint32_t events)
{
    struct lane *lane = (struct lane *)watcher;

    if (events & EPOLLOUT)
        flush(lane);
    if (lane->watcher.descriptor >= 0 && (events & ~(uint32_t)EPOLLOUT))
        receive(lane);
}

static int connect_lane(struct lane *lane)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)lane->publisher->options->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    lane->watcher.descriptor = descriptor;
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return loop_watch(lane->publisher->loop, &lane->watcher, EPOLLIN);
}

int publisher_init(struct publisher *publisher, struct loop *loop, const struct options *options,
                   uint32_t lanes, publisher_answer_fn on_answer, void *context)
{
    *publisher = (struct publisher){.loop = loop,
                                    .options = options,
                                    .count = lanes,
                                    .on_answer = on_answer,
                                    .context = context};
    publisher->lanes = calloc(lanes, sizeof *publisher->lanes);
    if (!publisher->lanes)
        return -ENOMEM;
    for (uint32_t i = 0; i < lanes; i++) {
        struct lane *lane = &publisher->lanes[i];
        lane->watcher = (struct watcher){.descriptor = -1, .ready = on_ready};
        lane->publisher = publisher;
        lane->index = i;
    }
    return 0;
}

void publisher_deinit(struct publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->count; i++) {
        loop_forget(&publisher->lanes[i].watcher);
        free(publisher->lanes[i].request);
    }
    free(publisher->lanes);
}

static void write_request(struct lane *lane, const char *path, const char *body, size_t length)
{
    const char *headers = lane->publisher->options->publish_headers;
    size_t needed = strlen(path) + strlen(headers) + length + 256;

    if (needed > lane->capacity) {
        free(lane->request);
        lane->request = malloc(needed);
        if (!lane->request)
            abort();
        lane->capacity = needed;
    }
    int head = snprintf(lane->request, lane->capacity,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
                        "%sContent-Length: %zu\r\n\r\n",
                        path, headers, length);
    memcpy(lane->request + head, body, length);
    lane->request_length = (size_t)head + length;
    lane->sent = 0;
}

void publisher_post(struct publisher *publisher, uint32_t index, const char *path, const char *body,
                    size_t length)
{
    struct lane *lane = &publisher->lanes[index];

    if (lane->watcher.descriptor < 0) {
        int error = connect_lane(lane);
        if (error < 0) {
            fail(lane, "cannot connect", -error);
            return;
        }
    }
    write_request(lane, path, body, length);
    http_init(&lane->reply);
    lane->busy = true;
    flush(lane);
}
