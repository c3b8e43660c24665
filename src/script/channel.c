/* Channels for the script: core.channel, core.publish and the methods of "sse.channel". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "script/call.h"
#include "script/channel.h"
#include "script/durable.h"
#include "script/event.h"
#include "script/module.h"
#include "script/publish.h"
#include "script/takeover.h"

/* The registry's table { channel's name = rule of its key: a field's name or a function }. */
static const char keys_table;

/* The userdata. It holds no pointer: a channel may be closed by another handle of it. */
struct channel_box {
    uint32_t id;
    uint64_t handle; /* 0 once it is closed */
};

static struct slice check_name(lua_State *L, int index)
{
    size_t length;
    const char *name = luaL_checklstring(L, index, &length);
    if (length == 0 || length > 255)
        call_raise(L, "a channel's name must have 1 to 255 bytes");
    return slice_of(name, length);
}

static struct channel_options default_options(const struct vm *vm)
{
    return (struct channel_options){.history = 100,
                                    .max_bytes = 16 * 1024 * 1024,
                                    .durable =
                                        vm->pipeline->store != NULL && vm->pipeline->is_default,
                                    .stored_history = 100};
}

static lua_Number number_field(lua_State *L, int index, const char *name, lua_Number otherwise)
{
    lua_Number value =
        lua_getfield(L, index, name) == LUA_TNUMBER ? lua_tonumber(L, -1) : otherwise;
    lua_pop(L, 1);
    return value;
}

/* The options table is checked by the Lua half. */
static struct channel_options read_options(lua_State *L, int index)
{
    struct channel_options options = default_options(vm_of(L));
    options.history = (uint32_t)number_field(L, index, "history", options.history);
    options.max_age = (uint64_t)(number_field(L, index, "max_age", 0) * 1000);
    options.max_bytes = (size_t)number_field(L, index, "max_bytes", (lua_Number)options.max_bytes);
    options.stored_history = options.history;
    options.stored_bytes = (uint64_t)number_field(L, index, "max_stored", 0);
    if (lua_getfield(L, index, "durable") != LUA_TNIL)
        options.durable = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (options.durable && vm_of(L)->pipeline->store == NULL)
        call_raise(L, "sse.channel: option 'durable' needs a store: call sse.store first");
    if (options.durable && options.history > CHANNEL_TAIL)
        options.history = CHANNEL_TAIL;
    lua_getfield(L, index, "durability");
    options.relaxed = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "relaxed") == 0;
    lua_pop(L, 1);
    options.keyed = lua_getfield(L, index, "key") != LUA_TNIL;
    lua_getfield(L, index, "on_lag");
    const char *policy = lua_tostring(L, -1);
    options.on_lag = policy != NULL && *policy == 's' ? LAG_SKIP : LAG_DISCONNECT;
    lua_pop(L, 2);
    return options;
}

static struct channel *open_channel(lua_State *L, struct slice name,
                                    const struct channel_options *options)
{
    struct vm *vm = vm_of(L);
    struct channel *channel = hub_find(vm->hub, name);
    if (channel != NULL)
        return channel;
    if (hub_open(vm->hub, name, options, &channel) != 0)
        call_raise(L, "the limit of %d channels is reached", (int)vm->hub->limits.channels);
    durable_attach(vm, channel);
    return channel;
}

static char *read_reset_name(lua_State *L, int index)
{
    char *name = NULL;
    if (lua_getfield(L, index, "reset") == LUA_TSTRING)
        name = memory_copy(lua_tostring(L, -1), lua_rawlen(L, -1));
    lua_pop(L, 1);
    return name;
}

static void set_key_rule(lua_State *L, int name, int options)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &keys_table);
    lua_pushvalue(L, name);
    lua_getfield(L, options, "key");
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Pushes a handle of no channel yet. */
static struct channel_box *push_box(lua_State *L, int name)
{
    struct channel_box *box = lua_newuserdatauv(L, sizeof *box, 1);
    *box = (struct channel_box){0};
    luaL_setmetatable(L, "sse.channel");
    lua_pushvalue(L, name);
    lua_setiuservalue(L, -2, 1);
    return box;
}

