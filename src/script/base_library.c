#include "script/base_library.h"

#include "script/call.h"

/* Coroutines: the budget must know which one runs. */

static lua_State *check_coroutine(lua_State *L)
{
    lua_State *coroutine = lua_tothread(L, 1);
    luaL_argexpected(L, coroutine != NULL, 1, "coroutine");
    return coroutine;
}

/* Goes on with a coroutine, with the values above `base`; its results, or the error, replace them.
 * False when it failed. */
static bool resume(lua_State *L, lua_State *coroutine, int base)
{
    int arguments = lua_gettop(L) - base;
    int results;
    if (!lua_checkstack(coroutine, arguments)) {
        lua_pushliteral(L, "too many arguments to resume");
        return false;
    }
    lua_xmove(L, coroutine, arguments);
    lua_State *before = call_switch(vm_of(L), coroutine);
    int status = lua_resume(coroutine, L, arguments, &results);
    call_switch(vm_of(L), before);
    bool ok = status == LUA_OK || status == LUA_YIELD;
    if (ok && !lua_checkstack(L, results + 1)) {
        lua_pop(coroutine, results);
        lua_pushliteral(L, "too many results to resume");
        return false;
    }
    lua_xmove(coroutine, L, ok ? results : 1);
    return ok;
}

static int l_resume(lua_State *L)
{
    bool ok = resume(L, check_coroutine(L), 1);
    lua_pushboolean(L, ok);
    lua_replace(L, 1);
    return ok ? lua_gettop(L) : (lua_insert(L, 2), lua_settop(L, 2), 2);
}

/* Runs the to-be-closed variables. On an error the coroutine has it on its stack. */
static int reset(lua_State *L, lua_State *coroutine)
{
    lua_State *before = call_switch(vm_of(L), coroutine);
    int status = lua_resetthread(coroutine);
    call_switch(vm_of(L), before);
    return status;
}

static bool is_suspended_or_dead(lua_State *L, lua_State *coroutine)
{
    lua_Debug record;
    return L != coroutine &&
           (lua_status(coroutine) != LUA_OK || !lua_getstack(coroutine, 0, &record));
}

static int l_close(lua_State *L)
{
    lua_State *coroutine = check_coroutine(L);
    if (!is_suspended_or_dead(L, coroutine))
        return luaL_error(L, "cannot close a %s coroutine", L == coroutine ? "running" : "normal");
    bool ok = reset(L, coroutine) == LUA_OK;
    lua_pushboolean(L, ok);
    if (!ok)
        lua_xmove(coroutine, L, 1);
    return ok ? 1 : 2;
}

/* What coroutine.wrap returns. Upvalue: the coroutine. */
static int l_wrapped(lua_State *L)
{
    lua_State *coroutine = lua_tothread(L, lua_upvalueindex(1));
    if (resume(L, coroutine, 0))
        return lua_gettop(L);
    int status = lua_status(coroutine);
    /* Hooks no longer work in a coroutine that the budget's error has ended. */
    if (status != LUA_OK && status != LUA_YIELD && !budget_is_over(vm_of(L)->budget) &&
        reset(L, coroutine) != LUA_OK)
        lua_xmove(coroutine, L, 1);
    if (lua_type(L, -1) == LUA_TSTRING && status != LUA_ERRMEM) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int l_wrap(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *coroutine = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, coroutine, 1);
    lua_pushcclosure(L, l_wrapped, 1);
    return 1;
}

/* xpcall: its handler runs inside the hook that raises the budget's error, where no hook can stop
 * it. */

static int l_handler(lua_State *L)
{
    if (budget_is_over(vm_of(L)->budget))
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int finish_xpcall(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - 1;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int l_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    /* The handler comes first, then `true` for a result, the function, and its arguments. Handlers
     * in C, such as debug.traceback, need no watching, and around them a further level would show.
     */
    lua_pushvalue(L, 2);
    if (!lua_iscfunction(L, 2))
        lua_pushcclosure(L, l_handler, 1);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 1, 3);
    lua_remove(L, 4);
    lua_remove(L, 4);
    int status = lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 1, 0, finish_xpcall);
    return finish_xpcall(L, status, 0);
}

/* Finalizers: the collector runs them without hooks, in whatever coroutine it finds itself. In a
 * coroutine of their own hooks work, and the error of one is told like any other. */

/* What __gc becomes. Upvalue: the script's function. */
static int l_finalize(lua_State *L)
{
    struct vm *vm = vm_of(L);
    bool limited = call_unlimit(vm);
    lua_settop(L, 1);
    lua_State *own = lua_newthread(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_xmove(L, own, 2);
    if (call_function(vm, own, 1, 0) == CALL_FAILED)
        vm_report(vm, "__gc", lua_tostring(own, -1));
    call_limit(vm, limited);
    return 0;
}

/* Puts the watched form in the place of a __gc in the table at the index. */
static void watch_finalizer(lua_State *L, int metatable)
{
    lua_pushliteral(L, "__gc");
    if (lua_rawget(L, metatable) == LUA_TFUNCTION && !lua_iscfunction(L, -1)) {
        lua_pushliteral(L, "__gc");
        lua_pushvalue(L, -2);
        lua_pushcclosure(L, l_finalize, 1);
        lua_rawset(L, metatable);
    }
    lua_pop(L, 1);
}

static int l_setmetatable(lua_State *L)
{
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    if (type == LUA_TTABLE)
        watch_finalizer(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int l_nothing(lua_State *L)
{
    (void)L;
    return 0;
}

/* Where the budget comes by a count of instructions, a script's own hook would take its place. */
static void keep_hook(lua_State *L)
{
    if (!budget_counts())
        return;
    lua_getglobal(L, "debug");
    lua_pushcfunction(L, l_nothing);
    lua_setfield(L, -2, "sethook");
    lua_pop(L, 1);
}

void base_library_open(lua_State *L)
{
    static const luaL_Reg coroutines[] = {
        {"resume", l_resume}, {"wrap", l_wrap}, {"close", l_close}, {NULL, NULL}};
    static const luaL_Reg globals[] = {
        {"xpcall", l_xpcall}, {"setmetatable", l_setmetatable}, {NULL, NULL}};
    lua_getglobal(L, "coroutine");
    luaL_setfuncs(L, coroutines, 0);
    lua_pushglobaltable(L);
    luaL_setfuncs(L, globals, 0);
    lua_pop(L, 2);
    keep_hook(L);
}
