#include "script/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "script/bell.h"
#include "script/module.h"

/* A file or directory that is watched. Owned by its userdata. */
struct watch {
    uv_fs_event_t handle;
    struct list link; /* in vm.watches */
    struct watch **box;
    struct bell *bell;
    char *name; /* in the directory, when no other matters; or NULL */
    bool dirty;
};

static const char metatable[] = "sse.watch";

static void on_closed(uv_handle_t *handle)
{
    struct watch *watch = CONTAINER_OF(handle, struct watch, handle);
    bell_unref(watch->bell);
    free(watch->name);
    free(watch);
}

static void stop(struct watch *watch)
{
    *watch->box = NULL;
    list_remove(&watch->link);
    uv_close((uv_handle_t *)&watch->handle, on_closed);
}

void watch_stop_all(struct vm *vm)
{
    while (!list_is_empty(&vm->watches))
        stop(CONTAINER_OF(vm->watches.next, struct watch, link));
}

/* Says only that something has changed: events come late, together, and with names that may be gone
 * by now, so who is told looks for itself. */
static void on_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct watch *watch = CONTAINER_OF(handle, struct watch, handle);
    (void)events;
    if (status == 0 && watch->name != NULL && name != NULL && strcmp(name, watch->name) != 0)
        return;
    watch->dirty = true;
    bell_ring(watch->bell);
}

static struct watch *new_watch(struct vm *vm, struct watch **box, struct bell *bell,
                               const char *name)
{
    struct watch *watch = memory_zero(1, sizeof *watch);
    watch->box = box;
    watch->bell = bell_ref(bell);
    if (name != NULL)
        watch->name = memory_copy(name, strlen(name));
    uv_fs_event_init(vm->loop, &watch->handle);
    list_append(&vm->watches, &watch->link);
    *box = watch;
    return watch;
}

/* core.watch(path, bell, name) -> watch, or nil, message, code. The bell rings when the file at the
 * path, or an entry of the directory there (only the one of that name, if it is given), changes. */
static int l_watch(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct bell *bell = bell_check(L, 2);
    const char *name = luaL_optstring(L, 3, NULL);
    struct watch **box = lua_newuserdatauv(L, sizeof(struct watch *), 0);
    *box = NULL;
    luaL_setmetatable(L, metatable);
    struct watch *watch = new_watch(vm_of(L), box, bell, name);
    int error = uv_fs_event_start(&watch->handle, on_event, path, 0);
    if (error == 0)
        return 1;
    char code[32];
    stop(watch);
    lua_pushnil(L);
    lua_pushstring(L, uv_strerror(error));
    lua_pushstring(L, uv_err_name_r(error, code, sizeof code));
    return 3;
}

/* watch:take() -> whether anything has changed since the last call */
static int l_take(lua_State *L)
{
    struct watch *watch = *(struct watch **)luaL_checkudata(L, 1, metatable);
    lua_pushboolean(L, watch != NULL && watch->dirty);
    if (watch != NULL)
        watch->dirty = false;
    return 1;
}

/* watch:close(), also when it is collected */
static int l_close(lua_State *L)
{
    struct watch *watch = *(struct watch **)luaL_checkudata(L, 1, metatable);
    if (watch != NULL)
        stop(watch);
    return 0;
}

void watch_open_module(lua_State *L)
{
    static const luaL_Reg methods[] = {{"take", l_take}, {"close", l_close}, {NULL, NULL}};
    lua_pushcfunction(L, l_watch);
    lua_setfield(L, -2, "watch");
    module_define_type(L, metatable, methods, l_close);
}
