#include "script/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "script/task.h"

/* Places */

bool call_is_library(const lua_Debug *record)
{
    return strncmp(record->source, "=sse/", 5) == 0;
}

static bool find_on_stack(lua_State *L, char *out, size_t size)
{
    lua_Debug record;
    for (int level = 0; lua_getstack(L, level, &record); level++) {
        lua_getinfo(L, "Sl", &record);
        if (record.currentline > 0 && !call_is_library(&record)) {
            snprintf(out, size, "%s:%d: ", record.short_src, record.currentline);
            return true;
        }
    }
    return false;
}

void call_find_place(lua_State *L, char *out, size_t size)
{
    const struct task *task = vm_of(L)->current;
    out[0] = '\0';
    if (find_on_stack(L, out, size) || task == NULL)
        return;
    if (task_state(task) == L || !find_on_stack(task_state(task), out, size))
        snprintf(out, size, "%s", task_origin(task));
}

void call_push_place(lua_State *L)
{
    char place[LUA_IDSIZE + 16];
    call_find_place(L, place, sizeof place);
    lua_pushstring(L, place);
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

struct entry {
    struct budget_entry budget;
    lua_State *running;
    bool limited;
};

enum { LOADING_TIMES = 10 }; /* a script may read and compute while it is loaded */

static void enter(struct vm *vm, lua_State *L, struct entry *entry)
{
    entry->running = vm->running;
    entry->limited = vm->limited;
    if (vm->depth++ == 0)
        vm->turn++;
    vm->running = L;
    vm->limited = vm->options.memory > 0;
    budget_enter(vm->budget, L, vm->loading ? LOADING_TIMES : 1, &entry->budget);
}

static void leave(struct vm *vm, const struct entry *entry)
{
    vm->overran = budget_is_over(vm->budget);
    budget_leave(vm->budget, &entry->budget);
    vm->running = entry->running;
    vm->limited = entry->limited;
    if (--vm->depth == 0 && vm->options.debug_gc)
        lua_gc(vm->L, LUA_GCCOLLECT);
}

bool call_unlimit(struct vm *vm)
{
    bool limited = vm->limited;
    vm->limited = false;
    return limited;
}

void call_limit(struct vm *vm, bool limited)
{
    vm->limited = limited;
}

lua_State *call_switch(struct vm *vm, lua_State *L)
{
    lua_State *before = vm->running;
    vm->running = L;
    budget_switch(vm->budget, L);
    return before;
}

/* Errors */

static int l_tostring(lua_State *L)
{
    if (!luaL_callmeta(L, 1, "__tostring") || lua_type(L, -1) != LUA_TSTRING)
        return luaL_error(L, "no text");
    return 1;
}

/* Pushes the error's text: strings as they are, other values by __tostring, or by their type. To be
 * called without a limit of memory: there may be none left. */
static const char *push_text(lua_State *L, int index)
{
    struct vm *vm = vm_of(L);
    if (lua_isstring(L, index)) {
        lua_pushvalue(L, index);
        return lua_tostring(L, -1);
    }
    lua_pushcfunction(L, l_tostring);
    lua_pushvalue(L, index);
    vm->limited = vm->options.memory > 0;
    int status = lua_pcall(L, 1, 1, 0);
    vm->limited = false;
    if (status != LUA_OK) {
        lua_pop(L, 1);
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
    }
    return lua_tostring(L, -1);
}

/* The handler of protected calls. */
static int on_error(lua_State *L)
{
    struct vm *vm = vm_of(L);
    bool limited = call_unlimit(vm);
    luaL_traceback(L, L, push_text(L, 1), 1);
    call_limit(vm, limited);
    return 1;
}

enum call_outcome call_function(struct vm *vm, lua_State *L, int arguments, int results)
{
    struct entry entry;
    int base = lua_gettop(L) - arguments;
    lua_pushcfunction(L, on_error);
    lua_insert(L, base);
    enter(vm, L, &entry);
    int status = lua_pcall(L, arguments, results, base);
    leave(vm, &entry);
    lua_remove(L, base);
    return status == LUA_OK ? CALL_DONE : CALL_FAILED;
}

/* (error, coroutine as light userdata or nil, place) -> text, with the coroutine's traceback */
static int l_describe(lua_State *L)
{
    lua_State *coroutine = lua_touserdata(L, 2);
    call_unlimit(vm_of(L));
    lua_pushvalue(L, 3);
    push_text(L, 1);
    lua_concat(L, 2);
    if (coroutine != NULL)
        luaL_traceback(L, coroutine, lua_tostring(L, -1), 0);
    return 1;
}

/* The text of the error on top of `from`, in an entry of its own: it may take a __tostring of the
 * script's. Of malloc. */
static char *describe(struct vm *vm, lua_State *from, lua_State *coroutine, const char *place)
{
    lua_State *L = vm_state(vm);
    bool limited = call_unlimit(vm);
    lua_checkstack(L, 8);
    lua_checkstack(from, 1);
    lua_pushcfunction(L, l_describe);
    lua_pushvalue(from, -1);
    lua_xmove(from, L, 1);
    if (coroutine != NULL)
        lua_pushlightuserdata(L, coroutine);
    else
        lua_pushnil(L);
    lua_pushstring(L, place);
    call_function(vm, L, 3, 1);
    char *text = memory_copy(lua_tostring(L, -1), lua_rawlen(L, -1));
    lua_pop(L, 1);
    call_limit(vm, limited);
    return text;
}

/* The stack of a coroutine that failed is not unwound yet: its traceback shows where. */
static char *describe_failure(struct vm *vm, lua_State *coroutine, int status)
{
    char place[LUA_IDSIZE + 16] = "";
    if (status == LUA_ERRMEM)
        call_find_place(coroutine, place, sizeof place);
    return describe(vm, coroutine, coroutine, place);
}

enum call_outcome call_resume(struct vm *vm, lua_State *coroutine, int arguments, int *results,
                              char **error)
{
    struct entry entry;
    enter(vm, coroutine, &entry);
    lua_State *from = entry.running != NULL ? entry.running : vm->L;
    int status = lua_resume(coroutine, from, arguments, results);
    bool stopped = status == LUA_YIELD && budget_has_stopped(vm->budget, coroutine);
    bool failed = stopped || (status != LUA_OK && status != LUA_YIELD);
    call_unlimit(vm);
    if (stopped && lua_checkstack(coroutine, 2))
        budget_push_message(vm->budget, coroutine);
    leave(vm, &entry);
    if (failed)
        *error = describe_failure(vm, coroutine, status);
    return failed ? CALL_FAILED : status == LUA_YIELD ? CALL_YIELDED : CALL_DONE;
}

void call_close(struct vm *vm, lua_State *coroutine, const char *what)
{
    struct entry entry;
    bool had_failed = lua_status(coroutine) != LUA_OK && lua_status(coroutine) != LUA_YIELD;
    const void *old = had_failed ? lua_topointer(coroutine, -1) : NULL;
    enter(vm, coroutine, &entry);
    int status = lua_resetthread(coroutine);
    leave(vm, &entry);
    /* The result for a coroutine that had failed is its old error, which is reported already. */
    if (status != LUA_OK && !(had_failed && lua_topointer(coroutine, -1) == old)) {
        char *text = describe(vm, coroutine, NULL, "");
        vm_report(vm, what, text);
        free(text);
    }
    lua_settop(coroutine, 0);
}
