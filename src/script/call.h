#ifndef SSE_SCRIPT_CALL_H
#define SSE_SCRIPT_CALL_H

#include "script/vm.h"

/* The one door into Lua: every entry is protected, has a traceback, a time budget, a memory limit
 * and an outcome. */

enum call_outcome {
    CALL_DONE,
    CALL_YIELDED,
    CALL_FAILED, /* the error's text with its traceback is on the stack */
};

/* Calls the function below its arguments, as lua_call does. On CALL_FAILED the text stands in the
 * place of the results. */
enum call_outcome call_function(struct vm *vm, lua_State *L, int arguments, int results);

/* Starts or goes on with a coroutine whose (function and) arguments are on its stack. On CALL_DONE
 * and CALL_YIELDED *results values are on its stack. On CALL_FAILED *error is the text with its
 * traceback, the caller's to free, and the coroutine may only be closed: hooks may no longer work
 * in it. */
enum call_outcome call_resume(struct vm *vm, lua_State *coroutine, int arguments, int *results,
                              char **error);

/* Closes a coroutine: its to-be-closed variables run. Errors in them are reported as of `what`. */
void call_close(struct vm *vm, lua_State *coroutine, const char *what);

/* For C code within an entry that an error of Lua's must not cut short: memory has no limit until
 * call_limit, which is given the result. */
bool call_unlimit(struct vm *vm);
void call_limit(struct vm *vm, bool limited);

/* Notes that another coroutine runs inside the entry. Returns the one before. */
lua_State *call_switch(struct vm *vm, lua_State *L);

/* Raises an error, with the place in the user's own script before the text. Does not return. */
int call_raise(lua_State *L, const char *format, ...);
/* True for a function of the library's Lua half. */
bool call_is_library(const lua_Debug *record);
/* "file:line: " of the user's own code that led here, or "": written, or pushed. */
void call_find_place(lua_State *L, char *out, size_t size);
void call_push_place(lua_State *L);

#endif
