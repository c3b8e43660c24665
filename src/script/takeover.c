#include "script/takeover.h"

#include <stdlib.h>
#include <string.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "script/backlog.h"
#include "script/call.h"
#include "script/child.h"
#include "script/durable.h"
#include "script/event.h"
#include "script/fetch.h"
#include "script/legacy.h"
#include "script/observer.h"
#include "script/stream.h"
#include "script/task.h"
#include "script/timer.h"
#include "script/watch.h"

/* Channels */

static void apply(struct vm *vm, const struct vm_channel *declared)
{
    struct channel *channel = declared->channel;
    channel->declared = true;
    free(channel->reset_name);
    channel->reset_name = declared->reset_name == NULL
                              ? NULL
                              : memory_copy(declared->reset_name, strlen(declared->reset_name));
    hub_configure(vm->hub, channel, &declared->options, event_now());
    durable_attach(vm, channel);
}

static struct vm_channel *find(const struct vm *vm, const struct channel *channel)
{
    for (struct list *node = vm->declared.next; node != &vm->declared; node = node->next) {
        struct vm_channel *declared = CONTAINER_OF(node, struct vm_channel, link);
        if (declared->channel == channel)
            return declared;
    }
    return NULL;
}

static void forget(struct vm_channel *declared)
{
    list_remove(&declared->link);
    free(declared->reset_name);
    free(declared);
}

void takeover_declare(struct vm *vm, struct channel *channel, const struct channel_options *options,
                      char *reset_name)
{
    struct vm_channel *declared = channel->declared ? find(vm, channel) : NULL;
    if (declared == NULL) {
        declared = memory_zero(1, sizeof *declared);
        declared->channel = channel;
        list_append(&vm->declared, &declared->link);
        /* It must not go before the script has taken over, or has failed to. */
        channel->pending++;
    }
    free(declared->reset_name);
    declared->reset_name = reset_name;
    declared->options = *options;
    if (vm->previous == NULL)
        apply(vm, declared);
}

static void let_go(struct vm *vm, struct vm_channel *declared)
{
    struct channel *channel = declared->channel;
    forget(declared);
    channel->pending--;
    hub_release(vm->hub, channel);
}

void takeover_undeclare(struct vm *vm, struct channel *channel)
{
    struct vm_channel *declared = find(vm, channel);
    if (declared == NULL)
        return;
    forget(declared);
    channel->pending--;
}

void takeover_forget_channels(struct vm *vm)
{
    while (!list_is_empty(&vm->declared))
        let_go(vm, CONTAINER_OF(vm->declared.next, struct vm_channel, link));
}

/* First the new script's, so that a channel of both never counts as declared by none. */
static void switch_channels(struct vm *vm)
{
    struct list *old = &vm->previous->declared;
    for (struct list *node = old->next; node != old; node = node->next)
        CONTAINER_OF(node, struct vm_channel, link)->channel->declared = false;
    for (struct list *node = vm->declared.next; node != &vm->declared; node = node->next)
        apply(vm, CONTAINER_OF(node, struct vm_channel, link));
    takeover_forget_channels(vm->previous);
}

/* Subscriptions */

static bool keeps_route(struct vm *vm, uint32_t route)
{
    lua_State *L = vm->L;
    if (vm->hooks[HOOK_KEEPS] == LUA_NOREF)
        return false;
    vm_push_hook(L, HOOK_KEEPS);
    lua_pushinteger(L, route);
    bool keeps = call_function(vm, L, 1, 1) == CALL_DONE && lua_toboolean(L, -1);
    lua_pop(L, 1);
    return keeps;
}

static int l_nothing(lua_State *L)
{
    (void)L;
    return 0;
}

bool takeover_ref_filter(struct vm *vm, struct slice key, int *out)
{
    lua_State *L = vm_state(vm);
    bool found = false;
    lua_pushcfunction(L, l_nothing);
    if (vm->hooks[HOOK_REFILTER] != LUA_NOREF) {
        vm_push_hook(L, HOOK_REFILTER);
        lua_pushlstring(L, key.data, key.length);
        found = call_function(vm, L, 1, 1) == CALL_DONE && lua_isfunction(L, -1);
        if (found)
            lua_replace(L, -2);
        else
            lua_pop(L, 1);
    }
    *out = luaL_ref(L, LUA_REGISTRYINDEX);
    return found;
}

/* The group goes on with the new script's filter of its name. False when there is none. */
static bool switch_group(struct vm *vm, struct group *group)
{
    luaL_unref(vm->previous->L, LUA_REGISTRYINDEX, group->reference);
    bool found = takeover_ref_filter(vm, group->key, &group->reference);
    group->kind = GROUP_UNKNOWN;
    return found;
}

