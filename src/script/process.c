#include "script/process.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log_line.h"
#include "base/memory.h"
#include "script/clock.h"
#include "script/group.h"
#include "script/guard.h"

enum {
    LOOK = 50,         /* milliseconds between looks whether a group has ended */
    LAST_LOOKS = 2000, /* milliseconds after SIGKILL in which it should have */
};

/* Closing */

static void on_closed(uv_handle_t *handle)
{
    struct process *process = handle->data;
    if (--process->handles > 0)
        return;
    free(process->text);
    process->listener->closed(process->context);
}

static void own(struct process *process, void *handle)
{
    ((uv_handle_t *)handle)->data = process;
    process->handles++;
}

static void close_handle(void *handle)
{
    if (((uv_handle_t *)handle)->data != NULL && !uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void close_output(struct process_pipe *output)
{
    output->open = false;
    close_handle(&output->handle);
}

/* Ending */

static bool is_left(const struct process *process)
{
    return process->running || group_is_alive(process->group);
}

/* Nobody is left of it. The timer stays open until process_close: with its last handle the process
 * would go, and its owner may still ask how it ended. */
static void forget_group(struct process *process)
{
    if (process->group > 0)
        guard_remove(process->group);
    process->group = 0;
    if (process->abandoned)
        close_handle(&process->timer);
    else
        uv_timer_stop(&process->timer);
}

static void on_look(uv_timer_t *timer)
{
    struct process *process = timer->data;
    uint64_t now = uv_now(timer->loop);
    if (!is_left(process)) {
        forget_group(process);
    } else if (now > process->deadline + LAST_LOOKS) {
        /* The kernel cannot end it now; the router's own end does not wait for that. */
        forget_group(process);
        if (process->abandoned)
            close_handle(&process->handle);
    } else if (now >= process->deadline && !process->killed) {
        log_line(LOG_WARN, "process %d did not end at SIGTERM: killing it", (int)process->group);
        process->killed = true;
        group_signal(process->group, SIGKILL);
    }
}

void process_stop(struct process *process)
{
    if (process->deadline > 0 || uv_is_closing((uv_handle_t *)&process->timer))
        return;
    process->deadline = clock_now() + process->grace;
    group_signal(process->group, SIGTERM);
    /* Those that are stopped notice it only when they go on. */
    group_signal(process->group, SIGCONT);
    clock_start_timer(&process->timer, on_look, 0, LOOK);
}

void process_close(struct process *process)
{
    process->abandoned = true;
    for (int i = 0; i < PROCESS_OUTPUTS; i++)
        close_output(&process->outputs[i]);
    close_handle(&process->input);
    if (is_left(process))
        process_stop(process);
    else
        forget_group(process);
}

/* Reading */

static bool has_bytes(struct process_pipe *output)
{
    uv_os_fd_t descriptor;
    int count = 0;
    return uv_fileno((uv_handle_t *)&output->handle, &descriptor) == 0 &&
           ioctl(descriptor, FIONREAD, &count) == 0 && count > 0;
}

bool process_is_over(struct process *process, enum process_output index)
{
    struct process_pipe *output = &process->outputs[index];
    if (output->open && !process->running && !has_bytes(output))
        close_output(output);
    return !output->open;
}

static void tell(struct process_pipe *output, size_t length)
{
    struct process *process = output->process;
    output->reading = false;
    if (output->open)
        uv_read_stop((uv_stream_t *)&output->handle);
    process->listener->read(process->context, (enum process_output)(output - process->outputs),
                            length);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
    struct process *process = handle->data;
    (void)size;
    *out = uv_buf_init(process->block, PROCESS_BLOCK);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct process_pipe *output = CONTAINER_OF(stream, struct process_pipe, handle);
    (void)buffer;
    if (count == 0)
        return;
    if (count < 0)
        close_output(output);
    tell(output, count < 0 ? 0 : (size_t)count);
}

void process_read(struct process *process, enum process_output output)
{
    process->outputs[output].reading = true;
    uv_read_start((uv_stream_t *)&process->outputs[output].handle, on_alloc, on_read);
}

void process_cancel_read(struct process *process, enum process_output index)
{
    struct process_pipe *output = &process->outputs[index];
    output->reading = false;
    if (output->open)
        uv_read_stop((uv_stream_t *)&output->handle);
}

/* Starting */

static void on_process_exit(uv_process_t *handle, int64_t status, int number)
{
    struct process *process = handle->data;
    process->running = false;
    process->status = status;
    process->signal = number;
    close_handle(handle);
    close_handle(&process->input);
    if (is_left(process))
        process_stop(process);
    else
        forget_group(process);
    if (process->abandoned)
        return;
    process->listener->exited(process->context);
    for (int i = 0; i < PROCESS_OUTPUTS; i++) {
        if (process->outputs[i].reading && process_is_over(process, i))
            tell(&process->outputs[i], 0);
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct process *process = request->data;
    (void)status;
    close_handle(&process->input);
}

static void write_input(struct process *process, struct slice text)
{
    process->text = memory_copy(text.data, text.length);
    process->write.data = process;
    uv_buf_t buffer = uv_buf_init(process->text, (unsigned)text.length);
    if (uv_write(&process->write, (uv_stream_t *)&process->input, &buffer, 1, on_written) != 0)
        close_handle(&process->input);
}

/* Both ends of three pipes, by the program's descriptor; -1 where there is none. */
struct ends {
    int ours[3];
    int theirs[3];
};

static void close_ends(const int *ends)
{
    for (int i = 0; i < 3; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
    }
}

/* Pipes, not libuv's socket pairs: a socket cannot be opened as /dev/stdout. */
static int open_ends(struct ends *ends, bool with_input)
{
    *ends = (struct ends){{-1, -1, -1}, {-1, -1, -1}};
    for (int i = with_input ? 0 : 1; i < 3; i++) {
        int pair[2];
        int error = uv_pipe(pair, i == 0 ? 0 : UV_NONBLOCK_PIPE, i == 0 ? UV_NONBLOCK_PIPE : 0);
        if (error != 0) {
            close_ends(ends->ours);
            close_ends(ends->theirs);
            return error;
        }
        ends->ours[i] = pair[i == 0];
        ends->theirs[i] = pair[i != 0];
    }
    return 0;
}

static void adopt_ends(struct process *process, uv_loop_t *loop, const struct ends *ends)
{
    for (int i = 0; i < PROCESS_OUTPUTS; i++) {
        struct process_pipe *output = &process->outputs[i];
        uv_pipe_init(loop, &output->handle, 0);
        uv_pipe_open(&output->handle, ends->ours[i + 1]);
        own(process, &output->handle);
        output->open = true;
    }
    if (ends->ours[0] < 0)
        return;
    uv_pipe_init(loop, &process->input, 0);
    uv_pipe_open(&process->input, ends->ours[0]);
    own(process, &process->input);
}

static int spawn(struct process *process, uv_loop_t *loop, const struct process_spec *spec,
                 const struct ends *ends)
{
    uv_stdio_container_t stdio[3];
    for (int i = 0; i < 3; i++) {
        stdio[i].flags = ends->theirs[i] < 0 ? UV_IGNORE : UV_INHERIT_FD;
        stdio[i].data.fd = ends->theirs[i];
    }
    uv_process_options_t options = {.file = "/proc/self/exe",
                                    .args = spec->words,
                                    .env = spec->environment,
                                    .cwd = spec->folder,
                                    .exit_cb = on_process_exit,
                                    /* A session, and so a process group, of its own. */
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    int error = uv_spawn(loop, &process->handle, &options);
    own(process, &process->handle);
    process->running = error == 0;
    if (error == 0) {
        process->group = process->handle.pid;
        guard_add(loop, process->group);
    } else {
        close_handle(&process->handle);
    }
    return error;
}

int process_start(struct process *process, uv_loop_t *loop, const struct process_spec *spec,
                  const struct process_listener *listener, void *context)
{
    struct ends ends;
    process->listener = listener;
    process->context = context;
    process->grace = spec->grace;
    for (int i = 0; i < PROCESS_OUTPUTS; i++)
        process->outputs[i].process = process;
    uv_timer_init(loop, &process->timer);
    own(process, &process->timer);
    int error = open_ends(&ends, spec->input.data != NULL);
    if (error != 0)
        return error;
    adopt_ends(process, loop, &ends);
    error = spawn(process, loop, spec, &ends);
    close_ends(ends.theirs);
    if (error == 0 && spec->input.data != NULL)
        write_input(process, spec->input);
    else
        close_handle(&process->input);
    return error;
}
