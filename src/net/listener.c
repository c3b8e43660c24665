#include "net/listener.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    USER_TIMEOUT = 30000, /* milliseconds without an acknowledgement until a peer is dead ... */
    USER_MARGIN = 5000,   /* ... and at least so many more than a stalled reader has */
    KEEPALIVE_IDLE = 30,  /* seconds */
    KEEPALIVE_INTERVAL = 10,
    KEEPALIVE_COUNT = 3,
    UNSENT_LIMIT = 256 * 1024, /* bytes that the kernel queues for a reader before it says "full" */
};

/* "host:port" in its parts. False when it is neither that nor a port alone. */
static bool split_address(const char *address, char *host, size_t host_size, char *port,
                          size_t port_size)
{
    const char *colon = strrchr(address, ':');
    const char *start = address;
    const char *end = colon;
    const char *digits = colon == NULL ? address : colon + 1;
    if (colon == NULL)
        end = address;
    if (*start == '[') {
        if (end == start || end[-1] != ']')
            return false;
        start++;
        end--;
    }
    size_t length = (size_t)(end - start);
    char *rest;
    long number = strtol(digits, &rest, 10);
    if (*digits == '\0' || *rest != '\0' || number < 0 || number > 65535 || length >= host_size)
        return false;
    memcpy(host, start, length);
    host[length] = '\0';
    snprintf(port, port_size, "%ld", number);
    return true;
}

/* Accepted sockets inherit these, so nothing is set per connection. */
static void set_options(int descriptor)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_LIMIT},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        setsockopt(descriptor, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static int bind_tcp(struct listener *listener, const struct addrinfo *info)
{
    int descriptor =
        socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (descriptor < 0)
        return -errno;
    set_options(descriptor);
    if (info->ai_family == AF_INET6) {
        int on = 1;
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(descriptor, info->ai_addr, info->ai_addrlen) < 0 || listen(descriptor, BACKLOG) < 0) {
        int error = -errno;
        close(descriptor);
        return error;
    }
    listener->descriptor = descriptor;
    return 0;
}

static void name_tcp(struct listener *listener)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    char host[64], port[16];
    getsockname(listener->descriptor, (struct sockaddr *)&bound, &length);
    getnameinfo((struct sockaddr *)&bound, length, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    bool six = bound.ss_family == AF_INET6;
    snprintf(listener->address, sizeof listener->address, "http://%s%s%s:%s/", six ? "[" : "", host,
             six ? "]" : "", port);
}

static int open_tcp(struct listener *listener, const char *address, char *message, size_t size)
{
    char host[128], port[8];
    if (!split_address(address, host, sizeof host, port, sizeof port)) {
        snprintf(message, size,
                 "'%s' is no address to listen on; write HOST:PORT, [IPV6]:PORT or unix:PATH",
                 address);
        return -EINVAL;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int code = getaddrinfo(host[0] == '\0' || strcmp(host, "*") == 0 ? "0.0.0.0" : host, port,
                           &hints, &found);
    if (code != 0) {
        snprintf(message, size, "cannot listen on %s: %s", address, gai_strerror(code));
        return -EADDRNOTAVAIL;
    }
    int error = -EADDRNOTAVAIL;
    for (struct addrinfo *info = found; info != NULL && error != 0; info = info->ai_next)
        error = bind_tcp(listener, info);
    freeaddrinfo(found);
    if (error != 0) {
        snprintf(message, size, "cannot listen on %s: %s%s", address, strerror(-error),
                 error == -EADDRINUSE ? " (is another server running? try --listen with port 0)"
                                      : "");
        return error;
    }
    name_tcp(listener);
    return 0;
}

/* A socket file that nobody answers is left from a router that was killed: it may go. */
static void remove_stale(const struct sockaddr_un *name)
{
    struct stat status;
    if (lstat(name->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return;
    if (connect(probe, (const struct sockaddr *)name, sizeof *name) < 0 && errno == ECONNREFUSED)
        unlink(name->sun_path);
    close(probe);
}

/* 0 when there is no such file. */
static uint64_t inode_of(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 ? status.st_ino : 0;
}

static int open_local(struct listener *listener, const char *path, char *message, size_t size)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) == 0 || strlen(path) >= sizeof name.sun_path) {
        snprintf(message, size, "cannot listen on unix:%s: the path must have 1 to %zu bytes", path,
                 sizeof name.sun_path - 1);
        return -EINVAL;
    }
    strcpy(name.sun_path, path);
    remove_stale(&name);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&name, sizeof name) < 0 ||
        listen(descriptor, BACKLOG) < 0) {
        int error = -errno;
        snprintf(message, size, "cannot listen on unix:%s: %s", path, strerror(errno));
        if (descriptor >= 0)
            close(descriptor);
        return error;
    }
    listener->descriptor = descriptor;
    listener->local = true;
    listener->inode = inode_of(path);
    strcpy(listener->path, path);
    snprintf(listener->address, sizeof listener->address, "unix:%s", path);
    return 0;
}

int listener_open(struct listener *listener, const char *address, char *message, size_t size)
{
    *listener = (struct listener){.descriptor = -1};
    if (strncmp(address, "unix:", 5) == 0)
        return open_local(listener, address + 5, message, size);
    return open_tcp(listener, address, message, size);
}

void listener_refuse(const struct listener *listener)
{
    shutdown(listener->descriptor, SHUT_RDWR);
}

void listener_allow_stall(const struct listener *listener, unsigned milliseconds)
{
    int64_t wanted = (int64_t)milliseconds + USER_MARGIN;
    int value = wanted < USER_TIMEOUT ? USER_TIMEOUT : wanted > INT_MAX ? INT_MAX : (int)wanted;
    if (!listener->local)
        setsockopt(listener->descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
}

void listener_close(struct listener *listener)
{
    if (listener->descriptor < 0)
        return;
    close(listener->descriptor);
    listener->descriptor = -1;
    if (listener->local && inode_of(listener->path) == listener->inode)
        unlink(listener->path);
}
