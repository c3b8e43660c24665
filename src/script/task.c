#include "script/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "script/call.h"

enum { MAX_IDLE = 64 }; /* coroutines kept for reuse */

struct task {
    struct list link;
    struct vm *vm;
    lua_State *L;
    int reference; /* keeps the coroutine from collection */
    const char *what;
    task_end_fn on_end;
    void *context;
    bool outlives;         /* a reload */
    task_cancel_fn cancel; /* while it waits */
    void *cancel_context;
    char origin[TASK_PLACE];
};

static struct task *take(struct vm *vm, int values)
{
    struct task *task;
    if (!list_is_empty(&vm->idle_tasks)) {
        task = CONTAINER_OF(vm->idle_tasks.next, struct task, link);
        list_remove(&task->link);
        vm->idle_task_count--;
    } else {
        task = memory_zero(1, sizeof *task);
        task->vm = vm;
        list_init(&task->link);
        task->L = lua_newthread(vm->L);
        task->reference = luaL_ref(vm->L, LUA_REGISTRYINDEX);
    }
    list_append(&vm->tasks, &task->link);
    lua_checkstack(task->L, values + LUA_MINSTACK);
    return task;
}

/* The coroutine is over (or was closed): keeps it for the next task, or lets it go. */
static void put(struct task *task, bool reusable)
{
    struct vm *vm = task->vm;
    list_remove(&task->link);
    task->cancel = NULL;
    if (reusable && vm->idle_task_count < MAX_IDLE && lua_status(task->L) == LUA_OK) {
        lua_settop(task->L, 0);
        list_append(&vm->idle_tasks, &task->link);
        vm->idle_task_count++;
        return;
    }
    luaL_unref(vm->L, LUA_REGISTRYINDEX, task->reference);
    free(task);
}

static void finish(struct task *task, const char *error, bool reusable)
{
    struct vm *vm = task->vm;
    /* A coroutine that returned has closed its variables itself. Another is closed before anybody
     * is told: it may hold all the memory. */
    if (error != NULL)
        call_close(vm, task->L, task->what);
    if (task->on_end != NULL)
        task->on_end(task->context, error);
    else if (error != NULL && error[0] != '\0')
        vm_report(vm, task->what, error);
    put(task, reusable);
}

/* True when the task goes on later. No error of Lua's may cut this short: memory is not limited. */
static bool run(struct task *task, int arguments)
{
    struct vm *vm = task->vm;
    struct task *before = vm->current;
    int results = 0;
    char *error = NULL;
    vm->current = task;
    enum call_outcome outcome = call_resume(vm, task->L, arguments, &results, &error);
    vm->current = before;
    if (outcome == CALL_YIELDED && task->cancel != NULL) {
        lua_pop(task->L, results);
        return true;
    }
    if (outcome == CALL_YIELDED)
        finish(task, "coroutine.yield was called outside of a coroutine of the script's own", true);
    else
        finish(task, error, outcome == CALL_DONE);
    free(error);
    return false;
}

void task_describe(lua_State *L, int function, char *out, size_t size)
{
    lua_Debug record;
    lua_pushvalue(L, function);
    lua_getinfo(L, ">S", &record);
    out[0] = '\0';
    if (*record.what != 'C' && !call_is_library(&record))
        snprintf(out, size, "%s:%d: ", record.short_src, record.linedefined);
}

void task_set_origin(lua_State *L, struct slice place)
{
    struct task *task = vm_of(L)->current;
    if (task != NULL && place.length < sizeof task->origin)
        memcpy(task->origin, place.data, place.length + 1);
}

const char *task_origin(const struct task *task)
{
    return task->origin;
}

lua_State *task_state(const struct task *task)
{
    return task->L;
}

struct task *task_start(struct vm *vm, lua_State *L, int arguments, const char *what,
                        task_end_fn on_end, void *context)
{
    bool limited = call_unlimit(vm);
    struct task *task = take(vm, arguments + 1);
    task->what = what;
    task->outlives = false;
    task->on_end = on_end;
    task->context = context;
    task_describe(L, -arguments - 1, task->origin, sizeof task->origin);
    lua_xmove(L, task->L, arguments + 1);
    bool waits = run(task, arguments);
    call_limit(vm, limited);
    return waits ? task : NULL;
}

struct task *task_of(lua_State *L)
{
    struct task *task = vm_of(L)->current;
    return task != NULL && task->L == L && lua_isyieldable(L) ? task : NULL;
}

struct task *task_require(lua_State *L, const char *what)
{
    struct task *task = task_of(L);
    if (task == NULL)
        call_raise(L,
                   "%s cannot wait here: call it in a handler, a timer, a stream or sse.spawn, and "
                   "not inside a coroutine of your own",
                   what);
    return task;
}

void task_will_wait(struct task *task, task_cancel_fn cancel, void *context)
{
    task->cancel = cancel;
    task->cancel_context = context;
}

int task_wait(lua_State *L, struct task *task, task_cancel_fn cancel, void *context)
{
    task_will_wait(task, cancel, context);
    return lua_yield(L, 0);
}

void task_resume(struct task *task, int arguments)
{
    struct vm *vm = task->vm;
    bool limited = call_unlimit(vm);
    task->cancel = NULL;
    if (arguments > 0)
        lua_xmove(vm->L, task->L, arguments);
    run(task, arguments);
    call_limit(vm, limited);
}

void task_end(struct task *task)
{
    task_cancel_fn cancel = task->cancel;
    task->cancel = NULL;
    if (cancel != NULL)
        cancel(task->cancel_context);
    call_close(task->vm, task->L, task->what);
    finish(task, "", true);
}

void task_outlives_reload(struct task *task, bool outlives)
{
    if (task != NULL)
        task->outlives = outlives;
}

void task_end_background(struct vm *vm)
{
    struct list all;
    list_init(&all);
    list_move(&vm->tasks, &all);
    while (!list_is_empty(&all)) {
        struct task *task = CONTAINER_OF(all.next, struct task, link);
        list_remove(&task->link);
        list_append(&vm->tasks, &task->link);
        if (!task->outlives && task != vm->current)
            task_end(task);
    }
}

void task_end_all(struct vm *vm)
{
    while (!list_is_empty(&vm->tasks))
        task_end(CONTAINER_OF(vm->tasks.next, struct task, link));
    while (!list_is_empty(&vm->idle_tasks)) {
        struct task *task = CONTAINER_OF(vm->idle_tasks.next, struct task, link);
        list_remove(&task->link);
        free(task);
    }
}
