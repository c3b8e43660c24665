/* As many channels as subscribers, one POST and one delivery at a time, over all channels. */

#include <errno.h>
#include <stdlib.h>

#include "load/bench.h"
#include "load/result.h"

/* Channels are visited in steps of this prime, so that neighbours in memory are not neighbours in
 * time. */
#define STRIDE 7919

struct spread {
    struct bench *bench;
    uint64_t visits; /* events published so far, over all channels */
    uint64_t end;    /* stop before this visit; 0: at the deadline */
    uint64_t deadline;
    bool heard, answered;
    bool over;
};

static void publish(struct spread *spread)
{
    uint32_t channels = spread->bench->options.subscribers;
    uint64_t visit = spread->visits++;

    spread->heard = spread->answered = false;
    bench_post(spread->bench, 0, visit / channels,
               (uint32_t)((visit % channels) * STRIDE % channels));
}

static void advance(struct spread *spread)
{
    if (!spread->heard || !spread->answered)
        return;
    spread->over = spread->end ? spread->visits >= spread->end : loop_now() >= spread->deadline;
    if (!spread->over)
        publish(spread);
}

static void on_event(void *context, uint32_t index, const struct sse_event *event)
{
    struct spread *spread = context;
    uint64_t number;

    if (bench_hear(spread->bench, index, event, &number)) {
        spread->heard = true;
        advance(spread);
    }
}

static void on_answer(void *context, uint32_t lane)
{
    struct spread *spread = context;

    (void)lane;
    spread->answered = true;
    advance(spread);
}

static bool is_done(void *context)
{
    struct spread *spread = context;

    return spread->over || bench_is_broken(spread->bench);
}

static int run_phase(struct spread *spread, double seconds, uint64_t events)
{
    spread->end = events ? spread->visits + events : 0;
    spread->deadline = loop_now() + (uint64_t)(seconds * 1e9);
    spread->over = false;
    publish(spread);
    return loop_until(&spread->bench->loop, is_done, spread, spread->bench->options.stall);
}

int spread_run(struct bench *bench)
{
    struct spread spread = {.bench = bench};
    struct server_span span = {0};
    struct options *options = &bench->options;

    options->channel_each = true;
    if (options->subscribers % STRIDE == 0)
        options->subscribers--; /* else the stride would miss channels */
    crowd_init(&bench->crowd, &bench->loop, options, on_event, &spread);
    int error = publisher_init(&bench->publisher, &bench->loop, options, 1, on_answer, &spread);
    if (error == 0)
        error = bench_subscribe(bench, 1, 0);
    /* The first visit to a channel may cost more than the later ones: it is the warm-up. */
    if (error == 0)
        error = run_phase(&spread, 0, options->subscribers);
    server_settle(&bench->server, &bench->loop);
    uint64_t before = spread.visits;
    server_span_start(&bench->server, &span);
    if (error == 0)
        error = run_phase(&spread, options->seconds, options->events);
    server_span_stop(&bench->server, &span);
    if (error == -ETIMEDOUT && !spread.heard)
        bench->checker.lost++;
    server_settle(&bench->server, &bench->loop);
    result_integer("subscribers", options->subscribers);
    result_integer("bytes", options->bytes);
    result_integer("deliveries", spread.visits - before);
    bench_report_span(&span, spread.visits - before, "cpu_us_per_delivery");
    bench_report_switches(&span, spread.visits - before);
    return bench_report(bench, error);
}
