/* The publishers: connections that are kept and carry one POST at a time each. */

#ifndef BENCH_LOAD_PUBLISHER_H
#define BENCH_LOAD_PUBLISHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/http.h"
#include "load/loop.h"
#include "load/options.h"

struct publisher;

struct lane {
    struct watcher watcher;
    struct publisher *publisher;
    uint32_t index;
    bool busy;   /* a POST waits for its answer */
    bool behind; /* the socket has not taken all of the request yet */
    struct http_reply reply;
    char *request;
    size_t request_length, sent, capacity;
};

/* The POST on this lane was answered. May post again. */
typedef void (*publisher_answer_fn)(void *context, uint32_t lane);

struct publisher {
    struct loop *loop;
    const struct options *options;
    struct lane *lanes;
    uint32_t count;
    uint64_t failed; /* answers that were not 2xx, and answers that never came */
    publisher_answer_fn on_answer;
    void *context;
};

/* Returns 0 or -ENOMEM. Connections are made when first needed, and again when the server closed.
 */
int publisher_init(struct publisher *publisher, struct loop *loop, const struct options *options,
                   uint32_t lanes, publisher_answer_fn on_answer, void *context);
void publisher_deinit(struct publisher *publisher);

/* Starts a POST on a lane that is not busy. A failure is counted and reported on stderr. */
void publisher_post(struct publisher *publisher, uint32_t lane, const char *path, const char *body,
                    size_t length);

#endif
