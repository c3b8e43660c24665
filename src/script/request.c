/* Requests for the script: the methods of "sse.request". */
#include "script/request.h"

#include <stdlib.h>

#include "base/memory.h"
#include "script/answer.h"
#include "script/call.h"
#include "script/endpoint.h"
#include "script/module.h"
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

void request_respond(struct pending *pending, struct response *response)
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
        request_respond(pending, answer_error(pending->exchange->request, status, text));
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
    request_respond(pending, answer_build(L, pending->exchange->request, (int)status, 3, 4));
    return 0;
}

static int l_request_gc(lua_State *L)
{
    pending_unref(pending_at(L, 1));
    return 0;
}

void request_add_method(lua_State *L, const char *name, lua_CFunction function)
{
    luaL_getmetatable(L, "sse.request");
    lua_getfield(L, -1, "__index");
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
    lua_pop(L, 2);
}

void request_open_module(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"method", l_method},   {"target", l_target},   {"address", l_address},
        {"start", l_start},     {"body", l_body},       {"header", l_header},
        {"headers", l_headers}, {"respond", l_respond}, {NULL, NULL}};
    module_define_type(L, "sse.request", methods, l_request_gc);
}