/* core.channel(name, options) -> channel. The options apply also when the channel exists; of a
 * script that is loaded in the place of another, when it takes over. */
static int l_channel(lua_State *L)
{
    struct vm *vm = vm_of(L);
    struct slice name = check_name(L, 1);
    if (pattern_is_pattern(name))
        return call_raise(L, "a channel's name may not have the segment * or **: '%s'", name.data);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct channel_options options = read_options(L, 2);
    struct channel_box *box = push_box(L, 1);
    struct channel *channel = open_channel(L, name, &options);
    set_key_rule(L, 1, 2);
    takeover_declare(vm, channel, &options, read_reset_name(L, 2));
    box->id = channel->id;
    box->handle = channel->handle;
    return 1;
}

/* core.find_channel(name) -> the channel as it is, or nil */
static int l_find_channel(lua_State *L)
{
    const struct channel *channel = hub_find(vm_of(L)->hub, check_name(L, 1));
    if (channel == NULL)
        return 0;
    uint32_t id = channel->id;
    uint64_t handle = channel->handle;
    struct channel_box *box = push_box(L, 1);
    box->id = id;
    box->handle = handle;
    return 1;
}

/* A script that another has replaced looks channels up by name: they may be gone. */
static struct channel *channel_of(lua_State *L, int index)
{
    struct channel_box *box = luaL_checkudata(L, index, "sse.channel");
    if (!vm_of(L)->retired || box->handle == 0)
        return hub_channel(vm_of(L)->hub, box->id, box->handle);
    lua_getiuservalue(L, index, 1);
    struct channel *channel = hub_find(vm_of(L)->hub, check_name(L, -1));
    lua_pop(L, 1);
    return channel;
}

static struct channel *check_open(lua_State *L, int index)
{
    struct channel *channel = channel_of(L, index);
    if (channel == NULL)
        call_raise(L, "the channel is closed");
    return channel;
}

struct channel *channel_at(lua_State *L, int index)
{
    if (luaL_testudata(L, index, "sse.channel") != NULL)
        return check_open(L, index);
    if (lua_type(L, index) == LUA_TSTRING && pattern_is_pattern(check_name(L, index)))
        call_raise(L, "'%s' is a pattern, and a channel is expected", lua_tostring(L, index));
    if (lua_type(L, index) != LUA_TSTRING)
        call_raise(L, "a channel or a channel's name is expected, got %s", luaL_typename(L, index));
    struct channel_options options = default_options(vm_of(L));
    return open_channel(L, check_name(L, index), &options);
}

static void restore_one(void *context, struct slice name)
{
    struct vm *vm = context;
    struct channel_options options = default_options(vm);
    struct channel *channel;
    if (hub_find(vm->hub, name) != NULL || hub_open(vm->hub, name, &options, &channel) != 0)
        return;
    durable_attach(vm, channel);
    hub_release(vm->hub, channel);
}

void channel_restore_all(struct vm *vm)
{
    if (vm->pipeline->store != NULL && vm->pipeline->is_default)
        store_names(vm->pipeline->store, restore_one, vm);
}

int channel_push_key_rule(lua_State *L, const struct channel *channel)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &keys_table);
    lua_pushlstring(L, channel->name.data, channel->name.length);
    int type = lua_rawget(L, -2);
    lua_remove(L, -2);
    return type;
}

/* channel:close() */
static int l_channel_close(lua_State *L)
{
    struct channel_box *box = luaL_checkudata(L, 1, "sse.channel");
    struct channel *channel = channel_of(L, 1);
    box->handle = 0;
    if (channel == NULL)
        return 0;
    takeover_undeclare(vm_of(L), channel);
    hub_close(vm_of(L)->hub, channel);
    return 0;
}

