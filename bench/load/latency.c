/* Events at a fixed rate, whatever the server does: an event's clock starts when it was due, not
 * when a slow server let it be sent. */

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "load/bench.h"
#include "load/quantile.h"
#include "load/result.h"

#define LANES 64 /* at 50 a second an answer may take 1.2 s before anything has to queue */

struct latency {
    struct watcher timer;
    struct bench *bench;
    uint64_t start, interval; /* nanoseconds */
    uint32_t due;             /* events that should have been sent by now */
    uint32_t sent;
    uint32_t warmup, total; /* events */
    uint32_t delayed;       /* had to wait for a lane */
    uint64_t missing;       /* deliveries still to come */
    uint32_t *samples;      /* microseconds */
    size_t sample_count;
};

static uint64_t due_time(const struct latency *latency, uint64_t number)
{
    return latency->start + number * latency->interval;
}

static void publish_due(struct latency *latency)
{
    while (latency->sent < latency->due &&
           !latency->bench->publisher.lanes[latency->sent % LANES].busy) {
        uint32_t number = latency->sent++;
        bench_post(latency->bench, number % LANES, number, 0);
    }
}

static void on_timer(struct watcher *watcher, uint32_t events)
{
    struct latency *latency = (struct latency *)watcher;
    uint64_t expirations;

    (void)events;
    if (read(watcher->descriptor, &expirations, sizeof expirations) < 0)
        return;
    uint64_t passed = (loop_now() - latency->start) / latency->interval + 1;
    latency->due = passed < latency->total ? (uint32_t)passed : latency->total;
    publish_due(latency);
    latency->delayed += latency->due - latency->sent;
}

static void on_answer(void *context, uint32_t lane)
{
    (void)lane;
    publish_due(context);
}

static void on_event(void *context, uint32_t index, const struct sse_event *event)
{
    struct latency *latency = context;
    uint64_t number;

    if (!bench_hear(latency->bench, index, event, &number))
        return;
    latency->missing--;
    if (number >= latency->warmup) {
        uint64_t microseconds = (loop_now() - due_time(latency, number)) / 1000;
        latency->samples[latency->sample_count++] = (uint32_t)microseconds;
    }
}

static bool is_done(void *context)
{
    struct latency *latency = context;

    return latency->missing == 0 || bench_is_broken(latency->bench);
}

static int start_timer(struct latency *latency)
{
    uint64_t first = loop_now() + 10000000;
    struct itimerspec times = {
        .it_value = {(time_t)(first / 1000000000), (long)(first % 1000000000)},
        .it_interval = {(time_t)(latency->interval / 1000000000),
                        (long)(latency->interval % 1000000000)},
    };

    latency->start = first;
    latency->timer.ready = on_timer;
    latency->timer.descriptor = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (latency->timer.descriptor < 0 ||
        timerfd_settime(latency->timer.descriptor, TFD_TIMER_ABSTIME, &times, NULL) < 0)
        return -errno;
    return loop_watch(&latency->bench->loop, &latency->timer, EPOLLIN);
}

static int measure(struct latency *latency)
{
    struct bench *bench = latency->bench;
    int error =
        publisher_init(&bench->publisher, &bench->loop, &bench->options, LANES, on_answer, latency);

    if (error == 0)
        error = bench_subscribe(bench, LANES, 0);
    if (error == 0) {
        server_settle(&bench->server, &bench->loop);
        error = start_timer(latency);
    }
    return error < 0 ? error : loop_until(&bench->loop, is_done, latency, bench->options.stall);
}

int latency_run(struct bench *bench)
{
    const struct options *options = &bench->options;
    struct latency latency = {.timer.descriptor = -1, .bench = bench};
    struct server_span span;

    latency.interval = 1000000000ull / options->rate;
    latency.warmup = (uint32_t)(options->warmup * options->rate);
    latency.total =
        latency.warmup +
        (options->events ? options->events : (uint32_t)(options->seconds * options->rate));
    latency.missing = (uint64_t)latency.total * options->subscribers;
    latency.samples = malloc(latency.missing * sizeof *latency.samples);
    crowd_init(&bench->crowd, &bench->loop, options, on_event, &latency);
    server_span_start(&bench->server, &span);
    int error = latency.samples ? measure(&latency) : -ENOMEM;
    server_span_stop(&bench->server, &span);
    loop_forget(&latency.timer);
    if (error == -ETIMEDOUT)
        bench->checker.lost += latency.missing;
    quantile_sort(latency.samples, latency.sample_count);
    result_integer("subscribers", options->subscribers);
    result_integer("rate", options->rate);
    result_integer("events", latency.total);
    result_integer("delayed", latency.delayed);
    result_integer("p50_us", quantile(latency.samples, latency.sample_count, 0.5));
    result_integer("p99_us", quantile(latency.samples, latency.sample_count, 0.99));
    result_integer("p999_us", quantile(latency.samples, latency.sample_count, 0.999));
    result_integer("max_us", quantile(latency.samples, latency.sample_count, 1));
    bench_report_span(&span, latency.sample_count, "cpu_us_per_sample");
    free(latency.samples);
    return bench_report(bench, error);
}
