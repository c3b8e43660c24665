#include "app/config.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/editor.h"
#include "base/log_line.h"
#include "script/library.h"

enum kind { KIND_COUNT, KIND_SIZE, KIND_DURATION };

/* Options that set a number. */
struct number_option {
    const char *name;
    enum kind kind;
    const char *otherwise;
    const char *help;
    size_t offset; /* in struct config */
    bool is_size_t;
};

#define NUMBER(name, kind, otherwise, field, help)                                                 \
    {                                                                                              \
        name, kind, otherwise, help, offsetof(struct config, field),                               \
            sizeof(((struct config *)0)->field) == sizeof(size_t)                                  \
    }

static const struct number_option numbers[] = {
    NUMBER("max-head", KIND_SIZE, "16k", shard.http.head, "request line and headers (else 431)"),
    NUMBER("max-body", KIND_SIZE, "1M", shard.http.body, "request body (else 413)"),
    NUMBER("max-event", KIND_SIZE, "1M", hub.event_bytes, "data of one event"),
    NUMBER("max-logs", KIND_SIZE, "64M", hub.total_bytes, "all channels' logs together"),
    NUMBER("max-channels", KIND_COUNT, "1000000", hub.channels, "channels"),
    NUMBER("max-connections", KIND_COUNT, "0", max_connections,
           "connections (0: what the descriptors allow)"),
    NUMBER("max-per-address", KIND_COUNT, "0", max_connections_per_address,
           "connections of one address (0: no limit of its own)"),
    NUMBER("head-timeout", KIND_DURATION, "10s", shard.head_timeout,
           "until a request's head is complete (else 408)"),
    NUMBER("body-timeout", KIND_DURATION, "30s", shard.body_timeout,
           "without progress of a body (else 408)"),
    NUMBER("idle-timeout", KIND_DURATION, "75s", shard.idle_timeout,
           "that a kept-alive connection may idle"),
    NUMBER("stall-timeout", KIND_DURATION, "60s", shard.stall_timeout,
           "until a reader that takes nothing is dropped"),
    NUMBER("budget", KIND_DURATION, "1s", vm.budget, "of Lua for one entry (0: no limit)"),
    NUMBER("memory", KIND_SIZE, "512M", vm.memory, "of the Lua state (0: no limit)"),
    NUMBER("grace", KIND_DURATION, "5s", grace, "for open requests when the router ends"),
};

#define LARGEST_SIZE 9007199254740992.0 /* 2^53 */

enum { NUMBER_COUNT = sizeof numbers / sizeof numbers[0], NUMBER_CODE = 1000 };
enum {
    CODE_LISTEN = 256,
    CODE_THREADS,
    CODE_CHECK,
    CODE_WATCH,
    CODE_REPL,
    CODE_TYPES,
    CODE_SCRIPTS,
    CODE_LEVEL,
    CODE_VERSION,
    CODE_GC
};

static const struct option plain[] = {
    {"listen", required_argument, NULL, CODE_LISTEN},
    {"threads", required_argument, NULL, CODE_THREADS},
    {"check", no_argument, NULL, CODE_CHECK},
    {"watch", no_argument, NULL, CODE_WATCH},
    {"repl", no_argument, NULL, CODE_REPL},
    {"types", required_argument, NULL, CODE_TYPES},
    {"scripts", required_argument, NULL, CODE_SCRIPTS},
    {"log-level", required_argument, NULL, CODE_LEVEL},
    {"debug-gc", no_argument, NULL, CODE_GC},
    {"version", no_argument, NULL, CODE_VERSION},
    {"help", no_argument, NULL, 'h'},
};

enum { PLAIN_COUNT = sizeof plain / sizeof plain[0] };

