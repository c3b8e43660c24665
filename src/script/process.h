#ifndef SSE_SCRIPT_PROCESS_H
#define SSE_SCRIPT_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "base/slice.h"

/* A program that runs beside the router, with its pipes. It leads a process group of its own, and
 * what is left of the group when the program has ended is ended too. It dies with the router (see
 * leash.h). Knows nothing of Lua. */

enum { PROCESS_BLOCK = 65536 }; /* bytes of one read */

enum process_output { PROCESS_STDOUT, PROCESS_STDERR, PROCESS_OUTPUTS };

/* What the process tells its owner. */
struct process_listener {
    /* Once for each process_read; length 0 is the end of the output. The bytes stay in `block`
     * until the callback returns. */
    void (*read)(void *context, enum process_output output, size_t length);
    void (*exited)(void *context);
    /* All is closed: the memory may go. */
    void (*closed)(void *context);
};

struct process_pipe {
    uv_pipe_t handle;
    struct process *process;
    bool reading;
    bool open;
};

/* The caller's storage, until `closed` is called. */
struct process {
    const struct process_listener *listener;
    void *context;
    uv_process_t handle;
    uv_timer_t timer; /* runs while the group is being ended */
    struct process_pipe outputs[PROCESS_OUTPUTS];
    uv_pipe_t input;
    uv_write_t write;
    char *text;        /* for the program's standard input */
    int handles;       /* that are not closed yet */
    uint64_t grace;    /* milliseconds from SIGTERM to SIGKILL */
    uint64_t deadline; /* of the loop's clock, for SIGKILL; 0 when nothing is being ended */
    pid_t group;       /* the process's own id; 0 when it was not started */
    bool killed;
    bool abandoned; /* process_close was called */
    bool running;
    int64_t status;
    int signal;
    char block[PROCESS_BLOCK];
};

struct process_spec {
    char **words;       /* of the leash and the program, NULL-ended */
    char **environment; /* NULL-ended; NULL for our own */
    const char *folder; /* to run in; NULL for ours */
    struct slice input; /* for its standard input; data NULL for none */
    uint64_t grace;
};

/* Everything in the spec is borrowed for the call. `process` is zeroed. 0 or a negative code of
 * libuv; process_close must be called in either case. */
int process_start(struct process *process, uv_loop_t *loop, const struct process_spec *spec,
                  const struct process_listener *listener, void *context);

/* Reads once. The output must not be over, and not be read already. */
void process_read(struct process *process, enum process_output output);
void process_cancel_read(struct process *process, enum process_output output);
/* All that the program has written was read. Once it has ended an empty pipe counts, even when a
 * stranger holds it open. */
bool process_is_over(struct process *process, enum process_output output);

/* SIGTERM to the group, and SIGKILL after the grace. Does nothing when that was begun before. */
void process_stop(struct process *process);
/* Stops it and reads no more. */
void process_close(struct process *process);

#endif