/* Fields: name, subscribers, length, published, lagged, closed; else methods. */
static int l_channel_index(lua_State *L)
{
    struct channel *channel = channel_of(L, 1);
    const char *field = luaL_checkstring(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    if (strcmp(field, "closed") == 0)
        lua_pushboolean(L, channel == NULL);
    else if (channel == NULL)
        return call_raise(L, "the channel is closed");
    else if (strcmp(field, "name") == 0)
        lua_pushlstring(L, channel->name.data, channel->name.length);
    else if (strcmp(field, "subscribers") == 0)
        lua_pushinteger(L, channel->subscribers);
    else if (strcmp(field, "length") == 0)
        lua_pushinteger(L, log_length(&channel->log));
    else if (strcmp(field, "published") == 0)
        lua_pushinteger(L, (lua_Integer)channel->published);
    else if (strcmp(field, "lagged") == 0)
        lua_pushinteger(L, (lua_Integer)channel->lagged);
    else
        return call_raise(L,
                          "a channel has no field '%s' (it has name, subscribers, length, "
                          "published, lagged, closed, publish, delete, close)",
                          field);
    return 1;
}

static int l_channel_tostring(lua_State *L)
{
    const struct channel *channel = channel_of(L, 1);
    if (channel == NULL)
        lua_pushliteral(L, "channel (closed)");
    else
        lua_pushfstring(L, "channel %s", channel->name.data);
    return 1;
}

/* core.store(path, is_default) */
static int l_store(lua_State *L)
{
    durable_open_store(L, luaL_checkstring(L, 1), lua_toboolean(L, 2));
    return 0;
}

/* core.last_id(channel, meta) -> the newest id of a script's own in the channel's log, of events
 * that were published with this meta (JSON), or nil; whether events are on their way into the log
 */
static int l_last_id(lua_State *L)
{
    struct vm *vm = vm_of(L);
    const struct channel *channel = channel_at(L, 1);
    struct slice meta;
    meta.data = luaL_checklstring(L, 2, &meta.length);
    lua_pushnil(L);
    for (uint32_t i = channel->log.count; i > 0; i--) {
        const struct frame *frame = log_at(&channel->log, i - 1)->frame;
        if (frame == NULL || !(frame->flags & FRAME_OWN_ID) ||
            !slice_equal(frame_part(frame, frame->meta), meta))
            continue;
        struct slice id = frame_part(frame, frame->id);
        lua_pushlstring(L, id.data, id.length);
        break;
    }
    lua_pushboolean(L, publication_waits(vm, channel));
    return 2;
}

/* core.is_keyed(channel or name) -> whether there is such a channel and it is keyed */
static int l_is_keyed(lua_State *L)
{
    const struct channel *channel = lua_type(L, 1) == LUA_TSTRING
                                        ? hub_find(vm_of(L)->hub, check_name(L, 1))
                                        : channel_of(L, 1);
    lua_pushboolean(L, channel != NULL && channel->options.keyed);
    return 1;
}

/* core.is_pattern(name) -> whether it means channels by a pattern */
static int l_is_pattern(lua_State *L)
{
    lua_pushboolean(L, pattern_is_pattern(check_name(L, 1)));
    return 1;
}

/* core.channels() -> list of { name =, subscribers =, length =, lagged = } */
static int l_channels(lua_State *L)
{
    struct hub *hub = vm_of(L)->hub;
    lua_Integer count = 0;
    lua_newtable(L);
    for (uint32_t i = 0; i < hub->channel_capacity; i++) {
        struct channel *channel = hub->channels[i];
        if (channel == NULL)
            continue;
        lua_createtable(L, 0, 4);
        lua_pushlstring(L, channel->name.data, channel->name.length);
        lua_setfield(L, -2, "name");
        lua_pushinteger(L, channel->subscribers);
        lua_setfield(L, -2, "subscribers");
        lua_pushinteger(L, log_length(&channel->log));
        lua_setfield(L, -2, "length");
        lua_pushinteger(L, (lua_Integer)channel->lagged);
        lua_setfield(L, -2, "lagged");
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

void channel_open_module(lua_State *L)
{
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &keys_table);
    static const luaL_Reg functions[] = {
        {"channel", l_channel},       {"find_channel", l_find_channel},
        {"channels", l_channels},     {"store", l_store},
        {"last_id", l_last_id},       {"is_keyed", l_is_keyed},
        {"is_pattern", l_is_pattern}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"publish", publish_event},
                                       {"delete", publish_delete},
                                       {"close", l_channel_close},
                                       {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    publish_open_module(L);
    luaL_newmetatable(L, "sse.channel");
    luaL_newlib(L, methods);
    lua_pushcclosure(L, l_channel_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_channel_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
}
