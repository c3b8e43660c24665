/* sse-bare: the least a server of events can do, as a yardstick. One thread, one epoll set; for
 * every POST one send() to every subscriber of the channel. With --joining the sends wait for the
 * end of the loop's turn, and what was published meanwhile leaves in one send().
 *
 *     GET  /sub/NAME                      an event stream, ended by the close of the connection
 *     POST /pub/NAME                      the body becomes an event
 *     POST /burst/NAME/FIRST/COUNT/BYTES  COUNT events, numbered from FIRST
 *
 * No history, no ids, no limits, and it trusts its client. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 65536
#define BUCKETS 65536
#define NAME_MAX_LENGTH 63
#define RECEIVE_MAX 131072
#define EVENTS_PER_TURN 512

/* A subscriber of a channel and how far it has got in what the channel has said. */
struct seat {
    int descriptor;
    uint64_t position;
};

/* What was published and not yet taken by all is in `bytes`, stream positions start to start +
 * length. */
struct channel {
    char name[NAME_MAX_LENGTH + 1];
    struct channel *next_in_bucket, *next_dirty;
    bool dirty;
    struct seat *seats;
    uint32_t count, capacity;
    uint32_t behind; /* seats whose socket is full */
    char *bytes;
    size_t length, room;
    uint64_t start;
};

struct connection {
    struct channel *channel; /* NULL: not a subscriber */
    uint32_t seat;
    bool behind;
    char *input; /* a request that is not complete yet */
    size_t input_length;
};

static struct connection connections[DESCRIPTORS_MAX];
static struct channel *buckets[BUCKETS];
static struct channel *first_dirty;
static int epoll, listener;
static bool joining;