static void print_help(void)
{
    printf(
        "usage: sse-router [options] SCRIPT.lua\n"
        "       sse-router [options] -            read the script from standard input\n"
        "       sse-router [options] -e 'CODE'    take it from the command line\n"
        "       sse-router new NAME [--from feed|private|jobs|metrics]\n"
        "                                         write a script and a page to start from\n"
        "\n"
        "Serves the Server-Sent Events that a Lua script describes.\n"
        "\n"
        "  --listen ADDR       listen on HOST:PORT, [IPV6]:PORT or unix:PATH instead of where the\n"
        "                      script says; may be repeated; port 0 takes a free one\n"
        "  --threads N         I/O threads; 0 runs all on one (default: one per core,\n"
        "                      0 where there is one core)\n"
        "  --check             load the script, print its routes, channels and timers, and end\n"
        "  --watch             reload the script when its files change\n"
        "  --repl              read Lua and commands from standard input and run them in the\n"
        "                      running script (.help lists the commands)\n"
        "  --types DIR         write sse.lua (for an editor) and sse/testing.lua (for your specs)\n"
        "                      into this folder, and end\n"
        "  --log-level LEVEL   debug, info, warn, error or quiet (default: info)\n"
        "  --scripts DIR       take the Lua half of the sse module from this folder\n"
        "  --debug-gc          collect Lua's garbage after each entry into the script\n"
        "  --version, --help\n"
        "\n"
        "Limits (sizes like 64k or 1M, durations like 500ms or 10s):\n");
    for (int i = 0; i < NUMBER_COUNT; i++)
        printf("  --%-17s %s (default: %s)\n", numbers[i].name, numbers[i].help,
               numbers[i].otherwise);
    printf("\nExit status: 0 ended as asked, 1 the script is wrong, 2 the arguments are wrong,\n"
           "3 the router could not start or run.\n");
}

static const char *kind_example(enum kind kind)
{
    return kind == KIND_SIZE       ? "a size such as 64k or 1M"
           : kind == KIND_DURATION ? "a duration such as 500ms or 10s"
                                   : "a count";
}

/* In the same units as the script's durations and sizes (scripts/units.lua). */
static bool unit_factor(enum kind kind, const char *unit, double *factor)
{
    static const struct {
        enum kind kind;
        const char *unit;
        double factor;
    } units[] = {{KIND_COUNT, "", 1},           {KIND_SIZE, "", 1},
                 {KIND_SIZE, "k", 1024},        {KIND_SIZE, "m", 1048576},
                 {KIND_SIZE, "g", 1073741824},  {KIND_DURATION, "", 1000},
                 {KIND_DURATION, "ms", 1},      {KIND_DURATION, "s", 1000},
                 {KIND_DURATION, "m", 60000},   {KIND_DURATION, "h", 3600000},
                 {KIND_DURATION, "d", 86400000}};
    int (*compare)(const char *, const char *) = kind == KIND_SIZE ? strcasecmp : strcmp;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (units[i].kind == kind && compare(units[i].unit, unit) == 0) {
            *factor = units[i].factor;
            return true;
        }
    }
    return false;
}

/* Digits with decimals, and a unit. False for anything else, and for more than `max`. */
static bool parse_number(const char *text, enum kind kind, double max, double *out)
{
    double factor;
    size_t digits = strspn(text, "0123456789");
    size_t length = digits;
    if (text[length] == '.')
        length += 1 + strspn(text + length + 1, "0123456789");
    if (digits == 0 || length == digits + 1 || !unit_factor(kind, text + length, &factor))
        return false;
    /* What is more than nothing stays so: 0 often means "no limit". */
    *out = ceil(strtod(text, NULL) * factor);
    return *out <= max && (kind != KIND_COUNT || length == digits);
}

static bool set_number(struct config *config, const struct number_option *option, const char *text)
{
    double value;
    char *field = (char *)config + option->offset;
    if (!parse_number(text, option->kind, option->is_size_t ? LARGEST_SIZE : UINT_MAX, &value))
        return false;
    if (option->is_size_t)
        *(size_t *)(void *)field = (size_t)value;
    else
        *(unsigned *)(void *)field = (unsigned)value;
    return true;
}

static bool fail(int *status, const char *format, const char *text)
{
    fprintf(stderr, "sse-router: ");
    fprintf(stderr, format, text);
    fprintf(stderr, "\nTry 'sse-router --help'.\n");
    *status = EXIT_USAGE;
    return false;
}

static bool set_level(int *status, const char *name)
{
    enum log_level level;
    if (!log_line_parse_level(name, &level))
        return fail(status, "--log-level must be debug, info, warn, error or quiet, not '%s'",
                    name);
    log_line_set_level(level);
    return true;
}

static bool set_threads(struct config *config, int *status, const char *text)
{
    double threads;
    if (!parse_number(text, KIND_COUNT, 64, &threads))
        return fail(status, "--threads must be a number from 0 to 64, not '%s'", text);
    config->threads = (unsigned)threads;
    return true;
}

static bool set_scripts(struct config *config, int *status, const char *folder)
{
    struct stat information;
    if (stat(folder, &information) != 0 || !S_ISDIR(information.st_mode))
        return fail(status, "--scripts must name a folder, not '%s'", folder);
    config->vm.scripts = folder;
    return true;
}

static bool set_repl(struct config *config, int *status)
{
    if (!editor_is_there())
        return fail(status, "%s", "--repl needs libedit, and this program was built without it");
    return config->repl = true;
}

