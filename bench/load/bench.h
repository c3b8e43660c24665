/* What every mode of the load generator works with, and the modes. */

#ifndef BENCH_LOAD_BENCH_H
#define BENCH_LOAD_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "load/checker.h"
#include "load/crowd.h"
#include "load/loop.h"
#include "load/options.h"
#include "load/publisher.h"
#include "load/server.h"

struct bench {
    struct options options;
    struct loop loop;
    struct server server;
    struct checker checker;
    struct crowd crowd;
    struct publisher publisher;
    char *body; /* options.bytes long */
};

/* A mode runs, checks, and prints its result. Returns 0 if all went well, 1 if events were lost,
 * doubled, reordered or strange, or a negative errno if it could not be carried through. */
typedef int (*bench_mode_fn)(struct bench *bench);

int fanout_run(struct bench *bench); /* one channel, events one at a time or K outstanding */
int self_run(struct bench *bench);   /* the server's own script publishes in a loop */
int spread_run(struct bench *bench); /* a channel for each subscriber */
int connect_run(struct bench *bench);
int replay_run(struct bench *bench);
int idle_run(struct bench *bench);
int latency_run(struct bench *bench);

/* Initialises all but the checker and the publisher. Returns 0 or a negative errno. */
int bench_init(struct bench *bench);
void bench_deinit(struct bench *bench);

/* Opens all subscribers, checked with this many lanes from turn `first` on. */
int bench_subscribe(struct bench *bench, uint32_t lanes, uint32_t first);

/* Takes an event: checks it, counts it. True, with its number, if it was the one due. */
bool bench_hear(struct bench *bench, uint32_t subscriber, const struct sse_event *event,
                uint64_t *number);

/* The crowd_event_fn that only does this; its context is the bench. */
void bench_check(void *context, uint32_t subscriber, const struct sse_event *event);

/* Posts event `number` to the channel of this subscriber. */
void bench_post(struct bench *bench, uint32_t lane, uint64_t number, uint32_t subscriber);

/* Asks the server to publish `count` events from number `first` on by itself. */
void bench_burst(struct bench *bench, uint64_t first, uint32_t count);

/* True once something failed for good, so that waiting makes no sense. */
bool bench_is_broken(const struct bench *bench);

/* Prints what the checker and the sockets counted, ends the result; returns the mode's result. */
int bench_report(struct bench *bench, int result);

/* Prints CPU time, in all and for one of `count` things done. */
void bench_report_span(const struct server_span *span, uint64_t count, const char *per_one);

/* Prints how often the server's threads went to sleep, for each of so many events. */
void bench_report_switches(const struct server_span *span, uint64_t events);

#endif
