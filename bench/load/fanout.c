/* One channel with all subscribers on it. Each lane is a publisher that sends its next event when
 * every subscriber has its last; with K lanes K events are outstanding. With a burst, the one lane
 * has the server publish many events by itself instead of posting one. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "load/bench.h"
#include "load/result.h"

struct fanout {
    struct bench *bench;
    uint32_t lanes;
    uint32_t events_at_once; /* published for one POST */
    uint32_t *turns;         /* per lane: events published so far */
    uint64_t *missing;       /* per lane: deliveries still to come of what was published last */
    bool *waiting;           /* per lane: for the answer to the POST */
    uint32_t active;         /* lanes that are publishing */
    uint64_t posts_left;     /* when the run is measured in events */
    uint64_t deadline;       /* when it is measured in time */
    uint64_t published;      /* events of this phase */
    uint64_t published_in_all;
};

static void publish(struct fanout *fanout, uint32_t lane)
{
    struct bench *bench = fanout->bench;
    uint64_t number = (uint64_t)fanout->turns[lane] * fanout->lanes + lane;

    fanout->missing[lane] = (uint64_t)fanout->events_at_once * bench->options.subscribers;
    fanout->waiting[lane] = true;
    fanout->turns[lane] += fanout->events_at_once;
    fanout->published += fanout->events_at_once;
    fanout->published_in_all += fanout->events_at_once;
    if (fanout->events_at_once == 1)
        bench_post(bench, lane, number, 0);
    else
        bench_burst(bench, number, fanout->events_at_once);
}

static bool is_over(struct fanout *fanout)
{
    if (fanout->deadline)
        return loop_now() >= fanout->deadline;
    if (fanout->posts_left == 0)
        return true;
    fanout->posts_left--;
    return false;
}

static void advance(struct fanout *fanout, uint32_t lane)
{
    if (fanout->missing[lane] || fanout->waiting[lane])
        return;
    if (is_over(fanout))
        fanout->active--;
    else
        publish(fanout, lane);
}

static void on_event(void *context, uint32_t index, const struct sse_event *event)
{
    struct fanout *fanout = context;
    uint64_t number;

    if (!bench_hear(fanout->bench, index, event, &number))
        return;
    uint32_t lane = (uint32_t)(number % fanout->lanes);
    if (fanout->missing[lane] && --fanout->missing[lane] == 0)
        advance(fanout, lane);
}

static void on_answer(void *context, uint32_t lane)
{
    struct fanout *fanout = context;

    fanout->waiting[lane] = false;
    advance(fanout, lane);
}

static bool is_done(void *context)
{
    struct fanout *fanout = context;

    return fanout->active == 0 || bench_is_broken(fanout->bench);
}

/* Publishes for so many seconds, or so many events if that is not 0, and until all have arrived. */
static int run_phase(struct fanout *fanout, double seconds, uint32_t events)
{
    struct bench *bench = fanout->bench;

    fanout->posts_left = (events + fanout->events_at_once - 1) / fanout->events_at_once;
    fanout->deadline = events ? 0 : loop_now() + (uint64_t)(seconds * 1e9);
    fanout->published = 0;
    fanout->active = fanout->lanes;
    for (uint32_t lane = 0; lane < fanout->lanes; lane++)
        advance(fanout, lane);
    return loop_until(&bench->loop, is_done, fanout, bench->options.stall);
}

static int prepare(struct fanout *fanout)
{
    struct bench *bench = fanout->bench;

    fanout->turns = calloc(fanout->lanes, sizeof *fanout->turns);
    fanout->missing = calloc(fanout->lanes, sizeof *fanout->missing);
    fanout->waiting = calloc(fanout->lanes, sizeof *fanout->waiting);
    if (!fanout->turns || !fanout->missing || !fanout->waiting)
        return -ENOMEM;
    crowd_init(&bench->crowd, &bench->loop, &bench->options, on_event, fanout);
    int error = publisher_init(&bench->publisher, &bench->loop, &bench->options, fanout->lanes,
                               on_answer, fanout);
    return error < 0 ? error : bench_subscribe(bench, fanout->lanes, 0);
}

static int run(struct bench *bench, uint32_t lanes, uint32_t events_at_once)
{
    struct fanout fanout = {.bench = bench, .lanes = lanes, .events_at_once = events_at_once};
    struct server_span span = {0};
    const struct options *options = &bench->options;
    int error = prepare(&fanout);

    if (error == 0)
        error = run_phase(&fanout, options->warmup, options->events ? lanes * events_at_once : 0);
    server_settle(&bench->server, &bench->loop);
    server_span_start(&bench->server, &span);
    if (error == 0)
        error = run_phase(&fanout, options->seconds, options->events);
    server_span_stop(&bench->server, &span);
    server_settle(&bench->server, &bench->loop); /* what arrives now is doubled */
    if (fanout.turns && bench->checker.next)
        checker_finish(&bench->checker, fanout.turns);
    uint64_t deliveries = fanout.published * options->subscribers;
    result_integer("subscribers", options->subscribers);
    result_integer("outstanding", lanes);
    result_integer("bytes", options->bytes);
    result_integer("events", fanout.published);
    result_integer("events_in_all", fanout.published_in_all);
    result_integer("deliveries", deliveries);
    bench_report_span(&span, deliveries, "cpu_us_per_delivery");
    bench_report_switches(&span, fanout.published);
    free(fanout.turns);
    free(fanout.missing);
    free(fanout.waiting);
    return bench_report(bench, error);
}

int fanout_run(struct bench *bench)
{
    return run(bench, bench->options.outstanding, 1);
}

int self_run(struct bench *bench)
{
    return run(bench, 1, bench->options.replay);
}
