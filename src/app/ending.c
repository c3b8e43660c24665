/* Signals, and the way out: stop accepting, let what is open end, then close. */
#include <signal.h>

#include "app/router.h"
#include "base/log_line.h"

static void end_now(struct router *router)
{
    if (router->ended)
        return;
    router->ended = true;
    relay_to_all(router, MESSAGE_STOP);
    uv_stop(&router->loop);
}

static void on_grace(uv_timer_t *timer)
{
    struct router *router = timer->data;
    log_line(LOG_WARN, "closing what is still open after %u ms", router->config->grace);
    end_now(router);
}

void ending_begin(struct router *router, const char *why)
{
    if (router->ending)
        return;
    router->ending = true;
    log_line(LOG_INFO, "%s: ending (again to end at once)", why);
    repl_finish(router);
    vm_emit(router->vm, "shutdown");
    relay_to_all(router, MESSAGE_DRAIN);
    uv_timer_start(&router->grace, on_grace, router->config->grace, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct router *router = handle->data;
    if (number == SIGINT && repl_interrupt(router))
        return;
    if (router->ending)
        end_now(router);
    else
        ending_begin(router, number == SIGINT ? "SIGINT" : "SIGTERM");
}

void ending_drained(struct router *router, unsigned shard)
{
    router->workers[shard].drained = true;
    for (unsigned i = 0; i < router->worker_count; i++) {
        if (!router->workers[i].drained)
            return;
    }
    end_now(router);
}

void ending_watch(struct router *router)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    signal(SIGPIPE, SIG_IGN);
    /* A file that may not grow is an error like a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&router->loop, &router->signals[i]);
        router->signals[i].data = router;
        uv_signal_start(&router->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(&router->loop, &router->grace);
    router->grace.data = router;
}

void ending_close(struct router *router)
{
    /* A signal from here on changes nothing, and must not end the process with its own status. The
     * end of children is still awaited. */
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGCHLD);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&router->signals[i], NULL);
    uv_close((uv_handle_t *)&router->grace, NULL);
}
