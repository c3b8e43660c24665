/* The command line of sse-load. */

#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OPTIONS_PIDS_MAX 64

struct options {
    const char *mode;
    const char *target; /* a name for the output; nothing depends on it */
    uint32_t port;
    const char *subscribe, *publish, *burst; /* URL templates, see message.h */
    const char *channel;
    bool channel_each;       /* every subscriber has a channel of its own */
    char *subscribe_headers; /* whole lines, ready for a request */
    char *publish_headers;
    uint32_t subscribers, outstanding, bytes, events, groups, batches, replay, rate, in_flight;
    double seconds, warmup;
    uint32_t stall; /* milliseconds without progress after which a run has failed */
    pid_t pids[OPTIONS_PIDS_MAX];
    uint32_t pid_count;
    bool children;
    bool spin;
};

/* Fills the options in. Returns 0, or 2 after a message on stderr. */
int options_parse(struct options *options, int count, char **arguments);

/* The channel of a subscriber, written into `out` where it has to be made. */
const char *options_channel(const struct options *options, uint32_t subscriber, char *out,
                            uint32_t size);

#endif
