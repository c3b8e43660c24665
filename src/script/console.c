#include "script/console.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log_line.h"
#include "script/call.h"
#include "script/task.h"

/* Control characters are escaped: texts from outside may be in it. */
static void print_error(const char *text)
{
    struct buffer out = {0};
    log_line_append_escaped(&out, text);
    buffer_append_byte(&out, '\n');
    ssize_t ignored = write(STDERR_FILENO, out.data, out.length);
    (void)ignored;
    buffer_deinit(&out);
}

/* (name of a function of scripts/repl.lua, ...) -> its results */
static int l_enter(lua_State *L)
{
    int arguments = lua_gettop(L) - 1;
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "sse.repl") == LUA_TNIL) {
        lua_getglobal(L, "require");
        lua_pushliteral(L, "sse.repl");
        lua_call(L, 1, 1);
    }
    lua_pushvalue(L, 1);
    lua_gettable(L, -2);
    lua_replace(L, 1);
    lua_settop(L, arguments + 1);
    lua_call(L, arguments, LUA_MULTRET);
    return lua_gettop(L);
}

static enum call_outcome enter(struct vm *vm, const char *function, struct slice text, bool last,
                               int results)
{
    lua_pushcfunction(vm->L, l_enter);
    lua_pushstring(vm->L, function);
    lua_pushlstring(vm->L, text.data == NULL ? "" : text.data, text.length);
    lua_pushboolean(vm->L, last);
    return call_function(vm, vm->L, 3, results);
}

static void end(struct console *console, enum console_outcome outcome)
{
    fflush(stdout);
    console->task = NULL;
    console->on_end(console->context, outcome);
}

static void on_task_end(void *context, const char *error)
{
    fflush(stdout);
    if (error != NULL)
        print_error(error[0] == '\0' ? "interrupted" : error);
    end(context, CONSOLE_DONE);
}

/* What prepare says of a text that is not to run. */
static enum console_outcome verdict(const char *word, const char *message)
{
    if (strcmp(word, "more") == 0)
        return CONSOLE_MORE;
    if (strcmp(word, "quit") == 0)
        return CONSOLE_QUIT;
    print_error(message);
    return CONSOLE_DONE;
}

void console_run(struct console *console, struct vm *vm, struct slice text, bool last)
{
    lua_State *L = vm->L;
    enum console_outcome outcome = CONSOLE_DONE;
    if (enter(vm, "prepare", text, last, 2) == CALL_FAILED) {
        print_error(lua_tostring(L, -1));
        lua_pop(L, 1);
    } else if (lua_type(L, -2) == LUA_TFUNCTION) {
        lua_pop(L, 1);
        console->task = task_start(vm, L, 0, "prompt", on_task_end, console);
        return;
    } else {
        outcome = verdict(lua_tostring(L, -2), lua_tostring(L, -1));
        lua_pop(L, 2);
    }
    end(console, outcome);
}

bool console_interrupt(struct console *console)
{
    if (console->task == NULL)
        return false;
    task_end(console->task);
    return true;
}

static void append_result(struct buffer *out, lua_State *L, int index)
{
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    if (text != NULL)
        buffer_append(out, text, length);
}

void console_complete(struct vm *vm, struct slice text, struct buffer *insert,
                      struct buffer *listing)
{
    if (enter(vm, "complete", text, false, 2) == CALL_FAILED) {
        lua_pop(vm->L, 1);
        return;
    }
    append_result(insert, vm->L, -2);
    append_result(listing, vm->L, -1);
    lua_pop(vm->L, 2);
}
