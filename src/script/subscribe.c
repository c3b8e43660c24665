/* Subscriptions for the script: request:subscribe, core.move and core.check_start. */
#include <stdlib.h>

#include "proto/event_stream.h"
#include "script/answer.h"
#include "script/backlog.h"
#include "script/call.h"
#include "script/channel.h"
#include "script/event.h"
#include "script/module.h"
#include "script/publication.h"
#include "script/request.h"
#include "script/resume.h"
#include "script/takeover.h"

/* What request:subscribe was given. Arrays are userdata on the stack. */
struct plan {
    struct subscription_source source;
    struct start start;
    int64_t retry;
    struct slice first;
};

static lua_Integer list_field(lua_State *L, int index, const char *name)
{
    if (lua_getfield(L, index, name) == LUA_TNIL)
        return 0;
    return (lua_Integer)lua_rawlen(L, -1);
}

static bool contains(const struct subscription_source *source, const struct channel *channel)
{
    for (uint32_t i = 0; i < source->channel_count; i++) {
        if (source->channels[i] == channel)
            return true;
    }
    return false;
}

static int l_open_channel(lua_State *L)
{
    lua_pushlightuserdata(L, channel_at(L, 1));
    return 1;
}

/* Pops a channel or its name. When that raises, those that were opened for the source before are
 * let go: clients can choose names, and nothing would ever free a channel that nobody uses. */
static struct channel *open_channel(lua_State *L, const struct subscription_source *source)
{
    lua_pushcfunction(L, l_open_channel);
    lua_rotate(L, -2, 1);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        for (uint32_t i = 0; i < source->channel_count; i++)
            hub_release(vm_of(L)->hub, source->channels[i]);
        lua_error(L);
    }
    struct channel *channel = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return channel;
}

/* spec.channels: channels, names and patterns. */
static void read_channels(lua_State *L, int spec, struct plan *plan)
{
    lua_Integer count = list_field(L, spec, "channels");
    struct channel **channels = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *channels, 0);
    struct slice *patterns = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *patterns, 0);
    plan->source.channels = channels;
    plan->source.patterns = patterns;
    for (lua_Integer i = 1; i <= count; i++) {
        struct slice name = {NULL, 0};
        if (lua_rawgeti(L, -3, i) == LUA_TSTRING)
            name.data = lua_tolstring(L, -1, &name.length);
        if (name.data != NULL && pattern_is_pattern(name)) {
            patterns[plan->source.pattern_count++] = name;
        } else {
            lua_pushvalue(L, -1);
            struct channel *channel = open_channel(L, &plan->source);
            if (!contains(&plan->source, channel))
                channels[plan->source.channel_count++] = channel;
        }
        lua_pop(L, 1);
    }
}

/* spec.events: names, strings that stay in their table. */
static void read_names(lua_State *L, int spec, struct plan *plan)
{
    lua_Integer count = list_field(L, spec, "events");
    struct slice *names = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *names, 0);
    plan->source.names = names;
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -2, i);
        names[i - 1].data = lua_tolstring(L, -1, &names[i - 1].length);
        lua_pop(L, 1);
    }
    plan->source.name_count = (uint32_t)count;
}

/* spec.filter: a function, known by spec.filter_key. */
static void read_filter(lua_State *L, int spec, struct plan *plan)
{
    struct hub *hub = vm_of(L)->hub;
    size_t length;
    if (lua_getfield(L, spec, "filter_key") == LUA_TNIL)
        return;
    const char *key = lua_tolstring(L, -1, &length);
    plan->source.group = hub_find_group(hub, slice_of(key, length));
    if (plan->source.group != NULL)
        return;
    int reference;
    struct vm *running = vm_of(L)->pipeline->vm;
    if (running == vm_of(L)) {
        lua_getfield(L, spec, "filter");
        reference = luaL_ref(L, LUA_REGISTRYINDEX);
    } else {
        /* A script that was replaced answers, and the filter is its successor's. */
        takeover_ref_filter(running, slice_of(key, length), &reference);
    }
    plan->source.group = hub_new_group(hub, slice_of(key, length), reference);
}

static lua_Integer integer_field(lua_State *L, int index, const char *name, lua_Integer otherwise)
{
    lua_Integer value = lua_getfield(L, index, name) == LUA_TNIL ? otherwise : lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

static void read_plan(lua_State *L, int spec, struct plan *plan)
{
    *plan = (struct plan){.start.kind = START_LATEST};
    read_channels(L, spec, plan);
    read_names(L, spec, plan);
    plan->source.heartbeat = (uint32_t)integer_field(L, spec, "heartbeat", 0);
    plan->retry = integer_field(L, spec, "retry", -1);
}

/* What this request adds to the plan: where to start, or nil, and the events for it alone. */
static void read_beginning(lua_State *L, int start, int first, struct plan *plan)
{
    size_t length;
    const char *text = lua_tolstring(L, start, &length);
    if (text != NULL)
        start_parse(slice_of(text, length), event_now(), &plan->start);
    plan->first.data = luaL_checklstring(L, first, &plan->first.length);
}

static void set_id(lua_State *L, const char *field, const struct vm *vm, uint64_t sequence)
{
    char id[HUB_ID_MAX];
    if (sequence == 0)
        return;
    lua_pushlstring(L, id, hub_write_id(vm->hub, sequence, id));
    lua_setfield(L, -2, field);
}

/* Pushes what spec:reset(req, info) makes of a loss: event-stream text. False when it failed; the
 * error is pushed. */
static bool push_reset(lua_State *L, struct vm *vm, const struct plan *plan,
                       const struct start_result *result)
{
    lua_getfield(L, 2, "reset");
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 6);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, reset_reason_name(result->reset));
    lua_setfield(L, -2, "reason");
    lua_pushlstring(L, plan->start.id.data, plan->start.id.length);
    lua_setfield(L, -2, "requested");
    set_id(L, "oldest", vm, result->oldest);
    set_id(L, "latest", vm, result->latest);
    return call_function(vm, L, 3, 1) == CALL_DONE;
}

