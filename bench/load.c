/* sse-load: subscribes, publishes, checks every event, and measures what it costs the server.
 *
 *     sse-load fanout --port 8080 --pid 4711 --subscribers 1000 --outstanding 16
 *
 * prints one JSON object on stdout. Exit status: 0 all well; 1 events were lost, doubled, reordered
 * or strange, or a stream or a POST failed; 2 usage; 3 the run could not be carried through. */

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "load/bench.h"
#include "load/result.h"

static const struct {
    const char *name;
    bench_mode_fn run;
} modes[] = {
    {"fanout", fanout_run}, {"self", self_run}, {"spread", spread_run},   {"connect", connect_run},
    {"replay", replay_run}, {"idle", idle_run}, {"latency", latency_run},
};

static bench_mode_fn find_mode(const char *name)
{
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i].name, name) == 0)
            return modes[i].run;
    }
    return NULL;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int exit_status(int result)
{
    if (result < 0)
        fprintf(stderr, "sse-load: %s\n", strerror(-result));
    return result < 0 ? 3 : result;
}

int main(int count, char **arguments)
{
    static struct bench bench;
    int result = options_parse(&bench.options, count, arguments);

    if (result != 0)
        return result;
    bench_mode_fn run = find_mode(bench.options.mode);
    if (!run) {
        fprintf(stderr, "sse-load: there is no mode %s\n", bench.options.mode);
        return 2;
    }
    raise_descriptor_limit();
    result = bench_init(&bench);
    if (result == 0) {
        result_begin(bench.options.mode, bench.options.target);
        result = run(&bench);
    }
    bench_deinit(&bench);
    return exit_status(result);
}
