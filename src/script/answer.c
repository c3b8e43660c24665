#include "script/answer.h"

#include <time.h>

#include "proto/http_response.h"
#include "script/call.h"
#include "script/file.h"

bool answer_is_head(const struct http_request *request)
{
    return strcmp(http_request_method(request), "HEAD") == 0;
}

/* Those that frame the message: a wrong one would break the connection. */
static bool is_reserved(struct slice name)
{
    static const char *const reserved[] = {"content-length", "transfer-encoding", "connection",
                                           "date",           "keep-alive",        "upgrade"};
    if (name.length == 0 || strchr("ctdkuCTDKU", name.data[0]) == NULL)
        return false;
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (slice_equal_case(name, reserved[i]))
            return true;
    }
    return false;
}

/* The name is at -2, one value at -1. Frees `response` before it raises. */
static void append_header(lua_State *L, struct response *response, int name_index)
{
    struct slice name, value;
    int type = lua_type(L, -1);
    name.data = lua_tolstring(L, name_index, &name.length);
    value.data =
        type == LUA_TSTRING || type == LUA_TNUMBER ? lua_tolstring(L, -1, &value.length) : NULL;
    bool reserved = is_reserved(name);
    if (value.data != NULL && !reserved && http_header_is_valid(name, value)) {
        http_response_header(&response->bytes, name, value);
        return;
    }
    response_free(response);
    if (value.data == NULL)
        call_raise(L, "header '%s' must be a string, a number or a list of them, got %s", name.data,
                   luaL_typename(L, -1));
    else if (reserved)
        call_raise(L, "header '%s' is set by the router itself", name.data);
    else if (!http_header_is_valid(name, slice_text("")))
        call_raise(L, "a header's name is empty or holds a byte that HTTP does not allow there");
    else
        call_raise(L, "header '%s' holds a byte that HTTP does not allow there", name.data);
}

static void append_headers(lua_State *L, struct response *response, int headers)
{
    if (headers == 0 || lua_type(L, headers) != LUA_TTABLE)
        return;
    lua_pushnil(L);
    while (lua_next(L, headers) != 0) {
        int name = lua_gettop(L) - 1;
        if (lua_type(L, name) != LUA_TSTRING) {
            response_free(response);
            call_raise(L, "a header's name must be a string, got %s", luaL_typename(L, name));
        } else if (lua_type(L, -1) == LUA_TTABLE) {
            lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
            for (lua_Integer i = 1; i <= count; i++) {
                lua_rawgeti(L, name + 1, i);
                append_header(L, response, name);
                lua_pop(L, 1);
            }
        } else {
            append_header(L, response, name);
        }
        lua_pop(L, 1);
    }
}

static void append_connection(struct response *response, const struct http_request *request)
{
    response->close = !request->keep_alive;
    if (response->close)
        buffer_append_text(&response->bytes, "Connection: close\r\n");
    else if (request->http_1_0)
        buffer_append_text(&response->bytes, "Connection: keep-alive\r\n");
}

static void append_length(struct response *response, uint64_t length)
{
    buffer_append_text(&response->bytes, "Content-Length: ");
    buffer_append_number(&response->bytes, length);
    buffer_append_text(&response->bytes, "\r\n");
}

/* Such a response has no body and no length (RFC 9110, 6.4.1 and 8.6). */
static bool has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static lua_Integer integer_field(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    lua_Integer value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

static void take_file(lua_State *L, struct response *response, int body)
{
    lua_getfield(L, body, "file");
    response->file = file_take(L, -1);
    lua_pop(L, 1);
    response->file_offset = integer_field(L, body, "offset");
    response->file_length = (uint64_t)integer_field(L, body, "length");
}

struct response *answer_build(lua_State *L, const struct http_request *request, int status,
                              int headers, int body)
{
    struct response *response = response_new();
    struct slice text = {"", 0};
    http_response_begin(&response->bytes, status, time(NULL));
    append_headers(L, response, headers);
    append_connection(response, request);
    bool is_file = lua_type(L, body) == LUA_TTABLE;
    if (is_file)
        take_file(L, response, body);
    else if (!lua_isnil(L, body))
        text.data = lua_tolstring(L, body, &text.length);
    if (!has_no_body(status))
        append_length(response, is_file ? response->file_length : text.length);
    http_response_end(&response->bytes);
    if (answer_is_head(request) || has_no_body(status))
        response->file_length = 0;
    else
        buffer_append_slice(&response->bytes, text);
    return response;
}

struct response *answer_build_stream(lua_State *L, const struct http_request *request, int headers)
{
    struct response *response = response_new();
    response->chunked = !request->http_1_0;
    http_response_begin(&response->bytes, 200, time(NULL));
    append_headers(L, response, headers);
    buffer_append_text(&response->bytes, "Content-Type: text/event-stream\r\n"
                                         "Cache-Control: no-store\r\n"
                                         "X-Accel-Buffering: no\r\n");
    if (answer_is_head(request)) {
        append_connection(response, request);
        http_response_end(&response->bytes);
        return response;
    }
    buffer_append_text(&response->bytes, response->chunked ? "Transfer-Encoding: chunked\r\n"
                                                           : "Connection: close\r\n");
    http_response_end(&response->bytes);
    return response;
}

void answer_append(struct response *head, struct slice text)
{
    if (text.length == 0) /* an empty chunk would be the last one */
        return;
    if (head->chunked) {
        buffer_append_hex(&head->bytes, text.length);
        buffer_append_text(&head->bytes, "\r\n");
    }
    buffer_append_slice(&head->bytes, text);
    if (head->chunked)
        buffer_append_text(&head->bytes, "\r\n");
}

/* `headers` are whole lines. */
static struct response *answer_text(const struct http_request *request, int status,
                                    const char *headers, struct slice text)
{
    struct response *response = response_new();
    http_response_begin(&response->bytes, status, time(NULL));
    append_connection(response, request);
    buffer_append_text(&response->bytes, headers);
    append_length(response, text.length);
    http_response_end(&response->bytes);
    if (!answer_is_head(request))
        buffer_append_slice(&response->bytes, text);
    return response;
}

struct response *answer_json(const struct http_request *request, int status, struct slice text)
{
    return answer_text(request, status, "Content-Type: application/json\r\n", text);
}

struct response *answer_error(const struct http_request *request, int status, const char *text)
{
    return answer_text(request, status,
                       "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n",
                       slice_text(text));
}
