/* Tasks of the Lua half that outlive errors, and reloads: core.task, core.outlive. */
#include <stdlib.h>

#include "base/memory.h"
#include "script/call.h"
#include "script/module.h"
#include "script/task.h"

struct job {
    struct vm *vm;
    int on_end; /* a function in the registry */
};

static void on_task_end(void *context, const char *error)
{
    struct job *job = context;
    struct vm *vm = job->vm;
    lua_State *L = vm_state(vm);
    lua_rawgeti(L, LUA_REGISTRYINDEX, job->on_end);
    luaL_unref(L, LUA_REGISTRYINDEX, job->on_end);
    free(job);
    /* One that the closing vm has ended starts nothing any more. */
    if (error != NULL && error[0] == '\0') {
        lua_pop(L, 1);
        return;
    }
    lua_pushstring(L, error);
    if (call_function(vm, L, 1, 0) == CALL_FAILED) {
        vm_report(vm, "source", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
}

/* core.task(function, on_end): runs the function as a task. When it is over, on_end is called with
 * the error's text and traceback, or with nil; not when the vm closes. */
static int l_task(lua_State *L)
{
    struct vm *vm = vm_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    int on_end = luaL_ref(L, LUA_REGISTRYINDEX);
    struct job *job = memory_zero(1, sizeof *job);
    *job = (struct job){vm, on_end};
    task_start(vm, L, 0, "source", on_task_end, job);
    return 0;
}

/* core.outlive(flag): whether the running task goes on when the script is reloaded */
static int l_outlive(lua_State *L)
{
    task_outlives_reload(task_of(L), lua_toboolean(L, 1));
    return 0;
}

void source_open_module(lua_State *L)
{
    static const luaL_Reg functions[] = {{"task", l_task}, {"outlive", l_outlive}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