static bool apply_number(struct config *config, int index, int *status)
{
    char message[128];
    if (set_number(config, &numbers[index], optarg))
        return true;
    snprintf(message, sizeof message, "--%s must be %s, not '%%s'", numbers[index].name,
             kind_example(numbers[index].kind));
    return fail(status, message, optarg);
}

static bool write_library_file(int *status, const char *folder, const char *name, const char *from)
{
    char path[4096];
    const struct library_file *text = library_find(from);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    bool ok = file != NULL && fwrite(text->text, 1, text->length, file) == text->length;
    if (file != NULL && fclose(file) != 0)
        ok = false;
    if (!ok) {
        char why[4200];
        snprintf(why, sizeof why, "'%s': %s", path, strerror(errno));
        return fail(status, "cannot write %s", why);
    }
    printf("wrote %s\n", path);
    return true;
}

/* What is of use outside of the router: the annotations for an editor, and sse.testing for specs.
 * Always false: the program ends here. */
static bool write_types(int *status, const char *folder)
{
    char modules[4096];
    mkdir(folder, 0777); /* it may be there already; else the writing fails */
    if (!write_library_file(status, folder, "sse.lua", "annotations"))
        return false;
    snprintf(modules, sizeof modules, "%s/sse", folder);
    mkdir(modules, 0777);
    if (write_library_file(status, folder, "sse/testing.lua", "testing"))
        *status = 0;
    return false;
}

/* False when the program ends here. */
static bool apply(struct config *config, int code, int *status)
{
    if (code >= NUMBER_CODE)
        return apply_number(config, code - NUMBER_CODE, status);
    switch (code) {
    case CODE_LISTEN:
        if (config->listen_count == CONFIG_MAX_LISTEN)
            return fail(status, "too many --listen: '%s'", optarg);
        config->listen[config->listen_count++] = optarg;
        return true;
    case CODE_THREADS:
        return set_threads(config, status, optarg);
    case CODE_LEVEL:
        return set_level(status, optarg);
    case CODE_CHECK:
        return config->check = config->vm.check = true;
    case CODE_TYPES:
        return write_types(status, optarg);
    case CODE_WATCH:
        return config->watch = true;
    case CODE_REPL:
        return set_repl(config, status);
    case CODE_GC:
        return config->vm.debug_gc = true;
    case CODE_SCRIPTS:
        return set_scripts(config, status, optarg);
    case 'e':
        config->code = optarg;
        return true;
    case 'h':
        print_help();
        return *status = 0, false;
    case CODE_VERSION:
        printf("sse-router %s\n", SSE_ROUTER_VERSION);
        return *status = 0, false;
    default:
        fprintf(stderr, "Try 'sse-router --help'.\n");
        return *status = EXIT_USAGE, false;
    }
}

static void set_defaults(struct config *config)
{
    unsigned cores = uv_available_parallelism(); /* those that this process may run on */
    *config = (struct config){.threads = cores == 1 ? 0 : cores > 64 ? 64 : cores};
    for (int i = 0; i < NUMBER_COUNT; i++)
        set_number(config, &numbers[i], numbers[i].otherwise);
}

/* As many descriptors as the system lets us have. */
static void apply_descriptor_limit(struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    if (config->max_connections == 0)
        config->max_connections = limit.rlim_cur > 100000000 ? 100000000 : (unsigned)limit.rlim_cur;
}

bool config_parse(struct config *config, int argc, char **argv, int *status)
{
    struct option options[PLAIN_COUNT + NUMBER_COUNT + 1] = {0};
    memcpy(options, plain, sizeof plain);
    for (int i = 0; i < NUMBER_COUNT; i++)
        options[PLAIN_COUNT + i] =
            (struct option){numbers[i].name, required_argument, NULL, NUMBER_CODE + i};
    set_defaults(config);
    int code;
    while ((code = getopt_long(argc, argv, "he:", options, NULL)) != -1) {
        if (!apply(config, code, status))
            return false;
    }
    if (config->code == NULL && optind == argc)
        return fail(status, "%s", "a script is missing: sse-router SCRIPT.lua");
    if (config->code == NULL)
        config->script = argv[optind++];
    if (config->repl && config->script != NULL && strcmp(config->script, "-") == 0)
        return fail(status, "%s", "--repl reads standard input: the script cannot come from there");
    if (optind < argc)
        return fail(status, "one argument too many: '%s'", argv[optind]);
    apply_descriptor_limit(config);
    return true;
}
