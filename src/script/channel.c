/* Channels for the script: core.channel, core.publish and the methods of "sse.channel". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "script/call.h"
#include "script/channel.h"
#include "script/event.h"
#include "script/module.h"

/* The userdata. Its uservalue 1 is the key of a keyed channel: a field's name or a function. */
struct channel_box {
    struct channel *channel; /* NULL once it is closed */
};

static struct slice check_name(lua_State *L, int index)
{
    size_t length;
    const char *name = luaL_checklstring(L, index, &length);
    if (length == 0 || length > 255)
        call_raise(L, "a channel's name must have 1 to 255 bytes");
    return slice_of(name, length);
}

static const struct channel_options defaults = {.history = 100, .max_bytes = 16 * 1024 * 1024};

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
    struct channel_options options = defaults;
    options.history = (uint32_t)number_field(L, index, "history", defaults.history);
    options.max_age = (uint64_t)(number_field(L, index, "max_age", 0) * 1000);
    options.max_bytes = (size_t)number_field(L, index, "max_bytes", (lua_Number)defaults.max_bytes);
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
    struct channel *channel;
    if (hub_open(vm_of(L)->hub, name, options, &channel) != 0)
        call_raise(L, "the limit of %d channels is reached", (int)vm_of(L)->hub->limits.channels);
    return channel;
}

/* core.channel(name, options) -> channel. The options apply also when the channel exists. */
static int l_channel(lua_State *L)
{
    struct vm *vm = vm_of(L);
    struct slice name = check_name(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct channel_options options = read_options(L, 2);
    struct channel_box *box = lua_newuserdatauv(L, sizeof *box, 1);
    box->channel = NULL;
    luaL_setmetatable(L, "sse.channel");
    struct channel *channel = open_channel(L, name, &options);
    channel->declared = true;
    hub_configure(vm->hub, channel, &options, event_now());
    box->channel = channel;
    lua_getfield(L, 2, "key");
    lua_setiuservalue(L, -2, 1);
    return 1;
}

static struct channel *check_open(lua_State *L, int index)
{
    struct channel_box *box = luaL_checkudata(L, index, "sse.channel");
    if (box->channel == NULL)
        call_raise(L, "the channel is closed");
    return box->channel;
}

struct channel *channel_at(lua_State *L, int index)
{
    if (luaL_testudata(L, index, "sse.channel") != NULL)
        return check_open(L, index);
    if (lua_type(L, index) != LUA_TSTRING)
        call_raise(L, "a channel or a channel's name is expected, got %s", luaL_typename(L, index));
    return open_channel(L, check_name(L, index), &defaults);
}

/* Publishing */

/* The key by the channel's rule, when the event names none itself. */
static void apply_key(lua_State *L, int channel_index, int event_index, struct frame_source *source)
{
    if (source->key.data != NULL || luaL_testudata(L, channel_index, "sse.channel") == NULL)
        return;
    int type = lua_getiuservalue(L, channel_index, 1);
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, event_index);
        lua_call(L, 1, 1);
    } else if (type == LUA_TSTRING && lua_type(L, event_index) == LUA_TTABLE &&
               lua_getfield(L, event_index, "data") == LUA_TTABLE) {
        lua_pushvalue(L, -2);
        lua_gettable(L, -2);
    } else {
        return;
    }
    size_t length;
    const char *key = lua_tolstring(L, -1, &length);
    if (key == NULL || length == 0)
        call_raise(L, "the event has no key: the channel's key gives %s", luaL_typename(L, -1));
    source->key = slice_of(key, length);
}

/* Pushes what filters see of an event that is about to be published. */
static void push_filter_event(lua_State *L, int event_index)
{
    static const char *const names[] = {"event", "data", "id", "key", "meta"};
    lua_createtable(L, 0, 5);
    if (lua_type(L, event_index) == LUA_TSTRING) {
        lua_pushvalue(L, event_index);
        lua_setfield(L, -2, "data");
        return;
    }
    for (int i = 0; i < 5; i++) {
        lua_getfield(L, event_index, names[i]);
        lua_setfield(L, -2, names[i]);
    }
}

/* Asks each filter group of the channel once. The verdicts are of malloc, or NULL without groups.
 */
