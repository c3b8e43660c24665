/* Requests for the script: the methods of "sse.request". */
#include "script/request.h"

#include <stdlib.h>

#include "base/memory.h"
#include "proto/event_stream.h"
#include "script/answer.h"
#include "script/backlog.h"
#include "script/call.h"
#include "script/channel.h"
#include "script/endpoint.h"
#include "script/event.h"
#include "script/module.h"
#include "script/publication.h"
#include "script/resume.h"
#include "script/takeover.h"
#include "script/task.h"

void pending_unref(struct pending *pending)
{
    if (--pending->references > 0)
        return;
    exchange_free(pending->exchange);
    free(pending);
}

static struct pending *pending_at(lua_State *L, int index)
{
    return *(struct pending **)luaL_checkudata(L, index, "sse.request");
}

struct pending *request_check(lua_State *L, int index)
{
    struct pending *pending = pending_at(L, index);
    if (pending->answered)
        call_raise(L, "the request is answered already");
    return pending;
}

static void respond(struct pending *pending, struct response *response)
{
    pending->answered = true;
    pending->vm->host.respond(pending->vm->host.context, pending->connection, response);
}

/* Dispatch */

const char *request_push_title(lua_State *L, const struct http_request *request)
{
    struct uri_target target = {.path = slice_text("?")};
    uri_parse_target(http_request_target(request), &target);
    lua_pushstring(L, http_request_method(request));
    lua_pushliteral(L, " ");
    lua_pushlstring(L, target.path.data, target.path.length);
    lua_concat(L, 3);
    return lua_tostring(L, -1);
}

static void push_request(lua_State *L, struct pending *pending)
{
    struct pending **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = pending;
    pending->references++;
    luaL_setmetatable(L, "sse.request");
}

/* By the script's library, which knows the headers of every answer; by our own means when that
 * fails, too. */
static void answer_failure(struct pending *pending, int status, const char *text)
{
    struct vm *vm = pending->vm;
    lua_State *L = vm_state(vm);
    lua_checkstack(L, 8);
    vm_push_hook(L, HOOK_FAIL);
    push_request(L, pending);
    lua_pushinteger(L, status);
    lua_pushstring(L, text);
    if (call_function(vm, L, 3, 0) != CALL_DONE)
        lua_pop(L, 1);
    if (!pending->answered)
        respond(pending, answer_error(pending->exchange->request, status, text));
}

static void on_task_end(void *context, const char *error)
{
    struct pending *pending = context;
    struct vm *vm = pending->vm;
    bool stopped = error != NULL && error[0] == '\0';
    if (error != NULL && !stopped) {
        lua_State *L = vm_state(vm);
        vm_report(vm, request_push_title(L, pending->exchange->request), error);
        lua_pop(L, 1);
    }
    if (!pending->answered && stopped)
        answer_failure(pending, 503, "The server is stopping.\n");
    else if (!pending->answered)
        answer_failure(pending, 500, "Internal Server Error\n");
    pending_unref(pending);
}

/* The router is on top of the stack. */
static void start_handler(struct vm *vm, connection_id connection, struct exchange *exchange,
                          const struct routing_found *found)
{
    lua_State *L = vm->L;
    int router = lua_gettop(L);
    struct pending *pending = memory_zero(1, sizeof *pending);
    *pending =
        (struct pending){.references = 1, .vm = vm, .connection = connection, .exchange = exchange};
    vm_push_hook(L, HOOK_DISPATCH);
    push_request(L, pending);
    routing_push(L, router, found);
    task_outlives_reload(task_start(vm, L, 4, "request", on_task_end, pending), true);
}

void vm_dispatch(struct vm *vm, connection_id connection, struct exchange *exchange)
{
    lua_State *L = vm->L;
    const struct http_request *request = exchange->request;
    struct uri_target target;
    struct routing_found found = {.status = 400};
    struct routing *routing = routing_push_router(L);
    if (routing == NULL) {
        vm->host.respond(vm->host.context, connection, answer_error(request, 404, "Not Found\n"));
        exchange_free(exchange);
        return;
    }
    if (uri_parse_target(http_request_target(request), &target) == 0)
        routing_find(routing, slice_text(http_request_method(request)), target.path, &found);
    if (!endpoint_answer(vm, connection, exchange, routing, &found))
        start_handler(vm, connection, exchange, &found);
    lua_pop(L, 1);
}

/* Reading */

static void push_slice(lua_State *L, struct slice slice)
{
    lua_pushlstring(L, slice.data == NULL ? "" : slice.data, slice.length);
}

/* request:method() */
static int l_method(lua_State *L)
{
    lua_pushstring(L, http_request_method(pending_at(L, 1)->exchange->request));
    return 1;
}

