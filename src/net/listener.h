#ifndef SSE_NET_LISTENER_H
#define SSE_NET_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Listening sockets. The descriptor of a listener is polled by every shard. */

struct listener {
    int descriptor;
    bool local;        /* a unix socket */
    uint16_t port;     /* else */
    char address[160]; /* as bound: "http://127.0.0.1:8080/" or "unix:/run/feed.sock" */
    char path[108];    /* of a unix socket, to unlink when it closes */
    uint64_t inode;    /* of that path, which may be another router's by then */
};

enum { LISTENERS_MAX = 64 };

/* All zero when there are none. */
struct listeners {
    struct listener all[LISTENERS_MAX];
    unsigned count;
};

/* Binds and listens on "HOST:PORT", ":PORT", "PORT", "[IPV6]:PORT" or "unix:PATH": one more
 * listener for each address of the host that the machine has, all of the same port. On failure
 * there are no more, the result is a negative errno value, and `message` has a sentence. */
int listeners_open(struct listeners *listeners, const char *address, char *message, size_t size);
void listeners_close(struct listeners *listeners);
/* From now on connections are refused, and another process may listen on the address. What was
 * accepted lives on. May be called from any thread, and again. */
void listener_refuse(const struct listener *listener);
/* How long a peer may take nothing before the connection's owner ends it: the kernel must be more
 * patient, since it counts a peer that answers with a shut window as dead, too. */
void listener_allow_stall(const struct listener *listener, unsigned milliseconds);

#endif
