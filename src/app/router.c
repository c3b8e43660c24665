/* Wiring: makes the parts, connects them, runs them, and takes them apart. */
#include "app/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "base/thread.h"
#include "script/event.h"

/* The loop's turns */

static void on_expiry(uv_timer_t *timer)
{
    struct router *router = timer->data;
    hub_expire(&router->hub, event_now());
}

/* Sets the timer for the event that is too old first, which may be a newer one than before. */
static void watch_expiry(struct router *router)
{
    const struct heap_node *first = heap_first(&router->hub.expiry);
    if (first == NULL)
        return;
    int64_t left = (int64_t)first->key - event_now();
    uint64_t wait = left < 10 ? 10 : (uint64_t)left;
    if (!uv_is_active((uv_handle_t *)&router->expiry) ||
        uv_timer_get_due_in(&router->expiry) > wait)
        uv_timer_start(&router->expiry, on_expiry, wait, 0);
}

/* Both halves on one loop: what each has for the other goes over at once, without a turn of the
 * loop. What comes of that waits for the next turn, so that neither can keep the loop from its
 * sockets. */
static void exchange_locally(struct router *router)
{
    struct shard *shard = &router->workers[0].shard;
    shard_flush(shard);
    mailbox_deliver(&router->inbox);
    relay_flush(router);
    mailbox_deliver(&shard->inbox);
    shard_flush(shard);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct router *router = prepare->data;
    if (router->config->threads == 0 && !router->ended)
        exchange_locally(router);
    watch_expiry(router);
    relay_flush(router);
}

/* The script goes on thinking: what it has published so far leaves, and streams go on. */
static void on_turn(void *context)
{
    struct router *router = context;
    relay_flush(router);
    if (router->config->threads == 0)
        shard_turn(&router->workers[0].shard);
}

/* Workers */

static int open_worker(struct router *router, unsigned index)
{
    struct worker *worker = &router->workers[index];
    uv_loop_t *loop = &router->loop;
    if (router->config->threads > 0) {
        loop = &worker->loop;
        int error = uv_loop_init(loop);
        if (error != 0)
            return error;
    }
    outbox_init(&worker->outbox, &worker->shard.inbox);
    int error = shard_init(&worker->shard, index, loop, &router->config->shard, &router->admission,
                           &router->inbox);
    if (error == 0 && router->config->threads == 0) {
        mailbox_make_local(&worker->shard.inbox);
        mailbox_make_local(&router->inbox);
    }
    return error;
}

