/* What coming and going costs: new subscriptions, and reconnects that have events replayed. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load/bench.h"
#include "load/result.h"

/* One batch of subscribers comes and goes, each checked from event `first` on. Adds the server's
 * CPU time for both to the totals. */
static int run_batch(struct bench *bench, uint32_t first, uint64_t *opening, uint64_t *closing)
{
    uint64_t start = server_cpu(&bench->server);
    int error = bench_subscribe(bench, 1, first);

    server_settle(&bench->server, &bench->loop);
    uint64_t open = server_cpu(&bench->server);
    crowd_close(&bench->crowd);
    server_settle(&bench->server, &bench->loop);
    *opening += open - start;
    *closing += server_cpu(&bench->server) - open;
    return error;
}

/* The warm-up batch is not counted. Losses end the run at the batch where they show. */
static int run_batches(struct bench *bench, uint32_t first, uint64_t *opening, uint64_t *closing)
{
    uint64_t unused = 0;
    int error = run_batch(bench, first, &unused, &unused);

    for (uint32_t i = 0; i < bench->options.batches && error == 0 && !bench_is_broken(bench); i++) {
        checker_deinit(&bench->checker);
        error = run_batch(bench, first, opening, closing);
    }
    return error;
}

static double each(const struct bench *bench, uint64_t nanoseconds)
{
    return (double)nanoseconds / 1e3 / bench->options.batches / bench->options.subscribers;
}

int connect_run(struct bench *bench)
{
    uint64_t opening = 0, closing = 0;
    int error = run_batches(bench, 0, &opening, &closing);

    result_integer("subscribers", bench->options.subscribers);
    result_integer("batches", bench->options.batches);
    result_real("cpu_us_per_subscription", each(bench, opening));
    result_real("cpu_us_per_disconnect", each(bench, closing));
    return bench_report(bench, error);
}

/* Publishes the events to be replayed, while one subscriber notes the ids of the first and the
 * last. */
struct history {
    struct bench *bench;
    uint32_t total, heard, answered;
    char first_id[256], last_id[256];
};

static void on_event(void *context, uint32_t index, const struct sse_event *event)
{
    struct history *history = context;
    uint64_t number;

    if (!bench_hear(history->bench, index, event, &number))
        return;
    char *id = number == 0 ? history->first_id : history->last_id;
    if (event->id.bytes && event->id.length < sizeof history->first_id) {
        memcpy(id, event->id.bytes, event->id.length);
        id[event->id.length] = '\0';
    }
    history->heard++;
}

static void on_answer(void *context, uint32_t lane)
{
    struct history *history = context;

    if (++history->answered < history->total)
        bench_post(history->bench, lane, history->answered, 0);
}

static bool is_written(void *context)
{
    struct history *history = context;

    return (history->heard == history->total && history->answered == history->total) ||
           bench_is_broken(history->bench);
}

static int write_history(struct bench *bench, struct history *history)
{
    uint32_t subscribers = bench->options.subscribers;

    *history = (struct history){.bench = bench, .total = bench->options.replay + 1};
    crowd_init(&bench->crowd, &bench->loop, &bench->options, on_event, history);
    int error =
        publisher_init(&bench->publisher, &bench->loop, &bench->options, 1, on_answer, history);
    bench->options.subscribers = 1;
    if (error == 0)
        error = bench_subscribe(bench, 1, 0);
    bench->options.subscribers = subscribers;
    if (error == 0) {
        bench_post(bench, 0, 0, 0);
        error = loop_until(&bench->loop, is_written, history, bench->options.stall);
    }
    crowd_close(&bench->crowd);
    if (error == 0 && !history->last_id[0])
        error = -ENOTSUP; /* a server without ids does not resume */
    return error;
}

int replay_run(struct bench *bench)
{
    struct history history;
    uint64_t opening = 0, closing = 0, opening_at_end = 0;
    uint32_t replay = bench->options.replay;
    int error = write_history(bench, &history);

    crowd_init(&bench->crowd, &bench->loop, &bench->options, bench_check, bench);
    if (error == 0 && !bench_is_broken(bench)) {
        checker_deinit(&bench->checker);
        bench->crowd.last_event_id = history.first_id;
        bench->crowd.wanted = replay;
        error = run_batches(bench, 1, &opening, &closing);
    }
    if (error == 0 && !bench_is_broken(bench)) {
        checker_deinit(&bench->checker);
        bench->crowd.last_event_id = history.last_id;
        bench->crowd.wanted = 0;
        error = run_batches(bench, replay + 1, &opening_at_end, &closing);
    }
    result_integer("subscribers", bench->options.subscribers);
    result_integer("batches", bench->options.batches);
    result_integer("replayed", replay);
    result_real("cpu_us_per_replayed_event", each(bench, opening) / replay);
    result_real("cpu_us_per_replayed_event_net", each(bench, opening - opening_at_end) / replay);
    result_real("cpu_us_per_reconnect_with_nothing_to_replay", each(bench, opening_at_end));
    return bench_report(bench, error);
}
