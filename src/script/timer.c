#include "script/timer.h"

#include <math.h>
#include <stdlib.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "script/call.h"
#include "script/clock.h"
#include "script/module.h"
#include "script/task.h"

/* One of sse.every, sse.after and sse.sleep. */
struct timer {
    uv_timer_t handle;
    struct list link; /* in vm.timers */
    struct vm *vm;
    struct timer **box;   /* the script's userdata, or NULL */
    struct task *sleeper; /* of sse.sleep */
    int function;         /* else, in the registry */
    bool repeats;
    bool running; /* its task has not ended: the next turn is left out */
    bool closing;
};

static void on_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct timer, handle));
}

static void stop(struct timer *timer)
{
    if (timer->closing)
        return;
    timer->closing = true;
    if (timer->box != NULL)
        *timer->box = NULL;
    if (timer->function != LUA_NOREF)
        luaL_unref(timer->vm->L, LUA_REGISTRYINDEX, timer->function);
    list_remove(&timer->link);
    /* While its task runs, the task's end frees it. */
    if (!timer->running)
        uv_close((uv_handle_t *)&timer->handle, on_closed);
    else
        uv_timer_stop(&timer->handle);
}

void timer_stop_all(struct vm *vm)
{
    struct list all;
    list_init(&all);
    list_move(&vm->timers, &all);
    while (!list_is_empty(&all)) {
        struct timer *timer = CONTAINER_OF(all.next, struct timer, link);
        list_remove(&timer->link);
        list_append(&vm->timers, &timer->link);
        if (timer->sleeper == NULL)
            stop(timer);
    }
}

static struct timer *new_timer(struct vm *vm)
{
    struct timer *timer = memory_zero(1, sizeof *timer);
    timer->vm = vm;
    timer->function = LUA_NOREF;
    uv_timer_init(vm->loop, &timer->handle);
    list_append(&vm->timers, &timer->link);
    return timer;
}

/* At least 1: libuv runs timers that are due already in the same turn, before any socket, so that a
 * loop around sse.sleep(0) would leave no time for anything else. */
static uint64_t milliseconds(double seconds)
{
    return seconds > 0 ? (uint64_t)ceil(seconds * 1000) : 1;
}

/* sse.sleep */

static void on_wake(uv_timer_t *handle)
{
    struct timer *timer = CONTAINER_OF(handle, struct timer, handle);
    struct task *sleeper = timer->sleeper;
    stop(timer);
    task_resume(sleeper, 0);
}

static void cancel_sleep(void *context)
{
    stop(context);
}

/* core.sleep(seconds) */
static int l_sleep(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    struct task *task = task_require(L, "sse.sleep");
    struct timer *timer = new_timer(vm_of(L));
    timer->sleeper = task;
    clock_start_timer(&timer->handle, on_wake, milliseconds(seconds), 0);
    return task_wait(L, task, cancel_sleep, timer);
}

/* sse.every and sse.after */

static void on_task_end(void *context, const char *error)
{
    struct timer *timer = context;
    struct vm *vm = timer->vm;
    timer->running = false;
    if (timer->closing)
        uv_close((uv_handle_t *)&timer->handle, on_closed);
    else if (!timer->repeats)
        stop(timer);
    if (error != NULL && error[0] != '\0')
        vm_report(vm, "timer", error);
}

static void on_tick(uv_timer_t *handle)
{
    struct timer *timer = CONTAINER_OF(handle, struct timer, handle);
    if (timer->running)
        return;
    timer->running = true;
    lua_rawgeti(timer->vm->L, LUA_REGISTRYINDEX, timer->function);
    task_start(timer->vm, timer->vm->L, 0, "timer", on_task_end, timer);
}

/* core.timer(seconds, repeats, function) -> timer */
static int l_timer(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    bool repeats = lua_toboolean(L, 2);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    struct timer **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, "sse.timer");
    struct timer *timer = new_timer(vm_of(L));
    timer->box = box;
    *box = timer;
    timer->repeats = repeats;
    lua_pushvalue(L, 3);
    timer->function = luaL_ref(L, LUA_REGISTRYINDEX);
    uint64_t interval = milliseconds(seconds);
    clock_start_timer(&timer->handle, on_tick, interval, repeats ? interval : 0);
    return 1;
}

/* timer:stop() */
static int l_timer_stop(lua_State *L)
{
    struct timer **box = luaL_checkudata(L, 1, "sse.timer");
    if (*box != NULL)
        stop(*box);
    return 0;
}

/* The timer goes on without its userdata. */
static int l_timer_gc(lua_State *L)
{
    struct timer **box = luaL_checkudata(L, 1, "sse.timer");
    if (*box != NULL)
        (*box)->box = NULL;
    return 0;
}

/* core.spawn(function, ...) */
static int l_spawn(lua_State *L)
{
    struct vm *vm = vm_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    task_start(vm, L, lua_gettop(L) - 1, "sse.spawn", NULL, NULL);
    return 0;
}

/* An error of a handler of errors goes to the log alone. */
static void on_told_of_error(void *context, const char *error)
{
    (void)context;
    if (error != NULL && error[0] != '\0')
        log_line(LOG_ERROR, "handler of sse.on \"error\": %s", error);
}

/* core.tell(name, function, ...): runs a handler of sse.on */
static int l_tell(lua_State *L)
{
    static const char *const names[] = {"error", "subscribe", "unsubscribe", "shutdown", NULL};
    static const char *const titles[] = {"", "handler of sse.on \"subscribe\"",
                                         "handler of sse.on \"unsubscribe\"",
                                         "handler of sse.on \"shutdown\""};
    int name = luaL_checkoption(L, 1, NULL, names);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    task_start(vm_of(L), L, lua_gettop(L) - 2, titles[name], name == 0 ? on_told_of_error : NULL,
               NULL);
    return 0;
}

/* core.place_of(function) -> "file:line: " of where it is defined, or "" for the library's */
static int l_place_of(lua_State *L)
{
    char place[TASK_PLACE];
    luaL_checktype(L, 1, LUA_TFUNCTION);
    task_describe(L, 1, place, sizeof place);
    lua_pushstring(L, place);
    return 1;
}

/* core.set_place(text): the place of the function that the running task is about */
static int l_set_place(lua_State *L)
{
    struct slice place;
    place.data = luaL_checklstring(L, 1, &place.length);
    task_set_origin(L, place);
    return 0;
}

void timer_open_module(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sleep", l_sleep},       {"timer", l_timer},         {"spawn", l_spawn}, {"tell", l_tell},
        {"place_of", l_place_of}, {"set_place", l_set_place}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"stop", l_timer_stop}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    module_define_type(L, "sse.timer", methods, l_timer_gc);
}