static uint64_t *judge(lua_State *L, struct channel *channel, int event_index)
{
    struct vm *vm = vm_of(L);
    uint32_t words = channel_verdict_words(channel);
    if (words == 0)
        return NULL;
    uint64_t *verdicts = memory_zero(words, sizeof *verdicts);
    push_filter_event(L, event_index);
    int event = lua_gettop(L);
    /* A filter that publishes or subscribes may change the list of groups. */
    for (uint32_t i = 0; i < channel->group_count && i / 64 < words; i++) {
        if (channel->groups[i].group == NULL)
            continue;
        lua_rawgeti(L, LUA_REGISTRYINDEX, channel->groups[i].group->reference);
        lua_pushvalue(L, event);
        if (call_function(vm, L, 1, 1) == CALL_FAILED)
            vm_report(vm, "filter", lua_tostring(L, -1));
        else if (lua_toboolean(L, -1))
            verdicts[i / 64] |= (uint64_t)1 << (i % 64);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return verdicts;
}

/* core.publish(channel, event) -> id, subscribers */
static int l_publish(lua_State *L)
{
    struct vm *vm = vm_of(L);
    struct frame_source source;
    lua_settop(L, 2);
    event_read(L, 2, &source);
    apply_key(L, 1, 2, &source);
    struct channel *channel = channel_at(L, 1);
    if (channel->options.keyed && source.key.data == NULL)
        return call_raise(L, "the event needs a key: the channel keeps the latest event of each");
    source.time = event_now();
    uint64_t *verdicts = judge(L, channel, 2);
    struct frame *frame;
    int error = hub_publish(vm->hub, channel, &source, verdicts, &frame);
    free(verdicts);
    if (error != 0)
        return event_raise(L, "publish", error);
    if (frame->id.length > 0)
        lua_pushlstring(L, frame->bytes + frame->id.offset, frame->id.length);
    else
        lua_pushfstring(L, "%s-%I", vm->hub->epoch, (lua_Integer)frame->sequence);
    lua_pushinteger(L, channel->subscribers);
    frame_unref(frame);
    hub_release(vm->hub, channel);
    return 2;
}

/* channel:close() */
static int l_channel_close(lua_State *L)
{
    struct channel_box *box = luaL_checkudata(L, 1, "sse.channel");
    struct channel *channel = box->channel;
    box->channel = NULL;
    if (channel != NULL)
        hub_close(vm_of(L)->hub, channel);
    return 0;
}

/* Fields: name, subscribers, length, published; else methods. */
static int l_channel_index(lua_State *L)
{
    struct channel_box *box = luaL_checkudata(L, 1, "sse.channel");
    const char *field = luaL_checkstring(L, 2);
    struct channel *channel = box->channel;
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
    else
        return call_raise(L,
                          "a channel has no field '%s' (it has name, subscribers, length, "
                          "published, closed, publish, close)",
                          field);
    return 1;
}

static int l_channel_tostring(lua_State *L)
{
    struct channel_box *box = luaL_checkudata(L, 1, "sse.channel");
    if (box->channel == NULL)
        lua_pushliteral(L, "channel (closed)");
    else
        lua_pushfstring(L, "channel %s", box->channel->name.data);
    return 1;
}

/* core.channels() -> list of { name =, subscribers =, length = } */
static int l_channels(lua_State *L)
{
    struct hub *hub = vm_of(L)->hub;
    lua_Integer count = 0;
    lua_newtable(L);
    for (uint32_t i = 0; i < hub->channel_capacity; i++) {
        struct channel *channel = hub->channels[i];
        if (channel == NULL)
            continue;
        lua_createtable(L, 0, 3);
        lua_pushlstring(L, channel->name.data, channel->name.length);
        lua_setfield(L, -2, "name");
        lua_pushinteger(L, channel->subscribers);
        lua_setfield(L, -2, "subscribers");
        lua_pushinteger(L, log_length(&channel->log));
        lua_setfield(L, -2, "length");
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

void channel_open_module(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"channel", l_channel}, {"publish", l_publish}, {"channels", l_channels}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"publish", l_publish}, {"close", l_channel_close}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    luaL_newmetatable(L, "sse.channel");
    luaL_newlib(L, methods);
    lua_pushcclosure(L, l_channel_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_channel_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
}
