#include "load/loop.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 512
#define NANOSECONDS_PER_MILLISECOND 1000000ull

uint64_t loop_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

int loop_open(struct loop *loop)
{
    *loop = (struct loop){.epoll = -1};
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll < 0 ? -errno : 0;
}

void loop_close(struct loop *loop)
{
    close(loop->epoll);
}

int loop_watch(struct loop *loop, struct watcher *watcher, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watcher};

    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watcher->descriptor, &event) < 0 ? -errno : 0;
}

void loop_change(struct loop *loop, struct watcher *watcher, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watcher};

    epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watcher->descriptor, &event);
}

void loop_forget(struct watcher *watcher)
{
    if (watcher->descriptor >= 0) {
        close(watcher->descriptor);
        watcher->descriptor = -1;
    }
}

void loop_turn(struct loop *loop, int timeout)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(loop->epoll, events, EVENTS_PER_TURN, timeout);

    for (int i = 0; i < count; i++) {
        struct watcher *watcher = events[i].data.ptr;
        if (watcher->descriptor >= 0)
            watcher->ready(watcher, events[i].events);
    }
}

int loop_until(struct loop *loop, loop_done_fn done, void *context, uint32_t stall)
{
    uint64_t seen = loop->progress;
    uint64_t moved = loop_now();

    while (!done(context)) {
        loop_turn(loop, loop->spin ? 0 : 100);
        uint64_t now = loop_now();
        if (loop->progress != seen) {
            seen = loop->progress;
            moved = now;
        } else if (now - moved > stall * NANOSECONDS_PER_MILLISECOND) {
            return -ETIMEDOUT;
        }
    }
    return 0;
}

void loop_rest(struct loop *loop, uint32_t milliseconds)
{
    uint64_t end = loop_now() + milliseconds * NANOSECONDS_PER_MILLISECOND;
    uint64_t now;

    while ((now = loop_now()) < end)
        loop_turn(loop, (int)((end - now) / NANOSECONDS_PER_MILLISECOND) + 1);
}
