#include "script/child.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "script/bell.h"
#include "script/command.h"
#include "script/module.h"
#include "script/process.h"
#include "script/task.h"

enum { CLAIM_TIME = 100 }; /* milliseconds that a script that took over has to claim a child */

struct reader {
    struct child *child;
    struct task *task;  /* that waits, or NULL */
    struct buffer rest; /* what the script has given back */
};

/* Owned by its userdata, or by vm.children between two scripts; the memory goes when the process
 * has closed. */
struct child {
    struct list link; /* in vm.children */
    struct child **box;
    char *key;
    struct bell *bell; /* rung at the end; NULL between two scripts */
    struct reader readers[PROCESS_OUTPUTS];
    size_t length; /* of what was read last */
    uv_timer_t claim;
    struct process process;
};

static const char metatable[] = "sse.child";

/* What the process tells */

static void on_read(void *context, enum process_output output, size_t length)
{
    struct child *child = context;
    struct task *task = child->readers[output].task;
    child->readers[output].task = NULL;
    child->length = length;
    task_resume(task, 0);
}

static void on_exited(void *context)
{
    struct child *child = context;
    if (child->bell != NULL)
        bell_ring(child->bell);
}

static void on_claim_closed(uv_handle_t *handle)
{
    struct child *child = CONTAINER_OF(handle, struct child, claim);
    for (int i = 0; i < PROCESS_OUTPUTS; i++)
        buffer_deinit(&child->readers[i].rest);
    free(child->key);
    free(child);
}

static void on_closed(void *context)
{
    uv_close((uv_handle_t *)&((struct child *)context)->claim, on_claim_closed);
}

static const struct process_listener listener = {on_read, on_exited, on_closed};

/* Life */

/* Nothing in the script knows of the child any more. */
static void forget_box(struct child *child)
{
    if (child->box != NULL)
        *child->box = NULL;
    if (child->bell != NULL)
        bell_unref(child->bell);
    child->box = NULL;
    child->bell = NULL;
}

static void detach(struct child *child)
{
    forget_box(child);
    list_remove(&child->link);
}

static void release(struct child *child)
{
    detach(child);
    uv_timer_stop(&child->claim);
    process_close(&child->process);
}

void child_stop_all(struct vm *vm)
{
    while (!list_is_empty(&vm->children))
        release(CONTAINER_OF(vm->children.next, struct child, link));
}

static void on_unclaimed(uv_timer_t *timer)
{
    release(CONTAINER_OF(timer, struct child, claim));
}

void child_hand_over(struct vm *from, struct vm *to)
{
    while (!list_is_empty(&from->children)) {
        struct child *child = CONTAINER_OF(from->children.next, struct child, link);
        detach(child);
        list_append(&to->children, &child->link);
        uv_timer_start(&child->claim, on_unclaimed, CLAIM_TIME, 0);
    }
}

static struct child **push_box(lua_State *L)
{
    struct child **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, metatable);
    return box;
}

static void attach(struct child *child, struct child **box, struct bell *bell)
{
    child->box = box;
    child->bell = bell_ref(bell);
    *box = child;
}

static int fail(lua_State *L, int error)
{
    char code[32];
    lua_pushnil(L);
    lua_pushstring(L, uv_strerror(error));
    lua_pushstring(L, uv_err_name_r(error, code, sizeof code));
    return 3;
}

static struct child *new_child(struct vm *vm, struct slice key)
{
    struct child *child = memory_zero(1, sizeof *child);
    child->key = memory_copy(key.data, key.length);
    for (int i = 0; i < PROCESS_OUTPUTS; i++)
        child->readers[i].child = child;
    uv_timer_init(vm->loop, &child->claim);
    list_append(&vm->children, &child->link);
    return child;
}

static struct slice text_field(lua_State *L, const char *name)
{
    struct slice text;
    lua_getfield(L, 1, name);
    text.data = lua_tolstring(L, -1, &text.length);
    return text;
}

/* core.child { key =, argv =, env =, cwd =, stdin =, grace =, bell = } -> child, or nil, message,
 * code */
static int l_child(lua_State *L)
{
    struct process_spec spec = {0};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "argv");
    spec.words = command_push_words(L, 2);
    lua_getfield(L, 1, "env");
    spec.environment = command_push_environment(L, lua_gettop(L));
    spec.folder = text_field(L, "cwd").data;
    spec.input = text_field(L, "stdin");
    struct slice key = text_field(L, "key");
    lua_getfield(L, 1, "grace");
    spec.grace = (uint64_t)(luaL_checknumber(L, -1) * 1000);
    lua_getfield(L, 1, "bell");
    struct bell *bell = bell_check(L, -1);
    struct child **box = push_box(L);
    struct child *child = new_child(vm_of(L), key);
    attach(child, box, bell);
    int error = process_start(&child->process, vm_of(L)->loop, &spec, &listener, child);
    if (error == 0)
        return 1;
    release(child);
    return fail(L, error);
}

