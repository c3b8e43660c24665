/* Looking into a channel, for the prompt: core.inspect. */
#include <stdlib.h>

#include "base/memory.h"
#include "script/judge.h"
#include "script/module.h"

/* Some events of a channel: making tables of them runs the script's finalizers, which may publish,
 * and so change the log. */
struct sample {
    struct frame **frames; /* each with a reference */
    uint32_t count;
};

/* The newest `count`. */
static void take(struct sample *sample, const struct channel *channel, lua_Integer count)
{
    const struct log *log = &channel->log;
    uint32_t position = log->count;
    for (lua_Integer left = count; position > 0 && left > 0;) {
        if (log_at(log, --position)->frame != NULL)
            left--;
    }
    sample->frames = memory_zero(log->count - position + 1, sizeof *sample->frames);
    for (; position < log->count; position++) {
        struct frame *frame = log_at(log, position)->frame;
        if (frame != NULL)
            sample->frames[sample->count++] = frame_ref(frame);
    }
}

static void drop(struct sample *sample)
{
    for (uint32_t i = 0; i < sample->count; i++)
        frame_unref(sample->frames[i]);
    free(sample->frames);
}

/* (sample, name) -> list of events */
static int l_events(lua_State *L)
{
    const struct sample *sample = lua_touserdata(L, 1);
    struct slice name;
    name.data = lua_tolstring(L, 2, &name.length);
    lua_createtable(L, (int)sample->count, 0);
    for (uint32_t i = 0; i < sample->count; i++) {
        judge_push_event(L, sample->frames[i], name);
        lua_pushnumber(L, (double)sample->frames[i]->time / 1000);
        lua_setfield(L, -2, "time");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static void push_numbers(lua_State *L, const struct channel *channel)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"subscribers", channel->subscribers}, {"length", log_length(&channel->log)},
        {"bytes", channel->log.bytes},         {"published", channel->published},
        {"lagged", channel->lagged},           {"history", channel->options.history},
    };
    bool keyed = channel->options.keyed;
    lua_newtable(L);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        lua_pushinteger(L, (lua_Integer)numbers[i].value);
        lua_setfield(L, -2, numbers[i].name);
    }
    lua_pushboolean(L, keyed);
    lua_setfield(L, -2, "keyed");
}

static const struct channel *find(lua_State *L)
{
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    return hub_find(vm_of(L)->hub, slice_of(name, length));
}

/* core.inspect(name, count) -> { subscribers =, length =, bytes =, published =, lagged =,
 * history =, keyed =, events = the newest `count` of those in memory, each with its time }, or nil
 * when there is no such channel */
static int l_inspect(lua_State *L)
{
    struct sample sample = {0};
    lua_Integer count = luaL_checkinteger(L, 2);
    const struct channel *channel = find(L);
    if (channel == NULL)
        return 0;
    lua_settop(L, 1);
    push_numbers(L, channel);
    channel = find(L);
    if (channel != NULL)
        take(&sample, channel, count);
    lua_pushcfunction(L, l_events);
    lua_pushlightuserdata(L, &sample);
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 2, 1, 0);
    drop(&sample);
    if (status != LUA_OK)
        return lua_error(L);
    lua_setfield(L, 2, "events");
    return 1;
}

void inspect_open_module(lua_State *L)
{
    lua_pushcfunction(L, l_inspect);
    lua_setfield(L, -2, "inspect");
}
