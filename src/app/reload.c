/* Another version of the script takes over: it runs in a Lua state of its own first, and only when
 * that went well does everything switch. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "app/router.h"
#include "base/log_line.h"
#include "base/memory.h"

enum {
    WATCH_INTERVAL = 300,   /* milliseconds between looks at a file */
    COLLECT_INTERVAL = 200, /* milliseconds between looks at replaced scripts */
    MAX_RETIREMENT = 30000, /* milliseconds that a replaced script has to answer its requests */
};

struct retired_vm {
    struct list link;
    struct vm *vm;
    uint64_t since;
};

struct file_watch {
    uv_fs_poll_t poll;
    struct list link;
};

struct reload {
    uv_signal_t signal;
    uv_async_t request;
    uv_timer_t collect;
    struct list files; /* struct file_watch */
};

/* Replaced scripts */

static void free_retired(struct retired_vm *retired)
{
    list_remove(&retired->link);
    vm_close(retired->vm);
    free(retired->vm);
    free(retired);
}

static void on_collect(uv_timer_t *timer)
{
    struct router *router = timer->data;
    struct list *all = &router->retired;
    for (struct list *node = all->next, *next; node != all; node = next) {
        struct retired_vm *retired = CONTAINER_OF(node, struct retired_vm, link);
        next = node->next;
        if (vm_is_done(retired->vm) || uv_now(&router->loop) - retired->since > MAX_RETIREMENT)
            free_retired(retired);
    }
    if (list_is_empty(all))
        uv_timer_stop(timer);
}

static void retire(struct router *router, struct vm *vm)
{
    struct retired_vm *retired = memory_zero(1, sizeof *retired);
    retired->vm = vm;
    retired->since = uv_now(&router->loop);
    list_append(&router->retired, &retired->link);
    uv_timer_start(&router->reload->collect, on_collect, 0, COLLECT_INTERVAL);
}

/* Files */

static void on_change(uv_fs_poll_t *poll, int status, const uv_stat_t *before,
                      const uv_stat_t *after)
{
    (void)status;
    (void)before;
    (void)after;
    /* While an editor replaces a file it may be missing for a moment. */
    if (status == 0)
        reload_request(poll->data);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct file_watch, poll));
}

static void stop_watching(struct router *router)
{
    struct list *files = &router->reload->files;
    while (!list_is_empty(files)) {
        struct file_watch *watch = CONTAINER_OF(files->next, struct file_watch, link);
        list_remove(&watch->link);
        uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
    }
}

static void watch_file(void *context, const char *path)
{
    struct router *router = context;
    struct file_watch *watch = memory_zero(1, sizeof *watch);
    uv_fs_poll_init(&router->loop, &watch->poll);
    watch->poll.data = router;
    list_append(&router->reload->files, &watch->link);
    uv_fs_poll_start(&watch->poll, on_change, path, WATCH_INTERVAL);
}

void reload_watch_files(struct router *router)
{
    const char *script = router->config->script;
    if (!router->config->watch)
        return;
    stop_watching(router);
    if (script != NULL && strcmp(script, "-") != 0)
        watch_file(router, script);
    vm_files(router->vm, watch_file, router);
}

/* Reloading */

static bool same_addresses(const struct vm *a, const struct vm *b)
{
    const struct list *left = a->addresses.next;
    const struct list *right = b->addresses.next;
    for (; left != &a->addresses && right != &b->addresses;
         left = left->next, right = right->next) {
        if (strcmp(CONTAINER_OF(left, struct vm_address, link)->text,
                   CONTAINER_OF(right, struct vm_address, link)->text) != 0)
            return false;
    }
    return left == &a->addresses && right == &b->addresses;
}

static struct vm *load(struct router *router)
{
    struct vm_host host = relay_host(router);
    struct vm *vm = memory_zero(1, sizeof *vm);
    int error = vm_open(vm, &router->loop, &router->hub, &router->pipeline, &router->budget, &host,
                        &router->config->vm);
    vm->previous = router->vm;
    if (error == 0 && router_run_script(router, vm))
        return vm;
    vm->previous = NULL;
    vm_close(vm);
    free(vm);
    return NULL;
}

static void reload(struct router *router)
{
    struct vm *old = router->vm;
    if (router->ending)
        return;
    struct vm *vm = load(router);
    if (vm == NULL) {
        log_line(LOG_ERROR, "reload failed: the script that was running goes on");
        return;
    }
    if (router->config->listen_count == 0 && !same_addresses(old, vm))
        log_line(LOG_WARN, "sse.listen has changed: addresses stay as they are until a restart");
    router->vm = vm;
    vm_take_over(vm);
    retire(router, old);
    reload_watch_files(router);
    log_line(LOG_INFO, "reloaded the script");
}

static void on_request(uv_async_t *async)
{
    reload(async->data);
}

void reload_request(void *context)
{
    struct router *router = context;
    uv_async_send(&router->reload->request);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    reload(handle->data);
}

void reload_watch(struct router *router)
{
    struct reload *state = memory_zero(1, sizeof *state);
    router->reload = state;
    list_init(&state->files);
    uv_signal_init(&router->loop, &state->signal);
    uv_async_init(&router->loop, &state->request, on_request);
    uv_timer_init(&router->loop, &state->collect);
    state->signal.data = state->request.data = state->collect.data = router;
    uv_signal_start(&state->signal, on_signal, SIGHUP);
}

static void on_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct reload, signal));
}

void reload_close(struct router *router)
{
    struct reload *state = router->reload;
    while (!list_is_empty(&router->retired))
        free_retired(CONTAINER_OF(router->retired.next, struct retired_vm, link));
    stop_watching(router);
    uv_close((uv_handle_t *)&state->request, NULL);
    uv_close((uv_handle_t *)&state->collect, NULL);
    /* Handles close last first within a turn, so the one whose callback frees comes first. */
    uv_close((uv_handle_t *)&state->signal, on_closed);
}