/* core.claim_child(key, bell) -> a child of the script before, or nil */
static int l_claim(lua_State *L)
{
    const char *key = luaL_checkstring(L, 1);
    struct bell *bell = bell_check(L, 2);
    struct list *children = &vm_of(L)->children;
    struct child **box = push_box(L);
    for (struct list *node = children->next; node != children; node = node->next) {
        struct child *child = CONTAINER_OF(node, struct child, link);
        bool ends = child->process.deadline > 0 && child->process.running;
        if (child->box != NULL || ends || strcmp(child->key, key) != 0)
            continue;
        uv_timer_stop(&child->claim);
        attach(child, box, bell);
        return 1;
    }
    return 0;
}

/* Methods */

static struct child *check(lua_State *L)
{
    struct child *child = *(struct child **)luaL_checkudata(L, 1, metatable);
    if (child == NULL)
        luaL_error(L, "the child was closed");
    return child;
}

static enum process_output check_output(lua_State *L)
{
    static const char *const names[] = {"stdout", "stderr", NULL};
    return (enum process_output)luaL_checkoption(L, 2, NULL, names);
}

/* The block holds what was read until the loop goes on. */
static int after_read(lua_State *L, int status, lua_KContext context)
{
    const struct child *child = *(struct child **)luaL_checkudata(L, 1, metatable);
    (void)status;
    (void)context;
    if (child == NULL || child->length == 0)
        return 0;
    lua_pushlstring(L, child->process.block, child->length);
    return 1;
}

static void cancel_read(void *context)
{
    struct reader *reader = context;
    struct child *child = reader->child;
    reader->task = NULL;
    process_cancel_read(&child->process, (enum process_output)(reader - child->readers));
}

/* child:read("stdout" or "stderr") -> bytes, or nothing at the end. Waits. */
static int l_read(lua_State *L)
{
    struct child *child = check(L);
    enum process_output output = check_output(L);
    struct reader *reader = &child->readers[output];
    if (reader->task != NULL)
        return luaL_error(L, "another task reads this output");
    if (reader->rest.length > 0) {
        lua_pushlstring(L, reader->rest.data, reader->rest.length);
        buffer_deinit(&reader->rest);
        return 1;
    }
    if (process_is_over(&child->process, output))
        return 0;
    struct task *task = task_require(L, "a source");
    reader->task = task;
    process_read(&child->process, output);
    task_will_wait(task, cancel_read, reader);
    return lua_yieldk(L, 0, 0, after_read);
}

/* child:unread("stdout" or "stderr", bytes): gives back, for the next read, what was read and not
 * used. */
static int l_unread(lua_State *L)
{
    struct child *child = *(struct child **)luaL_checkudata(L, 1, metatable);
    enum process_output output = check_output(L);
    size_t length;
    const char *bytes = luaL_checklstring(L, 3, &length);
    if (child != NULL)
        buffer_append(&child->readers[output].rest, bytes, length);
    return 0;
}

/* child:pid() */
static int l_pid(lua_State *L)
{
    lua_pushinteger(L, check(L)->process.handle.pid);
    return 1;
}

/* child:status() -> exit status and signal's number (0 for none), or nil while it runs */
static int l_status(lua_State *L)
{
    const struct process *process = &check(L)->process;
    if (process->running)
        return 0;
    lua_pushinteger(L, process->status);
    lua_pushinteger(L, process->signal);
    return 2;
}

/* child:stop(): SIGTERM, and SIGKILL after the grace. What it still writes can be read. */
static int l_stop(lua_State *L)
{
    process_stop(&check(L)->process);
    return 0;
}

/* child:close(): stops it and reads no more. No task may be reading. */
static int l_close(lua_State *L)
{
    struct child *child = *(struct child **)luaL_checkudata(L, 1, metatable);
    if (child != NULL)
        release(child);
    return 0;
}

/* Closes it, unless another script takes over: what the tasks held may be collected when they have
 * ended, before child_hand_over. What is not handed over ends with the vm. */
static int l_gc(lua_State *L)
{
    struct child *child = *(struct child **)luaL_checkudata(L, 1, metatable);
    if (child != NULL && vm_of(L)->retired)
        forget_box(child);
    else if (child != NULL)
        release(child);
    return 0;
}

void child_open_module(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"child", l_child}, {"claim_child", l_claim}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"read", l_read}, {"unread", l_unread}, {"pid", l_pid}, {"status", l_status},
        {"stop", l_stop}, {"close", l_close},   {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    module_define_type(L, metatable, methods, l_gc);
}
