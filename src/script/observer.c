#include "script/observer.h"

#include <stdlib.h>

#include "base/memory.h"
#include "script/call.h"
#include "script/judge.h"
#include "script/module.h"

enum { MAX_DEPTH = 16 }; /* of pipes that feed pipes */

struct observer {
    struct list link; /* in vm.observers */
    struct vm *vm;
    struct observer **box; /* the script's userdata, or NULL */
    struct slice pattern;  /* owned */
    int function;
};

static void stop(struct observer *observer)
{
    struct vm *vm = observer->vm;
    if (observer->box != NULL)
        *observer->box = NULL;
    pattern_tree_remove(&vm->observer_tree, observer->pattern, observer);
    luaL_unref(vm->L, LUA_REGISTRYINDEX, observer->function);
    list_remove(&observer->link);
    vm->hub->observer_generation++;
    free((char *)observer->pattern.data);
    free(observer);
}

void observer_stop_all(struct vm *vm)
{
    while (!list_is_empty(&vm->observers))
        stop(CONTAINER_OF(vm->observers.next, struct observer, link));
}

/* What a channel has in `observers`: functions in the registry. */
static void collect(void *context, void *value)
{
    struct channel *channel = context;
    channel->observers =
        memory_grow(channel->observers, (channel->observer_count + 1) * sizeof(int));
    channel->observers[channel->observer_count++] = ((struct observer *)value)->function;
}

static void refresh(struct vm *vm, struct channel *channel)
{
    if (channel->observer_generation == vm->hub->observer_generation)
        return;
    channel->observer_count = 0;
    channel->observer_generation = vm->hub->observer_generation;
    pattern_tree_match(&vm->observer_tree, channel->name, collect, channel);
}

static const char metatable[] = "sse.observer";

/* (function, frame, channel): each observer gets an event of its own. */
static int l_notify(lua_State *L)
{
    const struct frame *frame = lua_touserdata(L, 2);
    const struct channel *channel = lua_touserdata(L, 3);
    lua_settop(L, 1);
    judge_push_event(L, frame, channel->name);
    lua_call(L, 1, 0);
    return 0;
}

void observer_notify(lua_State *L, struct channel *channel, const struct frame *frame)
{
    struct vm *vm = vm_of(L);
    refresh(vm, channel);
    if (channel->observer_count == 0 || !lua_checkstack(L, 8))
        return;
    if (vm->observer_depth == MAX_DEPTH) {
        vm_report(vm, "pipe", "pipes feed each other in a circle: the event goes no further");
        return;
    }
    vm->observer_depth++;
    channel->pending++;
    /* An observer may add or stop observers; then the rest are those of a newer generation. */
    uint32_t generation = channel->observer_generation;
    for (uint32_t i = 0; i < channel->observer_count; i++) {
        if (generation != vm->hub->observer_generation)
            break;
        lua_pushcfunction(L, l_notify);
        lua_rawgeti(L, LUA_REGISTRYINDEX, channel->observers[i]);
        lua_pushlightuserdata(L, (void *)frame);
        lua_pushlightuserdata(L, channel);
        if (call_function(vm, L, 3, 0) == CALL_FAILED) {
            vm_report(vm, "pipe", lua_tostring(L, -1));
            lua_pop(L, 1);
        }
    }
    channel->pending--;
    vm->observer_depth--;
}

/* core.observe(pattern, function) -> observer */
static int l_observe(lua_State *L)
{
    struct vm *vm = vm_of(L);
    size_t length;
    const char *pattern = luaL_checklstring(L, 1, &length);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct observer **box = lua_newuserdatauv(L, sizeof(struct observer *), 0);
    *box = NULL;
    luaL_setmetatable(L, metatable);
    struct observer *observer = memory_zero(1, sizeof *observer);
    observer->vm = vm;
    observer->pattern = slice_of(memory_copy(pattern, length), length);
    lua_pushvalue(L, 2);
    observer->function = luaL_ref(L, LUA_REGISTRYINDEX);
    observer->box = box;
    *box = observer;
    list_append(&vm->observers, &observer->link);
    pattern_tree_add(&vm->observer_tree, observer->pattern, observer);
    vm->hub->observer_generation++;
    return 1;
}

/* observer:stop() */
static int l_observer_stop(lua_State *L)
{
    struct observer **box = luaL_checkudata(L, 1, metatable);
    if (*box != NULL)
        stop(*box);
    return 0;
}

/* The observer goes on without its userdata. */
static int l_observer_gc(lua_State *L)
{
    struct observer **box = luaL_checkudata(L, 1, metatable);
    if (*box != NULL)
        (*box)->box = NULL;
    return 0;
}

/* core.pattern_matches(pattern, name) */
static int l_pattern_matches(lua_State *L)
{
    struct slice pattern, name;
    pattern.data = luaL_checklstring(L, 1, &pattern.length);
    name.data = luaL_checklstring(L, 2, &name.length);
    lua_pushboolean(L, pattern_matches(pattern, name));
    return 1;
}

void observer_open_module(lua_State *L)
{
    static const luaL_Reg methods[] = {{"stop", l_observer_stop}, {NULL, NULL}};
    lua_pushcfunction(L, l_observe);
    lua_setfield(L, -2, "observe");
    lua_pushcfunction(L, l_pattern_matches);
    lua_setfield(L, -2, "pattern_matches");
    module_define_type(L, metatable, methods, l_observer_gc);
}
