/* One epoll set and the clock. Every wait in the load generator goes through loop_until, which
 * gives up when nothing at all has happened for a while, so that no run can hang. */

#ifndef BENCH_LOAD_LOOP_H
#define BENCH_LOAD_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* Embedded as the first member of whatever owns the descriptor. */
struct watcher {
    int descriptor; /* -1: closed; events still queued for it are dropped */
    void (*ready)(struct watcher *watcher, uint32_t events);
};

struct loop {
    int epoll;
    bool spin;         /* loop_until never sleeps, so that no server pays for waking it up */
    uint64_t progress; /* whoever brings a run forward counts it here */
};

typedef bool (*loop_done_fn)(void *context);

/* Nanoseconds of the monotonic clock. */
uint64_t loop_now(void);

int loop_open(struct loop *loop);
void loop_close(struct loop *loop);

/* Start watching; level-triggered. Returns 0 or a negative errno. */
int loop_watch(struct loop *loop, struct watcher *watcher, uint32_t events);

/* Watch for other events from now on. */
void loop_change(struct loop *loop, struct watcher *watcher, uint32_t events);

/* Close the descriptor; `ready` is not called again for it. */
void loop_forget(struct watcher *watcher);

/* Wait at most `timeout` milliseconds for events and call back for each. */
void loop_turn(struct loop *loop, int timeout);

/* Turn until `done` holds. Returns 0, or -ETIMEDOUT once `stall` milliseconds passed without
 * progress. */
int loop_until(struct loop *loop, loop_done_fn done, void *context, uint32_t stall);

/* Turn for this many milliseconds, whatever happens. */
void loop_rest(struct loop *loop, uint32_t milliseconds);

#endif
