#ifndef SSE_SCRIPT_TASK_H
#define SSE_SCRIPT_TASK_H

#include "script/vm.h"

/* A coroutine that the router runs: handlers, streams, timers, sse.spawn. It may wait. */

struct task;

/* The task is over. `error` is NULL when it returned, else the text with traceback; "" when it was
 * ended from outside. */
typedef void (*task_end_fn)(void *context, const char *error);
/* The task is ended while it waits: whatever would resume it must not. */
typedef void (*task_cancel_fn)(void *context);

/* Starts a task with the function and arguments on top of L's stack, which it takes. `on_end` may
 * be NULL: errors are then reported as of `what` (static text). May call on_end before it returns.
 * Returns NULL when the task is over already. */
struct task *task_start(struct vm *vm, lua_State *L, int arguments, const char *what,
                        task_end_fn on_end, void *context);

/* Whether the task outlives a reload of the script, as those do that answer requests. The task may
 * be NULL. */
void task_outlives_reload(struct task *task, bool outlives);

enum { TASK_PLACE = LUA_IDSIZE + 16 };

/* Where the function at the index is defined: "file:line: ", or "" for one of the library. */
void task_describe(lua_State *L, int function, char *out, size_t size);
/* Notes the place of a function as what the running task is about: it stands for a line that is no
 * longer on the stack. A task is about its own function until then. The text is copied. */
void task_set_origin(lua_State *L, struct slice place);
/* That place. */
const char *task_origin(const struct task *task);
lua_State *task_state(const struct task *task);

/* The task that L is the coroutine of, or NULL: then nothing can wait here. */
struct task *task_of(lua_State *L);
/* The same, but raises an error that names `what` when nothing can wait here. */
struct task *task_require(lua_State *L, const char *what);

/* To be returned from a C function that Lua called: the task waits until task_resume. */
int task_wait(lua_State *L, struct task *task, task_cancel_fn cancel, void *context);
/* The same for a C function that yields with a continuation of its own. */
void task_will_wait(struct task *task, task_cancel_fn cancel, void *context);
/* Goes on with `arguments` values on top of vm->L's stack as results of the wait. */
void task_resume(struct task *task, int arguments);
/* Ends a waiting task: its to-be-closed variables run, then on_end with "". */
void task_end(struct task *task);

/* Ends every task but those that outlive a reload. */
void task_end_background(struct vm *vm);
/* Ends every task, and frees those kept for reuse. */
void task_end_all(struct vm *vm);

#endif
