#include "load/options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/message.h"

enum kind { NUMBER, REAL, TEXT, HEADER, PID, FLAG };

struct entry {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *help;
};

#define FIELD(field) offsetof(struct options, field)

static const struct entry entries[] = {
    {"target", TEXT, FIELD(target), "name of the server under test, for the output"},
    {"port", NUMBER, FIELD(port), "port of the server on 127.0.0.1"},
    {"subscribe", TEXT, FIELD(subscribe), "path to subscribe, template (/sub/%c)"},
    {"publish", TEXT, FIELD(publish), "path to publish, template (/pub/%c)"},
    {"burst", TEXT, FIELD(burst), "path that makes the server publish (/burst/%c/%f/%k/%s)"},
    {"channel", TEXT, FIELD(channel), "channel of all subscribers (bench)"},
    {"subscribe-header", HEADER, FIELD(subscribe_headers), "a line for these requests"},
    {"publish-header", HEADER, FIELD(publish_headers), "a line for these requests"},
    {"subscribers", NUMBER, FIELD(subscribers), "how many (1000)"},
    {"outstanding", NUMBER, FIELD(outstanding), "publishes under way at once (1)"},
    {"bytes", NUMBER, FIELD(bytes), "data bytes of an event (100)"},
    {"events", NUMBER, FIELD(events), "measure so many events rather than a time"},
    {"seconds", REAL, FIELD(seconds), "measure for so long (3)"},
    {"warmup", REAL, FIELD(warmup), "and run this long before (0.5)"},
    {"groups", NUMBER, FIELD(groups), "values of %g (100)"},
    {"batches", NUMBER, FIELD(batches), "rounds of connect and replay (5)"},
    {"replay", NUMBER, FIELD(replay), "events replayed on reconnect, or of a burst (100)"},
    {"rate", NUMBER, FIELD(rate), "messages a second for latency (50)"},
    {"in-flight", NUMBER, FIELD(in_flight), "connections being opened at once (64)"},
    {"stall", NUMBER, FIELD(stall), "give up after so many ms without progress (10000)"},
    {"pid", PID, 0, "measure this process; repeatable"},
    {"children", FLAG, FIELD(children), "and all that descend from it"},
    {"spin", FLAG, FIELD(spin), "never sleep: for a core of one's own"},
};

#define ENTRY_COUNT (sizeof entries / sizeof entries[0])

static void set_defaults(struct options *options)
{
    *options = (struct options){
        .target = "server",
        .subscribe = "/sub/%c",
        .publish = "/pub/%c",
        .burst = "/burst/%c/%f/%k/%s",
        .channel = "bench",
        .subscribers = 1000,
        .outstanding = 1,
        .bytes = 100,
        .seconds = 3,
        .warmup = 0.5,
        .groups = 100,
        .batches = 5,
        .replay = 100,
        .rate = 50,
        .in_flight = 64,
        .stall = 10000,
    };
    options->subscribe_headers = strdup("");
    options->publish_headers = strdup("");
}

static int usage(void)
{
    fprintf(stderr, "usage: sse-load MODE --port PORT [options]\n\n"
                    "modes: fanout spread self connect replay idle latency\n\n");
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        fprintf(stderr, "  --%-18s %s\n", entries[i].name, entries[i].help);
    return 2;
}

static void add_header(char **headers, const char *line)
{
    char *all;

    if (asprintf(&all, "%s%s\r\n", *headers, line) < 0)
        abort();
    free(*headers);
    *headers = all;
}

static int set(struct options *options, const struct entry *entry, const char *value)
{
    void *field = (char *)options + entry->offset;
    char *end = "";

    switch (entry->kind) {
    case NUMBER:
        *(uint32_t *)field = (uint32_t)strtoul(value, &end, 10);
        break;
    case REAL:
        *(double *)field = strtod(value, &end);
        break;
    case TEXT:
        *(const char **)field = value;
        break;
    case HEADER:
        add_header(field, value);
        break;
    case PID:
        if (options->pid_count == OPTIONS_PIDS_MAX)
            return -1;
        options->pids[options->pid_count++] = (pid_t)strtol(value, &end, 10);
        break;
    case FLAG:
        *(bool *)field = true;
        break;
    }
    return *end ? -1 : 0;
}

static bool are_sound(const struct options *options)
{
    return options->mode && options->port > 0 && options->port < 65536 && options->subscribers &&
           options->outstanding && options->bytes >= MESSAGE_MIN && options->groups &&
           options->in_flight && options->rate && options->batches;
}

int options_parse(struct options *options, int count, char **arguments)
{
    struct option known[ENTRY_COUNT + 1] = {0};
    int index, found;

    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        known[i].name = entries[i].name;
        known[i].has_arg = entries[i].kind == FLAG ? no_argument : required_argument;
    }
    set_defaults(options);
    while ((found = getopt_long(count, arguments, "", known, &index)) != -1) {
        if (found != 0 || set(options, &entries[index], optarg) < 0)
            return usage();
    }
    if (optind == count - 1)
        options->mode = arguments[optind];
    return are_sound(options) ? 0 : usage();
}

const char *options_channel(const struct options *options, uint32_t subscriber, char *out,
                            uint32_t size)
{
    if (!options->channel_each)
        return options->channel;
    snprintf(out, size, "%s-%u", options->channel, subscriber);
    return out;
}