static void switch_subscriptions(struct vm *vm)
{
    struct hub *hub = vm->hub;
    size_t position = 0;
    void *group;
    uint32_t asked = 0; /* the route that was asked for last: many have the same one in a row */
    bool kept = keeps_route(vm, asked);
    while (map_next(&hub->groups_by_key, &position, &group)) {
        if (!switch_group(vm, group))
            ((struct group *)group)->kind = GROUP_GONE;
    }
    for (uint32_t i = 0; i < hub->subscription_capacity; i++) {
        struct subscription *subscription = hub->subscriptions[i];
        if (subscription == NULL)
            continue;
        bool has_filter = subscription->group == NULL || subscription->group->kind != GROUP_GONE;
        if (subscription->route != asked)
            kept = keeps_route(vm, asked = subscription->route);
        if (!has_filter || !kept)
            hub_end_subscription(hub, subscription);
    }
}

/* Streams that read from the store are in no audience yet. */
static void switch_backlogs(struct vm *vm)
{
    vm->backlogs = vm->previous->backlogs;
    vm->previous->backlogs = (struct map){0};
    backlog_leave(vm);
}

void vm_take_over(struct vm *vm)
{
    struct vm *old = vm->previous;
    old->retired = true;
    switch_channels(vm);
    switch_subscriptions(vm);
    switch_backlogs(vm);
    vm->pipeline->vm = vm;
    vm->hub->observer_generation++;
    timer_stop_all(old);
    observer_stop_all(old);
    stream_leave_all(old);
    fetch_share_client(old, vm);
    legacy_hand_over(old, vm);
    task_end_background(old);
    legacy_settle(old);
    child_hand_over(old, vm);
    watch_stop_all(old);
    vm->previous = NULL;
}

bool vm_is_done(const struct vm *vm)
{
    return list_is_empty(&vm->tasks);
}

/* State */

/* Copies the value at the index of `from` to the top of `to`; `mark` is the index of a function
 * there that marks lists. False for what is no plain data. */
static bool copy_value(lua_State *from, int index, lua_State *to, int mark, int depth);

static bool copy_table(lua_State *from, int index, lua_State *to, int mark, int depth)
{
    bool whole = true;
    lua_newtable(to);
    lua_pushnil(from);
    while (lua_next(from, index) != 0) {
        int value = lua_gettop(from);
        bool ok = copy_value(from, value - 1, to, mark, depth + 1);
        if (ok && !copy_value(from, value, to, mark, depth + 1)) {
            lua_pop(to, 1);
            ok = false;
        }
        if (ok)
            lua_rawset(to, -3);
        whole = whole && ok;
        lua_pop(from, 1);
    }
    if (luaL_getmetafield(from, index, "__name") != LUA_TNIL) {
        lua_pop(from, 1);
        lua_pushvalue(to, mark);
        lua_insert(to, -2);
        lua_call(to, 1, 1);
    }
    return whole;
}

static bool copy_value(lua_State *from, int index, lua_State *to, int mark, int depth)
{
    enum { MAX_DEPTH = 64 };
    size_t length;
    if (depth > MAX_DEPTH || !lua_checkstack(from, 8) || !lua_checkstack(to, 8))
        return false;
    switch (lua_type(from, index)) {
    case LUA_TBOOLEAN:
        lua_pushboolean(to, lua_toboolean(from, index));
        return true;
    case LUA_TNUMBER:
        if (lua_isinteger(from, index))
            lua_pushinteger(to, lua_tointeger(from, index));
        else
            lua_pushnumber(to, lua_tonumber(from, index));
        return true;
    case LUA_TSTRING: {
        const char *text = lua_tolstring(from, index, &length);
        lua_pushlstring(to, text, length);
        return true;
    }
    case LUA_TTABLE:
        /* What could not be copied inside is left out; the table itself is there. */
        if (!copy_table(from, index, to, mark, depth))
            log_line(LOG_WARN, "sse.state keeps plain data only: other values are left out");
        return true;
    default:
        return false;
    }
}

int takeover_state(lua_State *L)
{
    struct vm *previous = vm_of(L)->previous;
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (previous == NULL || vm_state(previous) != previous->L)
        return 0;
    lua_State *from = previous->L;
    int top = lua_gettop(from);
    lua_getfield(from, LUA_REGISTRYINDEX, "sse.states");
    bool found = lua_istable(from, -1) && lua_getfield(from, -1, name) != LUA_TNIL &&
                 copy_value(from, lua_gettop(from), L, 2, 0);
    lua_settop(from, top);
    return found ? 1 : 0;
}