/* request:target() -> encoded path, query; the path is nil for a malformed target */
static int l_target(lua_State *L)
{
    struct uri_target target;
    if (uri_parse_target(http_request_target(pending_at(L, 1)->exchange->request), &target) == 0) {
        push_slice(L, target.path);
        push_slice(L, target.query);
    } else {
        lua_pushnil(L);
        lua_pushliteral(L, "");
    }
    return 2;
}

/* request:address() */
static int l_address(lua_State *L)
{
    char text[ADDRESS_TEXT];
    address_text(&pending_at(L, 1)->exchange->address, text, sizeof text);
    lua_pushstring(L, text);
    return 1;
}

/* request:body() */
static int l_body(lua_State *L)
{
    push_slice(L, buffer_slice(&pending_at(L, 1)->exchange->request->body));
    return 1;
}

/* request:header(lower-case name) -> value of the first, or nil */
static int l_header(lua_State *L)
{
    struct slice value =
        http_request_find(pending_at(L, 1)->exchange->request, luaL_checkstring(L, 2));
    if (value.data == NULL)
        lua_pushnil(L);
    else
        push_slice(L, value);
    return 1;
}

/* The first value of a parameter in the query, decoded and pushed; a malformed escape is kept as it
 * is. False when the value is empty or not there. */
static bool push_parameter(lua_State *L, struct slice query, const char *wanted)
{
    struct slice name, value;
    struct buffer out = {0};
    size_t position = 0;
    bool found = false;
    while (!found && uri_next_pair(query, &position, &name, &value))
        found = slice_equal(name, slice_text(wanted));
    if (!found || value.length == 0)
        return false;
    if (uri_decode(&out, value, true))
        value = buffer_slice(&out);
    lua_pushlstring(L, value.data, value.length);
    buffer_deinit(&out);
    return true;
}

/* request:start() -> where the client wants to start, or nil; whether the query says so. The header
 * goes first; the query has the name of the standard's field or that of the polyfills. */
static int l_start(lua_State *L)
{
    const struct http_request *request = pending_at(L, 1)->exchange->request;
    struct uri_target target;
    struct slice header = http_request_find(request, "last-event-id");
    if (header.length > 0) {
        push_slice(L, header);
        return 1;
    }
    if (uri_parse_target(http_request_target(request), &target) != 0 || target.query.length == 0 ||
        !(push_parameter(L, target.query, "last_event_id") ||
          push_parameter(L, target.query, "lastEventId")))
        return 0;
    lua_pushboolean(L, 1);
    return 2;
}

/* request:headers() -> { name = value }, repeated ones joined (RFC 9110, 5.3; cookies by "; ") */
static int l_headers(lua_State *L)
{
    const struct http_request *request = pending_at(L, 1)->exchange->request;
    lua_createtable(L, 0, (int)request->header_count);
    for (size_t i = 0; i < request->header_count; i++) {
        struct slice name = http_request_name(request, i);
        push_slice(L, name);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TNIL) {
            lua_pop(L, 1);
            push_slice(L, http_request_value(request, i));
        } else {
            lua_pushstring(L, slice_equal(name, slice_text("cookie")) ? "; " : ", ");
            push_slice(L, http_request_value(request, i));
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
    }
    return 1;
}

/* Answering */

/* request:respond(status, headers, body) */
static int l_respond(lua_State *L)
{
    struct pending *pending = request_check(L, 1);
    lua_Integer status = luaL_checkinteger(L, 2);
    lua_settop(L, 4);
    respond(pending, answer_build(L, pending->exchange->request, (int)status, 3, 4));
    return 0;
}

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
    if (sequence == 0)
        return;
    lua_pushfstring(L, "%s-%I", vm->hub->epoch, (lua_Integer)sequence);
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

/* Pushes what comes before any event of the channels: a comment, so that the client sees the stream
 * open, `retry`, the news of a loss, and the events for this client alone. */
static bool push_opening(lua_State *L, struct vm *vm, const struct plan *plan,
                         const struct start_result *result)
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
        respond(pending, head);
        return 0;
    }
    resume_resolve(vm, subscription, &plan.start, &result);
    if (!push_opening(L, vm, &plan, &result)) {
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

static int l_request_gc(lua_State *L)
{
    pending_unref(pending_at(L, 1));
    return 0;
}

void request_open_module(lua_State *L)
{
    static const luaL_Reg methods[] = {{"method", l_method},       {"target", l_target},
                                       {"address", l_address},     {"start", l_start},
                                       {"body", l_body},           {"header", l_header},
                                       {"headers", l_headers},     {"respond", l_respond},
                                       {"subscribe", l_subscribe}, {NULL, NULL}};
    lua_pushcfunction(L, l_check_start);
    lua_setfield(L, -2, "check_start");
    lua_pushcfunction(L, l_move);
    lua_setfield(L, -2, "move");
    luaL_newmetatable(L, "sse.request");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_request_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