static const char stream_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "Cache-Control: no-store\r\nConnection: close\r\n\r\n:\n\n";
static const char accepted[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static const char not_found[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

static void *checked(void *memory)
{
    if (!memory) {
        perror("sse-bare");
        exit(3);
    }
    return memory;
}

static void watch(int operation, int descriptor, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = descriptor};

    epoll_ctl(epoll, operation, descriptor, &event);
}

static struct channel *channel_named(const char *name, size_t length)
{
    uint32_t hash = 2166136261u;

    if (length > NAME_MAX_LENGTH)
        length = NAME_MAX_LENGTH;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    struct channel **bucket = &buckets[hash % BUCKETS];
    for (struct channel *found = *bucket; found; found = found->next_in_bucket) {
        if (strncmp(found->name, name, length) == 0 && !found->name[length])
            return found;
    }
    struct channel *channel = checked(calloc(1, sizeof *channel));
    memcpy(channel->name, name, length);
    channel->next_in_bucket = *bucket;
    *bucket = channel;
    return channel;
}

static void set_behind(struct channel *channel, struct seat *seat, bool behind)
{
    struct connection *connection = &connections[seat->descriptor];

    if (connection->behind == behind)
        return;
    connection->behind = behind;
    channel->behind += behind ? 1 : -1;
    watch(EPOLL_CTL_MOD, seat->descriptor, behind ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void send_pending(struct channel *channel, struct seat *seat)
{
    uint64_t end = channel->start + channel->length;
    ssize_t sent = send(seat->descriptor, channel->bytes + (seat->position - channel->start),
                        end - seat->position, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent > 0)
        seat->position += (uint64_t)sent;
    if (seat->position != end || channel->behind)
        set_behind(channel, seat, seat->position != end);
}

/* Forgets what every subscriber has. */
static void trim(struct channel *channel)
{
    if (channel->behind == 0) {
        channel->start += channel->length;
        channel->length = 0;
    }
}

static void flush(struct channel *channel)
{
    for (uint32_t i = 0; i < channel->count; i++)
        send_pending(channel, &channel->seats[i]);
    trim(channel);
}

static void flush_dirty(void)
{
    while (first_dirty) {
        struct channel *channel = first_dirty;
        first_dirty = channel->next_dirty;
        channel->dirty = false;
        flush(channel);
    }
}

static void publish(struct channel *channel, const char *data, size_t length)
{
    size_t needed = channel->length + length + 8;

    if (needed > channel->room) {
        channel->room = needed * 2;
        channel->bytes = checked(realloc(channel->bytes, channel->room));
    }
    char *out = channel->bytes + channel->length;
    memcpy(out, "data: ", 6);
    memcpy(out + 6, data, length);
    memcpy(out + 6 + length, "\n\n", 2);
    channel->length = needed;
    if (!joining) {
        flush(channel);
    } else if (!channel->dirty) {
        channel->dirty = true;
        channel->next_dirty = first_dirty;
        first_dirty = channel;
    }
}

static void burst(char *path)
{
    char *rest = path;
    struct channel *channel = channel_named(path, strcspn(path, "/"));
    unsigned long long first = 0;
    unsigned long count = 0, bytes = 0;

    if (!(rest = strchr(path, '/')) || sscanf(rest, "/%llu/%lu/%lu", &first, &count, &bytes) != 3)
        return;
    char *data = checked(malloc(bytes + 64));
    for (unsigned long i = 0; i < count; i++) {
        int head = sprintf(data, "{\"n\":%llu,\"c\":0,\"pad\":\"", first + i);
        memset(data + head, 'x', bytes);
        memcpy(data + bytes - 2, "\"}", 2);
        publish(channel, data, bytes);
    }
    free(data);
}

static void subscribe(int descriptor, struct channel *channel)
{
    if (channel->count == channel->capacity) {
        channel->capacity = channel->capacity ? channel->capacity * 2 : 1;
        channel->seats = checked(realloc(channel->seats, channel->capacity * sizeof(struct seat)));
    }
    connections[descriptor].channel = channel;
    connections[descriptor].seat = channel->count;
    channel->seats[channel->count++] = (struct seat){descriptor, channel->start + channel->length};
    send(descriptor, stream_head, sizeof stream_head - 1, MSG_NOSIGNAL);
}

static void hang_up(int descriptor)
{
    struct connection *connection = &connections[descriptor];
    struct channel *channel = connection->channel;

    if (channel) {
        struct seat *seat = &channel->seats[connection->seat];
        if (connection->behind)
            channel->behind--;
        *seat = channel->seats[--channel->count];
        connections[seat->descriptor].seat = connection->seat;
        trim(channel);
    }
    free(connection->input);
    memset(connection, 0, sizeof *connection);
    close(descriptor);
}

/* `head` ends with the empty line and is terminated. */
static void answer(int descriptor, char *head, const char *body, size_t length)
{
    char *path = strchr(head, ' ');
    const char *reply = accepted;

    if (!path)
        return;
    path++;
    path[strcspn(path, " ")] = '\0';
    if (strncmp(head, "GET /sub/", 9) == 0) {
        subscribe(descriptor, channel_named(path + 5, strlen(path + 5)));
        return;
    }
    if (strncmp(head, "POST /pub/", 10) == 0)
        publish(channel_named(path + 5, strlen(path + 5)), body, length);
    else if (strncmp(head, "POST /burst/", 12) == 0)
        burst(path + 7);
    else
        reply = not_found;
    send(descriptor, reply, strlen(reply), MSG_NOSIGNAL);
}

/* Answers one request if it is complete; returns how many bytes it had. */
static size_t take_request(int descriptor, char *bytes, size_t length)
{
    char *end = memmem(bytes, length, "\r\n\r\n", 4);

    if (!end)
        return 0;
    end[3] = '\0';
    size_t head = (size_t)(end - bytes) + 4;
    const char *field = strcasestr(bytes, "\r\ncontent-length:");
    size_t body = field ? strtoul(field + 17, NULL, 10) : 0;
    if (head + body > length) {
        end[3] = '\n';
        return 0;
    }
    answer(descriptor, bytes, bytes + head, body);
    return head + body;
}

static void take_input(int descriptor)
{
    static char bytes[RECEIVE_MAX];
    struct connection *connection = &connections[descriptor];
    size_t kept = connection->input_length, used = 0, taken;

    memcpy(bytes, connection->input ? connection->input : "", kept);
    ssize_t received = recv(descriptor, bytes + kept, sizeof bytes - kept, MSG_DONTWAIT);
    if (received < 0 && errno == EAGAIN)
        return;
    if (received <= 0) {
        hang_up(descriptor);
        return;
    }
    size_t length = kept + (size_t)received;
    while (used < length && (taken = take_request(descriptor, bytes + used, length - used)))
        used += taken;
    connection->input_length = length - used;
    if (kept || used < length) {
        connection->input = checked(realloc(connection->input, length - used + 1));
        memcpy(connection->input, bytes + used, length - used);
    }
}

static void accept_all(void)
{
    int descriptor;

    while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (descriptor >= DESCRIPTORS_MAX) {
            close(descriptor);
            continue;
        }
        watch(EPOLL_CTL_ADD, descriptor, EPOLLIN);
    }
}

static void take_event(int descriptor, uint32_t events)
{
    struct connection *connection = &connections[descriptor];

    if (descriptor == listener) {
        accept_all();
        return;
    }
    if ((events & EPOLLOUT) && connection->behind) {
        send_pending(connection->channel, &connection->channel->seats[connection->seat]);
        trim(connection->channel);
    }
    if (events & ~(uint32_t)EPOLLOUT)
        take_input(descriptor);
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int on = 1;

    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* inherited by connections */
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) < 0 ||
        listen(listener, 4096) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        return -errno;
    printf("sse-bare: listening on http://127.0.0.1:%d/\n", ntohs(address.sin_port));
    return fflush(stdout);
}

int main(int count, char **arguments)
{
    struct rlimit limit;
    uint16_t port = 0;

    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--joining") == 0)
            joining = true;
        else
            port = (uint16_t)atoi(arguments[i]);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (listen_on(port) < 0) {
        perror("sse-bare");
        return 3;
    }
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[EVENTS_PER_TURN];
        int ready = epoll_wait(epoll, events, EVENTS_PER_TURN, -1);
        for (int i = 0; i < ready; i++)
            take_event(events[i].data.fd, events[i].events);
        flush_dirty();
    }
}
