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
#include <strings.h>
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
    PORT_TRIES = 16,           /* free ports tried until one is free for all addresses of a name */
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

/* 0 when there is no such file. */
static uint64_t inode_of(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 ? status.st_ino : 0;
}

/* Closes the last one. */
static void close_last(struct listeners *listeners)
{
    struct listener *listener = &listeners->all[--listeners->count];
    close(listener->descriptor);
    if (listener->local && inode_of(listener->path) == listener->inode)
        unlink(listener->path);
}

/* "127.0.0.1:8080" or "[::1]:8080" */
static void name_address(const struct sockaddr *address, socklen_t length, char *out, size_t size)
{
    char host[64] = "", port[16] = "";
    bool six = address->sa_family == AF_INET6;
    getnameinfo(address, length, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(out, size, "%s%s%s:%s", six ? "[" : "", host, six ? "]" : "", port);
}

static in_port_t *port_of(struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
                                          : &((struct sockaddr_in *)address)->sin_port;
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
    *listener = (struct listener){.descriptor = descriptor};
    return 0;
}

static void name_tcp(struct listener *listener)
{
    struct sockaddr_storage bound = {0};
    socklen_t length = sizeof bound;
    char name[128];
    getsockname(listener->descriptor, (struct sockaddr *)&bound, &length);
    name_address((struct sockaddr *)&bound, length, name, sizeof name);
    snprintf(listener->address, sizeof listener->address, "http://%s/", name);
    listener->port = ntohs(*port_of((struct sockaddr *)&bound));
}

/* What a name means: some addresses, the one that could not be had, and the port for all. */
struct resolved {
    struct addrinfo *found;
    struct addrinfo *addresses[LISTENERS_MAX]; /* different ones of `found`, IPv4's first */
    unsigned count;
    const struct addrinfo *failed;
    uint16_t port; /* 0: one that is free */
};

static bool is_new(const struct resolved *resolved, const struct addrinfo *info)
{
    for (unsigned i = 0; i < resolved->count; i++) {
        const struct addrinfo *other = resolved->addresses[i];
        if (other->ai_addrlen == info->ai_addrlen &&
            memcmp(other->ai_addr, info->ai_addr, info->ai_addrlen) == 0)
            return false;
    }
    return resolved->count < LISTENERS_MAX;
}

/* 0 or a code of getaddrinfo. "localhost" is both of the loopback's addresses, whatever /etc/hosts
 * says (RFC 6761, 6.3). */
static int resolve(struct resolved *resolved, const char *host, const char *port)
{
    static const int families[] = {AF_INET, AF_INET6};
    bool loopback = strcasecmp(host, "localhost") == 0;
    bool everywhere = host[0] == '\0' || strcmp(host, "*") == 0;
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | (loopback ? 0 : AI_PASSIVE)};
    *resolved = (struct resolved){.port = (uint16_t)atoi(port)};
    const char *node = loopback ? NULL : everywhere ? "0.0.0.0" : host;
    int code = getaddrinfo(node, port, &hints, &resolved->found);
    if (code != 0)
        return code;
    for (int i = 0; i < 2; i++) {
        for (struct addrinfo *info = resolved->found; info != NULL; info = info->ai_next) {
            if (info->ai_family == families[i] && is_new(resolved, info))
                resolved->addresses[resolved->count++] = info;
        }
    }
    return 0;
}

/* The machine does not have that address, or no IPv6 at all: the name's others will do. */
static bool is_absent(int error)
{
    return error == -EADDRNOTAVAIL || error == -EAFNOSUPPORT;
}

/* One listener for each address that the machine has, all of the same port. */
static int bind_all(struct listeners *listeners, struct resolved *resolved)
{
    unsigned first = listeners->count;
    int error = resolved->count == 0 ? -EADDRNOTAVAIL : 0;
    for (unsigned i = 0; i < resolved->count && (error == 0 || is_absent(error)); i++) {
        struct addrinfo *info = resolved->addresses[i];
        struct listener *listener = &listeners->all[listeners->count];
        bool is_first = listeners->count == first;
        *port_of(info->ai_addr) = htons(is_first ? resolved->port : listeners->all[first].port);
        int result = listeners->count == LISTENERS_MAX ? -ENOSPC : bind_tcp(listener, info);
        if (result == 0) {
            name_tcp(listener);
            listeners->count++;
        } else if (error == 0 || !is_absent(result)) {
            error = result;
            resolved->failed = info;
        }
    }
    if (listeners->count > first && (error == 0 || is_absent(error)))
        return 0;
    while (listeners->count > first)
        close_last(listeners);
    return error;
}

static void explain(const char *address, const struct resolved *resolved, int error, char *message,
                    size_t size)
{
    char name[128] = "";
    if (resolved->failed != NULL)
        name_address(resolved->failed->ai_addr, resolved->failed->ai_addrlen, name, sizeof name);
    bool says_more = name[0] != '\0' && strcmp(name, address) != 0;
    snprintf(message, size, "cannot listen on %s%s%s: %s%s", address, says_more ? " as " : "",
             says_more ? name : "", strerror(-error),
             error == -EADDRINUSE ? " (is another server running? try --listen with port 0)" : "");
}

static int open_tcp(struct listeners *listeners, const char *address, char *message, size_t size)
{
    char host[128], port[8];
    struct resolved resolved;
    if (!split_address(address, host, sizeof host, port, sizeof port)) {
        snprintf(message, size,
                 "'%s' is no address to listen on; write HOST:PORT, [IPV6]:PORT or unix:PATH",
                 address);
        return -EINVAL;
    }
    int code = resolve(&resolved, host, port);
    if (code != 0) {
        snprintf(message, size, "cannot listen on %s: %s", address, gai_strerror(code));
        return -EADDRNOTAVAIL;
    }
    /* A port that is free for one address may be in use for another. */
    int error = bind_all(listeners, &resolved);
    for (int i = 1; i < PORT_TRIES && error == -EADDRINUSE && resolved.port == 0; i++)
        error = bind_all(listeners, &resolved);
    if (error != 0)
        explain(address, &resolved, error, message, size);
    freeaddrinfo(resolved.found);
    return error;
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

static int open_local(struct listeners *listeners, const char *path, char *message, size_t size)
{
    struct listener *listener = &listeners->all[listeners->count];
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
    *listener = (struct listener){.descriptor = descriptor, .local = true, .inode = inode_of(path)};
    listeners->count++;
    strcpy(listener->path, path);
    snprintf(listener->address, sizeof listener->address, "unix:%s", path);
    return 0;
}

int listeners_open(struct listeners *listeners, const char *address, char *message, size_t size)
{
    if (listeners->count == LISTENERS_MAX) {
        snprintf(message, size, "too many addresses to listen on");
        return -ENOSPC;
    }
    if (strncmp(address, "unix:", 5) == 0)
        return open_local(listeners, address + 5, message, size);
    return open_tcp(listeners, address, message, size);
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

void listeners_close(struct listeners *listeners)
{
    while (listeners->count > 0)
        close_last(listeners);
}
