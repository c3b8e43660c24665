#include "load/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/message.h"
#include "load/result.h"

#define PATH_MAX_LENGTH 1024

int bench_init(struct bench *bench)
{
    struct options *options = &bench->options;
    int error = loop_open(&bench->loop);

    bench->loop.spin = options->spin;
    if (error == 0)
        error = server_init(&bench->server, options->pids, options->pid_count, options->children);
    bench->body = malloc(options->bytes);
    if (error == 0 && !bench->body)
        error = -ENOMEM;
    crowd_init(&bench->crowd, &bench->loop, options, bench_check, bench);
    return error;
}

void bench_deinit(struct bench *bench)
{
    crowd_close(&bench->crowd);
    publisher_deinit(&bench->publisher);
    checker_deinit(&bench->checker);
    loop_close(&bench->loop);
    free(bench->body);
    free(bench->options.subscribe_headers);
    free(bench->options.publish_headers);
}

int bench_subscribe(struct bench *bench, uint32_t lanes, uint32_t first)
{
    uint32_t count = bench->options.subscribers;
    int error = checker_init(&bench->checker, count, lanes, first);

    return error < 0 ? error : crowd_open(&bench->crowd, count);
}

bool bench_hear(struct bench *bench, uint32_t subscriber, const struct sse_event *event,
                uint64_t *number)
{
    struct checker *checker = &bench->checker;
    uint64_t channel;

    if (event->name.length == 5 && memcmp(event->name.bytes, "reset", 5) == 0) {
        checker->resets++;
        return false;
    }
    if (!message_read(event->data.bytes, event->data.length, 'n', number)) {
        checker->strange++;
        return false;
    }
    if (bench->options.channel_each &&
        (!message_read(event->data.bytes, event->data.length, 'c', &channel) ||
         channel != subscriber)) {
        checker->strange++;
        return false;
    }
    return checker_take(checker, subscriber, *number);
}

void bench_check(void *context, uint32_t subscriber, const struct sse_event *event)
{
    uint64_t number;

    bench_hear(context, subscriber, event, &number);
}

void bench_post(struct bench *bench, uint32_t lane, uint64_t number, uint32_t subscriber)
{
    const struct options *options = &bench->options;
    char path[PATH_MAX_LENGTH], channel[64];
    struct message_place place = {
        .channel = options_channel(options, subscriber, channel, sizeof channel)};

    if (message_expand(path, sizeof path, options->publish, &place) < 0) {
        bench->publisher.failed++;
        return;
    }
    message_write(bench->body, options->bytes, number, subscriber);
    publisher_post(&bench->publisher, lane, path, bench->body, options->bytes);
}

void bench_burst(struct bench *bench, uint64_t first, uint32_t count)
{
    const struct options *options = &bench->options;
    char path[PATH_MAX_LENGTH];
    struct message_place place = {
        .channel = options->channel, .first = first, .count = count, .bytes = options->bytes};

    if (message_expand(path, sizeof path, options->burst, &place) < 0)
        bench->publisher.failed++;
    else
        publisher_post(&bench->publisher, 0, path, "", 0);
}

bool bench_is_broken(const struct bench *bench)
{
    return bench->crowd.failed || bench->publisher.failed || !checker_is_clean(&bench->checker);
}

int bench_report(struct bench *bench, int result)
{
    const struct checker *checker = &bench->checker;

    result_integer("lost", checker->lost);
    result_integer("doubled", checker->doubled);
    result_integer("reordered", checker->reordered);
    result_integer("strange", checker->strange);
    result_integer("resets", checker->resets);
    result_integer("failed_streams", bench->crowd.failed);
    result_integer("failed_posts", bench->publisher.failed);
    if (bench_is_broken(bench))
        result = 1;
    result_end(result == 0);
    return result;
}

void bench_report_span(const struct server_span *span, uint64_t count, const char *per_one)
{
    double each = count ? 1.0 / (double)count : 0;

    result_real(per_one, (double)span->cpu / 1e3 * each);
    result_real("seconds", (double)span->wall / 1e9);
    result_real("cpu_seconds", (double)span->cpu / 1e9);
    result_real("load_cpu_seconds", (double)span->load_cpu / 1e9);
}

void bench_report_switches(const struct server_span *span, uint64_t events)
{
    result_real("switches_per_event", events ? (double)span->switches / (double)events : 0);
}
