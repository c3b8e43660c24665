#include "script/guard.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log_line.h"
#include "base/memory.h"

/* What is written to the pipe, in one piece. */
struct note {
    pid_t group;
    bool is_there;
};

/* One router has one guard at a time. */
static struct {
    unsigned groups;
    int pipe; /* -1 when there is none */
} guard = {.pipe = -1};

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_guard_exit(uv_process_t *process, int64_t status, int number)
{
    (void)status;
    (void)number;
    uv_close((uv_handle_t *)process, on_closed);
}

static void start(uv_loop_t *loop)
{
    int pair[2];
    char *words[] = {(char *)"sse-router", (char *)GUARD_OPTION, NULL};
    uv_process_t *process = memory_zero(1, sizeof *process);
    int error = uv_pipe(pair, 0, 0);
    if (error == 0) {
        uv_stdio_container_t stdio[] = {{.flags = UV_INHERIT_FD, .data.fd = pair[0]},
                                        {.flags = UV_IGNORE},
                                        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO}};
        uv_process_options_t options = {.file = "/proc/self/exe",
                                        .args = words,
                                        .exit_cb = on_guard_exit,
                                        .flags = UV_PROCESS_DETACHED,
                                        .stdio = stdio,
                                        .stdio_count = 3};
        error = uv_spawn(loop, process, &options);
        close(pair[0]);
        guard.pipe = pair[1];
        if (error != 0)
            uv_close((uv_handle_t *)process, on_closed);
    } else {
        free(process);
    }
    if (error != 0)
        log_line(LOG_WARN, "cannot start the guard of programs: %s", uv_strerror(error));
}

static void tell(pid_t group, bool is_there)
{
    struct note note = {.group = group, .is_there = is_there};
    /* A guard that is gone can not be told: SIGPIPE is ignored. */
    ssize_t ignored = guard.pipe < 0 ? 0 : write(guard.pipe, &note, sizeof note);
    (void)ignored;
}

void guard_add(uv_loop_t *loop, pid_t group)
{
    if (guard.groups++ == 0)
        start(loop);
    tell(group, true);
}

void guard_remove(pid_t group)
{
    tell(group, false);
    if (--guard.groups > 0 || guard.pipe < 0)
        return;
    close(guard.pipe);
    guard.pipe = -1;
}

/* The guard's own process */

static void forget(pid_t *groups, size_t *count, pid_t group)
{
    for (size_t i = 0; i < *count; i++) {
        if (groups[i] == group) {
            groups[i] = groups[--*count];
            return;
        }
    }
}

_Noreturn void guard_main(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    pid_t *groups = NULL;
    size_t count = 0;
    struct note note;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    /* Who kills all that is called sse-router must not hit the guard. */
    prctl(PR_SET_NAME, "sse-guard");
    close_range(STDERR_FILENO + 1, UINT_MAX, 0);
    while (read(STDIN_FILENO, &note, sizeof note) == (ssize_t)sizeof note) {
        if (!note.is_there) {
            forget(groups, &count, note.group);
            continue;
        }
        groups = memory_grow(groups, (count + 1) * sizeof *groups);
        groups[count++] = note.group;
    }
    for (size_t i = 0; i < count; i++)
        kill(-groups[i], SIGKILL);
    _exit(0);
}
