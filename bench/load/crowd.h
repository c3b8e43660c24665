/* The subscribers: N connections that each hold one event stream. */

#ifndef BENCH_LOAD_CROWD_H
#define BENCH_LOAD_CROWD_H

#include <stdbool.h>
#include <stdint.h>

#include "load/http.h"
#include "load/loop.h"
#include "load/options.h"
#include "load/sse.h"

struct crowd;

struct subscriber {
    struct watcher watcher;
    struct crowd *crowd;
    uint32_t index;
    uint32_t heard; /* events on this connection */
    bool connected, ready;
    struct http_reply reply;
    struct sse_decoder decoder;
};

/* One event arrived at subscriber `index`. May publish; must not open or close the crowd. */
typedef void (*crowd_event_fn)(void *context, uint32_t index, const struct sse_event *event);

struct crowd {
    struct loop *loop;
    const struct options *options;
    struct subscriber *members;
    uint32_t size, opened, ready;
    uint32_t failed;           /* refused, or ended by the server */
    uint32_t wanted;           /* events after which a subscriber counts as ready */
    const char *last_event_id; /* sent along when not NULL */
    crowd_event_fn on_event;
    void *context;
};

void crowd_init(struct crowd *crowd, struct loop *loop, const struct options *options,
                crowd_event_fn on_event, void *context);

/* Connects `size` subscribers and waits until each has its response head and the events wanted.
 * Returns 0 or a negative errno; the crowd has to be closed either way. */
int crowd_open(struct crowd *crowd, uint32_t size);

/* Disconnects all. */
void crowd_close(struct crowd *crowd);

#endif
