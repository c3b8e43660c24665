#include "load/server.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool contains(const struct server *server, pid_t pid)
{
    for (uint32_t i = 0; i < server->count; i++) {
        if (server->pids[i] == pid)
            return true;
    }
    return false;
}

static pid_t parent_of(pid_t pid)
{
    char path[64], line[512];
    int parent = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    /* The program's name, in parentheses, may hold anything, so read on after the last one. */
    char *name_end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (!name_end || sscanf(name_end + 1, " %*c %d", &parent) != 1)
        parent = 0;
    fclose(file);
    return (pid_t)parent;
}

/* One generation of children; true if there were any. */
static bool add_children(struct server *server)
{
    uint32_t before = server->count;
    DIR *directory = opendir("/proc");
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid > 0 && server->count < SERVER_PROCESSES_MAX && !contains(server, pid) &&
            contains(server, parent_of(pid)))
            server->pids[server->count++] = pid;
    }
    if (directory)
        closedir(directory);
    return server->count > before;
}

int server_init(struct server *server, const pid_t *pids, uint32_t count, bool children)
{
    memset(server, 0, sizeof *server);
    for (uint32_t i = 0; i < count; i++) {
        if (kill(pids[i], 0) < 0 && errno == ESRCH)
            return -ESRCH;
        server->pids[server->count++] = pids[i];
    }
    while (children && add_children(server))
        continue;
    return 0;
}

static uint64_t clock_nanoseconds(clockid_t clock)
{
    struct timespec time;

    if (clock_gettime(clock, &time) < 0)
        return 0;
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

uint64_t server_cpu(const struct server *server)
{
    uint64_t sum = 0;

    /* The CPU clock of a process has nanoseconds where /proc/PID/stat has ticks of 10 ms. */
    for (uint32_t i = 0; i < server->count; i++) {
        clockid_t clock;
        if (clock_getcpuclockid(server->pids[i], &clock) == 0)
            sum += clock_nanoseconds(clock);
    }
    return sum;
}

static void add_memory(pid_t pid, struct server_memory *memory)
{
    char path[64], line[256];
    uint64_t kilobytes;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "Pss: %" SCNu64, &kilobytes) == 1)
            memory->total += kilobytes * 1024;
        else if (sscanf(line, "Pss_Anon: %" SCNu64, &kilobytes) == 1)
            memory->anonymous += kilobytes * 1024;
        else if (sscanf(line, "Pss_Shmem: %" SCNu64, &kilobytes) == 1)
            memory->shared += kilobytes * 1024;
    }
    if (file)
        fclose(file);
}

struct server_memory server_memory(const struct server *server)
{
    struct server_memory memory = {0};

    for (uint32_t i = 0; i < server->count; i++)
        add_memory(server->pids[i], &memory);
    return memory;
}

static uint64_t thread_switches(pid_t pid, const char *thread)
{
    char path[320], line[256];
    uint64_t count = 0;

    snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, thread);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &count) == 1)
            break;
    }
    if (file)
        fclose(file);
    return count;
}

static uint64_t server_switches(const struct server *server)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < server->count; i++) {
        char path[64];
        struct dirent *entry;
        snprintf(path, sizeof path, "/proc/%d/task", (int)server->pids[i]);
        DIR *directory = opendir(path);
        while (directory && (entry = readdir(directory))) {
            if (entry->d_name[0] != '.')
                sum += thread_switches(server->pids[i], entry->d_name);
        }
        if (directory)
            closedir(directory);
    }
    return sum;
}

static struct server_span read_all(const struct server *server)
{
    return (struct server_span){
        .wall = loop_now(),
        .cpu = server_cpu(server),
        .load_cpu = clock_nanoseconds(CLOCK_PROCESS_CPUTIME_ID),
        .switches = server_switches(server),
    };
}

void server_span_start(const struct server *server, struct server_span *span)
{
    *span = read_all(server);
}

void server_span_stop(const struct server *server, struct server_span *span)
{
    struct server_span now = read_all(server);

    span->wall = now.wall - span->wall;
    span->cpu = now.cpu - span->cpu;
    span->load_cpu = now.load_cpu - span->load_cpu;
    span->switches = now.switches - span->switches;
}

void server_settle(const struct server *server, struct loop *loop)
{
    const uint64_t quiet = 100000; /* in 25 ms: less than half a percent of a core */
    uint64_t end = loop_now() + 2000000000ull;
    uint64_t before = server_cpu(server), used;

    do {
        loop_rest(loop, 25);
        uint64_t now = server_cpu(server);
        used = now - before;
        before = now;
    } while (used > quiet && loop_now() < end);
}
