/* Memory of subscribers that hear nothing. */

#include <errno.h>

#include "load/bench.h"
#include "load/result.h"

#define WARM_UP_SUBSCRIBERS 32

/* What the first connections cost (pages of code, first blocks of allocators) is not the price of a
 * subscriber, so a few come and go before the first look. */
static int warm_up(struct bench *bench)
{
    int error = crowd_open(&bench->crowd, WARM_UP_SUBSCRIBERS);

    crowd_close(&bench->crowd);
    server_settle(&bench->server, &bench->loop);
    return error;
}

static double each(uint64_t before, uint64_t after, uint32_t count)
{
    return ((double)after - (double)before) / count;
}

int idle_run(struct bench *bench)
{
    uint32_t count = bench->options.subscribers;
    struct server_memory before = {0}, after = {0}, left = {0};
    struct server_span span = {0};
    int error = warm_up(bench);

    if (error == 0) {
        before = server_memory(&bench->server);
        error = bench_subscribe(bench, 1, 0);
    }
    if (error == 0) {
        server_settle(&bench->server, &bench->loop);
        after = server_memory(&bench->server);
        server_span_start(&bench->server, &span);
        loop_rest(&bench->loop, (uint32_t)(bench->options.seconds * 1000));
        server_span_stop(&bench->server, &span);
        crowd_close(&bench->crowd);
        server_settle(&bench->server, &bench->loop);
        left = server_memory(&bench->server);
    }
    result_integer("subscribers", count);
    result_real("bytes_per_subscriber", each(before.total, after.total, count));
    result_real("anonymous_bytes_per_subscriber", each(before.anonymous, after.anonymous, count));
    result_real("shared_bytes_per_subscriber", each(before.shared, after.shared, count));
    result_integer("bytes_before", before.total);
    result_integer("bytes_with_all", after.total);
    result_integer("bytes_when_gone", left.total);
    result_real("cpu_us_per_second_while_idle",
                span.wall ? (double)span.cpu * 1e6 / (double)span.wall : 0);
    return bench_report(bench, error);
}