/* Whether the client gets to know its position only here: it has no id that could be resumed from,
 * and nothing is to be replayed that would bring one. */
static bool wants_position(const struct subscription *subscription, const struct plan *plan,
                           const struct start_result *result)
{
    bool knows = plan->start.kind == START_ID && result->reset == RESET_NONE;
    bool replays = result->deep || (result->cursor < result->latest && result->oldest > 0);
    bool resumable = subscription_keeps(subscription) || subscription->pattern_count > 0;
    return resumable && !knows && !replays;
}

/* An id without data is no event, but sets the client's last event ID (HTML standard, 9.2.6). */
static void append_position(struct buffer *out, const struct hub *hub, uint64_t sequence)
{
    char id[HUB_ID_MAX];
    buffer_append_text(out, ": position\nid: ");
    buffer_append(out, id, hub_write_id(hub, sequence, id));
    buffer_append_text(out, "\n\n");
}

/* Pushes what comes before any event of the channels: a comment, so that the client sees the stream
 * open, `retry`, the news of a loss, the events for this client alone, and last its position, so
 * that it misses nothing when its connection breaks before it had an event with an id. */
static bool push_opening(lua_State *L, struct vm *vm, const struct subscription *subscription,
                         const struct plan *plan, const struct start_result *result)
{
    struct buffer out = {0};
    buffer_append_text(&out, ":\n\n");
    if (plan->retry >= 0)
        event_stream_retry(&out, plan->retry);
    if (result->reset != RESET_NONE) {
        size_t length;
        if (!push_reset(L, vm, plan, result)) {
            buffer_deinit(&out);
            return false;
        }
        const char *text = lua_tolstring(L, -1, &length);
        buffer_append(&out, text, length);
    }
    buffer_append_slice(&out, plan->first);
    if (wants_position(subscription, plan, result))
        append_position(&out, vm->hub, result->latest);
    lua_pushlstring(L, out.data, out.length);
    buffer_deinit(&out);
    return true;
}

/* request:subscribe(spec, headers, start, first, req) -> connection, whether its body is chunked;
 * nothing for HEAD */
static int l_subscribe(lua_State *L)
{
    struct pending *pending = request_check(L, 1);
    struct vm *vm = pending->vm;
    const struct http_request *request = pending->exchange->request;
    struct plan plan;
    struct start_result result;
    lua_settop(L, 6);
    read_plan(L, 2, &plan);
    read_beginning(L, 4, 5, &plan);
    plan.source.route = (uint32_t)integer_field(L, 6, "route", 0);
    plan.source.chunked = !request->http_1_0;
    /* What may raise comes before anything is acquired. */
    struct response *head = answer_build_stream(L, request, 3);
    read_filter(L, 2, &plan);
    struct subscription *subscription = hub_subscribe(vm->hub, &plan.source);
    if (answer_is_head(request)) {
        hub_unsubscribe(vm->hub, subscription);
        request_respond(pending, head);
        return 0;
    }
    resume_resolve(vm, subscription, &plan.start, &result);
    if (!push_opening(L, vm, subscription, &plan, &result)) {
        hub_unsubscribe(vm->hub, subscription);
        response_free(head);
        return lua_error(L);
    }
    size_t length;
    const char *opening = lua_tolstring(L, -1, &length);
    answer_append(head, slice_of(opening, length));
    pending->answered = true;
    hub_count_subscribers(vm->hub, subscription, 1);
    if (result.deep)
        backlog_start(vm, pending->connection, &pending->exchange->address, head, subscription,
                      result.cursor);
    else
        vm->host.subscribe(vm->host.context, pending->connection, head, subscription,
                           result.cursor);
    lua_pushinteger(L, (lua_Integer)pending->connection);
    lua_pushboolean(L, plan.source.chunked);
    return 2;
}

/* core.move(connection, spec, chunked, route): the subscriber goes on with the subscription of the
 * spec */
static int l_move(lua_State *L)
{
    struct vm *vm = vm_of(L);
    struct plan plan;
    connection_id connection = (connection_id)luaL_checkinteger(L, 1);
    lua_settop(L, 4);
    read_plan(L, 2, &plan);
    plan.source.route = (uint32_t)luaL_checkinteger(L, 4);
    plan.source.chunked = lua_toboolean(L, 3);
    read_filter(L, 2, &plan);
    struct subscription *subscription = hub_subscribe(vm->hub, &plan.source);
    hub_count_subscribers(vm->hub, subscription, 1);
    if (!backlog_move(vm, connection, subscription))
        vm->host.move(vm->host.context, connection, subscription);
    return 0;
}

/* core.check_start(text) -> whether the text is a starting point */
static int l_check_start(lua_State *L)
{
    struct start start;
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_pushboolean(L, start_parse(slice_of(text, length), 0, &start));
    return 1;
}

void subscribe_open_module(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"check_start", l_check_start}, {"move", l_move}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    request_add_method(L, "subscribe", l_subscribe);
}