static void *run_worker(void *context)
{
    struct worker *worker = context;
    mailbox_own(&worker->shard.inbox);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* Signals are the script thread's. */
static int start_worker(struct worker *worker)
{
    int error = thread_start(&worker->thread, run_worker, worker);
    worker->started = error == 0;
    return -error;
}

static int start_workers(struct router *router)
{
    for (unsigned i = 0; i < router->worker_count; i++) {
        struct worker *worker = &router->workers[i];
        int error = shard_listen(&worker->shard, &router->listeners);
        if (error == 0 && router->config->threads > 0)
            error = start_worker(worker);
        if (error != 0)
            return error;
    }
    return 0;
}

/* The shards were told to stop. */
static void close_worker(struct router *router, struct worker *worker)
{
    if (worker->started) {
        pthread_join(worker->thread, NULL);
    } else {
        mailbox_deliver(&worker->shard.inbox);
        if (router->config->threads > 0)
            uv_run(&worker->loop, UV_RUN_DEFAULT);
    }
}

static void free_worker(struct router *router, struct worker *worker)
{
    outbox_deinit(&worker->outbox);
    shard_deinit(&worker->shard);
    if (router->config->threads > 0)
        uv_loop_close(&worker->loop);
}

/* The script */

static bool read_stdin(struct buffer *out)
{
    char block[4096];
    ssize_t length;
    while ((length = read(STDIN_FILENO, block, sizeof block)) > 0)
        buffer_append(out, block, (size_t)length);
    return length == 0;
}

bool router_run_script(struct router *router, struct vm *vm)
{
    const struct config *config = router->config;
    struct buffer *text = &router->script_text;
    if (config->code != NULL)
        return vm_run(vm, "-e", config->code, strlen(config->code));
    if (strcmp(config->script, "-") != 0)
        return vm_run(vm, config->script, NULL, 0);
    if (text->data == NULL) {
        buffer_reserve(text, 1);
        if (!read_stdin(text)) {
            log_line(LOG_ERROR, "cannot read the script from standard input");
            return false;
        }
    }
    return vm_run(vm, "-", text->data, text->length);
}

/* Listening */

static bool listen_on(struct router *router, const char *address, const char *where)
{
    char message[512];
    if (listeners_open(&router->listeners, address, message, sizeof message) == 0)
        return true;
    log_line(LOG_ERROR, "%s%s", where, message);
    return false;
}

static bool listen_all(struct router *router)
{
    const struct config *config = router->config;
    for (unsigned i = 0; i < config->listen_count; i++) {
        if (!listen_on(router, config->listen[i], ""))
            return false;
    }
    if (config->listen_count > 0)
        return true;
    struct list *addresses = &router->vm->addresses;
    for (struct list *node = addresses->next; node != addresses; node = node->next) {
        struct vm_address *address = CONTAINER_OF(node, struct vm_address, link);
        if (!listen_on(router, address->text, address->where))
            return false;
    }
    return !list_is_empty(addresses) || listen_on(router, "127.0.0.1:8080", "");
}

static void print_ready(const struct router *router)
{
    for (unsigned i = 0; i < router->listeners.count; i++)
        printf("sse-router: listening on %s\n", router->listeners.all[i].address);
    fflush(stdout);
}

/* Life */

static int open_router(struct router *router, const struct config *config)
{
    struct mailbox_receiver receiver = {router, relay_receive, NULL};
    struct hub_listener listener = relay_listener(router);
    char epoch[HUB_EPOCH_MAX + 1];
    *router = (struct router){.config = config, .telling = true};
    int error = uv_loop_init(&router->loop);
    if (error == 0)
        error = mailbox_init(&router->inbox, &router->loop, 0, &receiver);
    if (error != 0)
        return error;
    admission_init(&router->admission, config->max_connections,
                   config->max_connections_per_address);
    hub_make_epoch(epoch);
    hub_init(&router->hub, &config->hub, &listener, epoch);
    uv_prepare_init(&router->loop, &router->prepare);
    uv_timer_init(&router->loop, &router->expiry);
    router->prepare.data = router->expiry.data = router;
    uv_prepare_start(&router->prepare, on_prepare);
    uv_unref((uv_handle_t *)&router->prepare);
    ending_watch(router);
    router->worker_count = config->threads == 0 ? 1 : config->threads;
    router->workers = memory_zero(router->worker_count, sizeof *router->workers);
    for (unsigned i = 0; i < router->worker_count && error == 0; i++)
        error = open_worker(router, i);
    if (error != 0)
        return error;
    hub_continue(&router->hub, epoch, 0);
    list_init(&router->retired);
    pipeline_init(&router->pipeline);
    budget_init(&router->budget, config->vm.budget, on_turn, router);
    reload_watch(router);
    router->vm = memory_zero(1, sizeof *router->vm);
    struct vm_host host = relay_host(router);
    return vm_open(router->vm, &router->loop, &router->hub, &router->pipeline, &router->budget,
                   &host, &config->vm);
}

static void close_router(struct router *router)
{
    if (!router->ended)
        relay_to_all(router, MESSAGE_STOP);
    for (unsigned i = 0; i < router->worker_count; i++)
        close_worker(router, &router->workers[i]);
    router->telling = false;
    repl_close(router);
    pipeline_deinit(&router->pipeline);
    reload_close(router);
    vm_close(router->vm);
    hub_deinit(&router->hub);
    listeners_close(&router->listeners);
    ending_close(router);
    uv_close((uv_handle_t *)&router->prepare, NULL);
    uv_close((uv_handle_t *)&router->expiry, NULL);
    mailbox_close(&router->inbox);
    uv_run(&router->loop, UV_RUN_DEFAULT);
    for (unsigned i = 0; i < router->worker_count; i++)
        free_worker(router, &router->workers[i]);
    free(router->workers);
    free(router->vm);
    budget_deinit(&router->budget);
    buffer_deinit(&router->script_text);
    mailbox_deinit(&router->inbox);
    admission_deinit(&router->admission);
    uv_loop_close(&router->loop);
}

static int run(struct router *router)
{
    if (!router_run_script(router, router->vm))
        return EXIT_SCRIPT;
    if (router->config->check) {
        vm_describe(router->vm);
        return 0;
    }
    if (!listen_all(router))
        return EXIT_RUN;
    int error = start_workers(router);
    if (error != 0) {
        log_line(LOG_ERROR, "cannot start the I/O threads: %s", uv_strerror(error));
        return EXIT_RUN;
    }
    reload_watch_files(router);
    print_ready(router);
    error = router->config->repl ? repl_open(router) : 0;
    if (error != 0) {
        log_line(LOG_ERROR, "cannot start the prompt: %s", uv_strerror(error));
        return EXIT_RUN;
    }
    uv_run(&router->loop, UV_RUN_DEFAULT);
    return 0;
}

int router_main(const struct config *config)
{
    static struct router router;
    int error = open_router(&router, config);
    if (error != 0) {
        log_line(LOG_ERROR, "cannot start: %s", uv_strerror(error));
        return EXIT_RUN;
    }
    int status = run(&router);
    close_router(&router);
    return status;
}
