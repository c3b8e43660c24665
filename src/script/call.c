#include "script/call.h"

#include <stdarg.h>
#include <string.h>

/* Places */

static bool is_library(const lua_Debug *record)
{
    return strncmp(record->source, "=sse/", 5) == 0;
}

void call_push_place(lua_State *L)
{
    lua_Debug record;
    for (int level = 0; lua_getstack(L, level, &record); level++) {
        lua_getinfo(L, "Sl", &record);
        if (record.currentline > 0 && !is_library(&record)) {
            lua_pushfstring(L, "%s:%d: ", record.short_src, record.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

int call_raise(lua_State *L, const char *format, ...)
{
    va_list arguments;
    call_push_place(L);
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_concat(L, 2);
    return lua_error(L);
}

/* Entries */

static void enter(struct vm *vm, lua_State *L)
{
    if (vm->depth++ == 0)
        budget_begin(vm->budget, L);
}

static void leave(struct vm *vm)
{
    if (--vm->depth > 0)
        return;
    budget_end(vm->budget);
    if (vm->options.debug_gc)
        lua_gc(vm->L, LUA_GCCOLLECT);
}

/* Notes which coroutine runs; returns the one before. */
static lua_State *switch_to(struct vm *vm, lua_State *L)
{
    lua_State *before = vm->running;
    vm->running = L;
    budget_switch(vm->budget, L);
    return before;
}

/* The error's text: strings as they are, other values by __tostring, or by their type. */
static const char *error_text_of(lua_State *L, int index)
{
    const char *text = lua_tostring(L, index);
    if (text == NULL && luaL_callmeta(L, index, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
        return lua_tostring(L, -1);
    if (text == NULL)
        text = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
    return text;
}

static int on_error(lua_State *L)
{
    luaL_traceback(L, L, error_text_of(L, 1), 1);
    return 1;
}

enum call_outcome call_function(struct vm *vm, lua_State *L, int arguments, int results)
{
    int base = lua_gettop(L) - arguments;
    lua_pushcfunction(L, on_error);
    lua_insert(L, base);
    enter(vm, L);
    lua_State *before = switch_to(vm, L);
    int status = lua_pcall(L, arguments, results, base);
    switch_to(vm, before);
    leave(vm);
    lua_remove(L, base);
    return status == LUA_OK ? CALL_DONE : CALL_FAILED;
}

enum call_outcome call_resume(struct vm *vm, lua_State *coroutine, int arguments, int *results)
{
    enter(vm, coroutine);
    lua_State *before = switch_to(vm, coroutine);
    int status = lua_resume(coroutine, before != NULL ? before : vm->L, arguments, results);
    if (status != LUA_OK && status != LUA_YIELD) {
        /* The stack is not unwound yet, so the traceback shows where it happened. */
        const char *text = error_text_of(coroutine, lua_gettop(coroutine));
        luaL_traceback(coroutine, coroutine, text, 0);
    }
    switch_to(vm, before);
    leave(vm);
    return status == LUA_OK ? CALL_DONE : status == LUA_YIELD ? CALL_YIELDED : CALL_FAILED;
}

void call_close(struct vm *vm, lua_State *coroutine)
{
    /* The result for a coroutine that had failed is its old error, which is reported already. */
    bool had_failed = lua_status(coroutine) != LUA_OK && lua_status(coroutine) != LUA_YIELD;
    enter(vm, coroutine);
    lua_State *before = switch_to(vm, coroutine);
    int status = lua_resetthread(coroutine);
    switch_to(vm, before);
    leave(vm);
    if (status != LUA_OK && !had_failed) {
        vm_report(vm, "closing a coroutine", error_text_of(coroutine, -1));
    }
    lua_settop(coroutine, 0);
}

/* Coroutines of the script */

/* Resumes with the arguments on L's stack from 2 on, as coroutine.resume does: true and the
 * results, or false and the error. */
static int resume(lua_State *L, lua_State *coroutine)
{
    struct vm *vm = vm_of(L);
    lua_State *before = switch_to(vm, coroutine);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    switch_to(vm, before);
    return lua_gettop(L);
}

static int l_resume(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTHREAD);
    return resume(L, lua_tothread(L, 1));
}

/* What coroutine.wrap returns. Upvalues: the original resume, the coroutine. */
static int l_wrapped(lua_State *L)
{
    lua_State *coroutine = lua_tothread(L, lua_upvalueindex(2));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    int count = resume(L, coroutine);
    if (lua_toboolean(L, 1))
        return count - 1;
    if (lua_status(coroutine) != LUA_OK && lua_status(coroutine) != LUA_YIELD)
        lua_resetthread(coroutine);
    lua_settop(L, 2);
    return lua_error(L);
}

static int l_wrap(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_State *coroutine = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, coroutine, 1);
    lua_pushcclosure(L, l_wrapped, 2);
    return 1;
}

void call_open_coroutines(lua_State *L)
{
    lua_getglobal(L, "coroutine");
    lua_getfield(L, -1, "resume");
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, l_resume, 1);
    lua_setfield(L, -3, "resume");
    lua_pushcclosure(L, l_wrap, 1);
    lua_setfield(L, -2, "wrap");
    lua_pop(L, 1);
}
