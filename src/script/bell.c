#include "script/bell.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "script/clock.h"
#include "script/module.h"
#include "script/task.h"

struct bell {
    uv_timer_t timer; /* of the wait's end */
    struct vm *vm;
    int references;
    struct task *waiter;
    bool rung;
    bool closed;
};

static const char metatable[] = "sse.bell";

struct bell *bell_ref(struct bell *bell)
{
    bell->references++;
    return bell;
}

void bell_unref(struct bell *bell)
{
    if (--bell->references == 0)
        free(bell);
}

bool bell_is_closed(const struct bell *bell)
{
    return bell->closed;
}

static void on_closed(uv_handle_t *handle)
{
    bell_unref(CONTAINER_OF(handle, struct bell, timer));
}

static void on_timer(uv_timer_t *timer)
{
    struct bell *bell = CONTAINER_OF(timer, struct bell, timer);
    struct task *waiter = bell->waiter;
    bell->waiter = NULL;
    lua_pushboolean(bell->vm->L, bell->rung);
    bell->rung = false;
    task_resume(waiter, 1);
}

void bell_ring(struct bell *bell)
{
    bell->rung = true;
    if (bell->waiter != NULL)
        uv_timer_start(&bell->timer, on_timer, 0, 0);
}

struct bell *bell_check(lua_State *L, int index)
{
    return *(struct bell **)luaL_checkudata(L, index, metatable);
}

/* core.bell() -> bell */
static int l_bell(lua_State *L)
{
    struct bell **box = lua_newuserdatauv(L, sizeof(struct bell *), 0);
    *box = memory_zero(1, sizeof **box);
    (*box)->references = 1;
    (*box)->vm = vm_of(L);
    uv_timer_init((*box)->vm->loop, &(*box)->timer);
    luaL_setmetatable(L, metatable);
    return 1;
}

static void cancel_wait(void *context)
{
    struct bell *bell = context;
    bell->waiter = NULL;
    uv_timer_stop(&bell->timer);
}

/* bell:wait(seconds) -> whether it was rung. Without seconds it waits as long as it takes. */
static int l_wait(lua_State *L)
{
    struct bell *bell = bell_check(L, 1);
    double seconds = luaL_optnumber(L, 2, -1);
    if (bell->rung) {
        bell->rung = false;
        lua_pushboolean(L, 1);
        return 1;
    }
    if (bell->waiter != NULL)
        return luaL_error(L, "another task waits for this bell");
    struct task *task = task_require(L, "a source");
    bell->waiter = task;
    if (seconds >= 0)
        clock_start_timer(&bell->timer, on_timer, (uint64_t)ceil(seconds * 1000), 0);
    return task_wait(L, task, cancel_wait, bell);
}

/* bell:ring() */
static int l_ring(lua_State *L)
{
    bell_ring(bell_check(L, 1));
    return 0;
}

static int l_gc(lua_State *L)
{
    struct bell *bell = bell_check(L, 1);
    bell->closed = true;
    bell->waiter = NULL;
    uv_close((uv_handle_t *)&bell->timer, on_closed);
    return 0;
}

void bell_open_module(lua_State *L)
{
    static const luaL_Reg methods[] = {{"wait", l_wait}, {"ring", l_ring}, {NULL, NULL}};
    lua_pushcfunction(L, l_bell);
    lua_setfield(L, -2, "bell");
    module_define_type(L, metatable, methods, l_gc);
}
