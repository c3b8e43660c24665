/* Another version of the script takes over: it runs in a Lua state of its own first, and only when
 * that went well does everything switch. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/router.h"
#include "base/log_line.h"
#include "base/memory.h"

enum {
    SETTLE_INTERVAL = 50,   /* milliseconds after the last change of a file */
    COLLECT_INTERVAL = 200, /* milliseconds between looks at replaced scripts */
    MAX_RETIREMENT = 30000, /* milliseconds that a replaced script has to answer its requests */
};

struct retired_vm {
    struct list link;
    struct vm *vm;
    uint64_t since;
};

struct watched_file {
    struct list link;
    char *folder;
    char name[256];
};

struct folder_watch {
    uv_fs_event_t event;
    struct list link;
    struct router *router;
    char *folder;
};

struct reload {
    uv_signal_t signal;
    uv_async_t request;
    uv_timer_t collect;
    uv_timer_t settle;
    struct list files;   /* struct watched_file */
    struct list folders; /* struct folder_watch */
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

/* Files. Folders are watched, since editors replace files rather than write to them. */

static bool is_watched(const struct reload *state, const char *folder, const char *name)
{
    for (struct list *node = state->files.next; node != &state->files; node = node->next) {
        const struct watched_file *file = CONTAINER_OF(node, struct watched_file, link);
        if (strcmp(file->folder, folder) == 0 && (name == NULL || strcmp(file->name, name) == 0))
            return true;
    }
    return false;
}

static void on_settled(uv_timer_t *timer)
{
    reload_request(timer->data);
}

static void on_change(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct folder_watch *watch = CONTAINER_OF(event, struct folder_watch, event);
    struct reload *state = watch->router->reload;
    (void)events;
    /* An editor writes in several steps. */
    if (status == 0 && name != NULL && is_watched(state, watch->folder, name))
        uv_timer_start(&state->settle, on_settled, SETTLE_INTERVAL, 0);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct folder_watch *watch = CONTAINER_OF(handle, struct folder_watch, event);
    free(watch->folder);
    free(watch);
}

static void stop_watching(struct router *router)
{
    struct reload *state = router->reload;
    while (!list_is_empty(&state->folders)) {
        struct folder_watch *watch = CONTAINER_OF(state->folders.next, struct folder_watch, link);
        list_remove(&watch->link);
        uv_close((uv_handle_t *)&watch->event, on_watch_closed);
    }
    while (!list_is_empty(&state->files)) {
        struct watched_file *file = CONTAINER_OF(state->files.next, struct watched_file, link);
        list_remove(&file->link);
        free(file->folder);
        free(file);
    }
}

static void watch_folder(struct router *router, const char *folder)
{
    struct folder_watch *watch = memory_zero(1, sizeof *watch);
    watch->router = router;
    watch->folder = memory_copy(folder, strlen(folder));
    uv_fs_event_init(&router->loop, &watch->event);
    list_append(&router->reload->folders, &watch->link);
    int error = uv_fs_event_start(&watch->event, on_change, folder, 0);
    if (error != 0)
        log_line(LOG_WARN, "cannot watch %s: %s", folder, uv_strerror(error));
}

static void watch_file(void *context, const char *path)
{
    struct router *router = context;
    const char *slash = strrchr(path, '/');
    struct watched_file *file = memory_zero(1, sizeof *file);
    file->folder =
        slash == NULL ? memory_copy(".", 1) : memory_copy(path, (size_t)(slash - path) + 1);
    snprintf(file->name, sizeof file->name, "%s", slash == NULL ? path : slash + 1);
    if (!is_watched(router->reload, file->folder, NULL))
        watch_folder(router, file->folder);
    list_append(&router->reload->files, &file->link);
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
    list_init(&state->folders);
    uv_signal_init(&router->loop, &state->signal);
    uv_async_init(&router->loop, &state->request, on_request);
    uv_timer_init(&router->loop, &state->collect);
    uv_timer_init(&router->loop, &state->settle);
    state->signal.data = state->request.data = router;
    state->collect.data = state->settle.data = router;
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
    uv_close((uv_handle_t *)&state->settle, NULL);
    /* Handles close last first within a turn, so the one whose callback frees comes first. */
    uv_close((uv_handle_t *)&state->signal, on_closed);
}
