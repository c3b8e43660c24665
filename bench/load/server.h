/* What the kernel knows of the processes under test: CPU time, memory, context switches. */

#ifndef BENCH_LOAD_SERVER_H
#define BENCH_LOAD_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "load/loop.h"

#define SERVER_PROCESSES_MAX 256

struct server {
    pid_t pids[SERVER_PROCESSES_MAX];
    uint32_t count;
};

/* Bytes, as the proportional set size of all processes together. */
struct server_memory {
    uint64_t total, anonymous, shared;
};

/* What a stretch of time cost. Times in nanoseconds. */
struct server_span {
    uint64_t wall, cpu;
    uint64_t load_cpu; /* of the load generator itself */
    uint64_t switches; /* times that a thread of the server went to sleep */
};

/* Returns 0, or -ESRCH if a process is not there. */
int server_init(struct server *server, const pid_t *pids, uint32_t count, bool children);

/* CPU time used so far by all threads, the ended ones too. */
uint64_t server_cpu(const struct server *server);

struct server_memory server_memory(const struct server *server);

void server_span_start(const struct server *server, struct server_span *span);
void server_span_stop(const struct server *server, struct server_span *span);

/* Turns the loop until the server uses no more CPU time, for two seconds at most. */
void server_settle(const struct server *server, struct loop *loop);

#endif
