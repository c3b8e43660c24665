#include "script/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "script/audience.h"
#include "script/backlog.h"
#include "script/base_library.h"
#include "script/call.h"
#include "script/channel.h"
#include "script/child.h"
#include "script/durable.h"
#include "script/fetch.h"
#include "script/legacy.h"
#include "script/library.h"
#include "script/module.h"
#include "script/observer.h"
#include "script/stream.h"
#include "script/takeover.h"
#include "script/task.h"
#include "script/timer.h"
#include "script/watch.h"

struct vm *vm_of(lua_State *L)
{
    return *(struct vm **)lua_getextraspace(L);
}

lua_State *vm_state(const struct vm *vm)
{
    return vm->running != NULL ? vm->running : vm->L;
}

void vm_push_hook(lua_State *L, enum vm_hook hook)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm_of(L)->hooks[hook]);
}

void vm_report(struct vm *vm, const char *what, const char *message)
{
    lua_State *L = vm_state(vm);
    vm->errors++;
    log_line(LOG_ERROR, "%s: %s", what, message);
    /* An error handler that fails is logged, not handed to itself. */
    if (vm->loading || vm->closing || vm->hooks[HOOK_EMIT] == LUA_NOREF || !lua_checkstack(L, 8))
        return;
    bool limited = call_unlimit(vm);
    vm_push_hook(L, HOOK_EMIT);
    lua_pushliteral(L, "error");
    lua_pushfstring(L, "%s: %s", what, message);
    if (call_function(vm, L, 2, 0) == CALL_FAILED) {
        log_line(LOG_ERROR, "handler of sse.on \"error\": %s", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    call_limit(vm, limited);
}

void vm_emit(struct vm *vm, const char *name)
{
    if (vm->hooks[HOOK_EMIT] == LUA_NOREF)
        return;
    vm_push_hook(vm->L, HOOK_EMIT);
    lua_pushstring(vm->L, name);
    if (call_function(vm, vm->L, 1, 0) == CALL_FAILED) {
        vm_report(vm, name, lua_tostring(vm->L, -1));
        lua_pop(vm->L, 1);
    }
}

void vm_subscriber_closed(struct vm *vm, connection_id connection)
{
    if (!vm->watches_closing)
        return;
    vm_push_hook(vm->L, HOOK_EMIT);
    lua_pushliteral(vm->L, "closed");
    lua_pushinteger(vm->L, (lua_Integer)connection);
    if (call_function(vm, vm->L, 2, 0) == CALL_FAILED) {
        vm_report(vm, "unsubscribe", lua_tostring(vm->L, -1));
        lua_pop(vm->L, 1);
    }
}

void vm_describe(struct vm *vm)
{
    if (vm->hooks[HOOK_DESCRIBE] == LUA_NOREF) {
        printf("the script does not use the sse module\n");
        return;
    }
    vm_push_hook(vm->L, HOOK_DESCRIBE);
    if (call_function(vm, vm->L, 0, 1) == CALL_DONE)
        fputs(lua_tostring(vm->L, -1), stdout);
    lua_pop(vm->L, 1);
}

/* Memory */

static void *allocate(void *context, void *pointer, size_t old_size, size_t new_size)
{
    struct vm *vm = context;
    size_t before = pointer == NULL ? 0 : old_size;
    if (new_size == 0) {
        free(pointer);
        vm->memory -= before;
        return NULL;
    }
    bool grows = new_size > before;
    if (grows && vm->limited && vm->memory + new_size - before > vm->options.memory)
        return NULL;
    void *result = realloc(pointer, new_size);
    if (result != NULL)
        vm->memory += new_size - before;
    return result;
}

static int on_panic(lua_State *L)
{
    log_line(LOG_ERROR, "Lua error outside of a protected call: %s", lua_tostring(L, -1));
    return 0;
}

/* Life */

static int open_state(lua_State *L)
{
    luaL_openlibs(L);
    base_library_open(L);
    library_open(L);
    module_open(L);
    return 0;
}

int vm_open(struct vm *vm, uv_loop_t *loop, struct hub *hub, struct pipeline *pipeline,
            struct budget *budget, const struct vm_host *host, const struct vm_options *options)
{
    *vm = (struct vm){.loop = loop,
                      .hub = hub,
                      .pipeline = pipeline,
                      .budget = budget,
                      .host = *host,
                      .options = *options};
    if (pipeline->vm == NULL)
        pipeline->vm = vm;
    list_init(&vm->declared);
    list_init(&vm->tasks);
    list_init(&vm->idle_tasks);
    list_init(&vm->timers);
    list_init(&vm->children);
    list_init(&vm->watches);
    list_init(&vm->audiences);
    list_init(&vm->observers);
    list_init(&vm->fetches);
    list_init(&vm->legacies);
    pattern_tree_init(&vm->observer_tree);
    list_init(&vm->addresses);
    for (int i = 0; i < HOOK_COUNT; i++)
        vm->hooks[i] = LUA_NOREF;
    vm->L = lua_newstate(allocate, vm);
    if (vm->L == NULL)
        return -ENOMEM;
    lua_atpanic(vm->L, on_panic);
    *(struct vm **)lua_getextraspace(vm->L) = vm;
    lua_gc(vm->L, LUA_GCGEN, 0, 0);
    vm->loading = true;
    lua_pushcfunction(vm->L, open_state);
    if (call_function(vm, vm->L, 0, 0) == CALL_FAILED) {
        vm_report(vm, "opening Lua", lua_tostring(vm->L, -1));
        return -EINVAL;
    }
    vm->loading = false;
    return 0;
}

static void free_addresses(struct vm *vm)
{
    while (!list_is_empty(&vm->addresses)) {
        struct vm_address *address = CONTAINER_OF(vm->addresses.next, struct vm_address, link);
        list_remove(&address->link);
        free(address->text);
        free(address->where);
        free(address);
    }
}

void vm_close(struct vm *vm)
{
    task_end_all(vm);
    timer_stop_all(vm);
    legacy_stop_all(vm);
    fetch_stop_all(vm);
    child_stop_all(vm);
    watch_stop_all(vm);
    audience_stop_all(vm);
    stream_forget_all(vm);
    observer_stop_all(vm);
    backlog_forget_all(vm);
    free_addresses(vm);
    takeover_forget_channels(vm);
    vm->closing = true;
    if (vm->L != NULL)
        lua_close(vm->L);
    vm->L = NULL;
    map_deinit(&vm->streams);
    pattern_tree_deinit(&vm->observer_tree);
    free(vm->folder);
}

/* Running */

static int load(lua_State *L, const char *name, const char *code, size_t length)
{
    if (code != NULL) {
        const char *chunk = strcmp(name, "-") == 0 ? "=stdin" : "=(command line)";
        return luaL_loadbufferx(L, code, length, chunk, "t");
    }
    return luaL_loadfilex(L, name, "t");
}

/* The script may require modules beside it. */
static void set_folder(struct vm *vm, const char *name, bool is_file)
{
    const char *slash = is_file ? strrchr(name, '/') : NULL;
    size_t length = slash == NULL ? 0 : (size_t)(slash - name) + 1;
    vm->folder = slash == NULL ? memory_copy("./", 2) : memory_copy(name, length);
    lua_State *L = vm->L;
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    lua_pushfstring(L, "%s?.lua;%s?/init.lua;%s", vm->folder, vm->folder, lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    lua_pop(L, 2);
}

/* Modules that `require` found as files, besides the script itself. */
static int l_files(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, 1, "loaded");
    lua_getfield(L, 1, "path");
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, 2) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            continue;
        lua_getfield(L, 1, "searchpath");
        lua_pushvalue(L, -2);
        lua_pushvalue(L, 3);
        lua_call(L, 2, 1);
        if (lua_isnil(L, -1))
            lua_pop(L, 1);
        else
            lua_rawseti(L, 4, (lua_Integer)lua_rawlen(L, 4) + 1);
    }
    return 1;
}

void vm_files(struct vm *vm, void (*each)(void *context, const char *path), void *context)
{
    lua_State *L = vm->L;
    lua_pushcfunction(L, l_files);
    bool ok = call_function(vm, L, 0, 1) == CALL_DONE;
    lua_Integer count = ok ? (lua_Integer)lua_rawlen(L, -1) : 0;
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        each(context, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

bool vm_run(struct vm *vm, const char *name, const char *code, size_t length)
{
    lua_State *L = vm->L;
    set_folder(vm, name, code == NULL);
    bool ok = load(L, name, code, length) == LUA_OK;
    vm->loading = true;
    if (ok)
        ok = call_function(vm, L, 0, 0) == CALL_DONE;
    vm->loading = false;
    if (!ok) {
        log_line(LOG_ERROR, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
    } else if (vm->previous == NULL) {
        channel_restore_all(vm);
    }
    return ok;
}

void vm_forget(struct vm *vm, const struct group *group)
{
    if (vm->L != NULL)
        luaL_unref(vm->L, LUA_REGISTRYINDEX, group->reference);
}
