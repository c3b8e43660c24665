#include "script/event.h"

#include <string.h>
#include <time.h>

#include "base/error.h"
#include "script/call.h"

int64_t event_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct slice slice_at(lua_State *L, int index)
{
    size_t length;
    const char *data = lua_tolstring(L, index, &length);
    return slice_of(data, length);
}

/* The field as text: a string, or a number as its digits. Data NULL when it is absent. */
static struct slice text_field(lua_State *L, int index, const char *name)
{
    int type = lua_getfield(L, index, name);
    if (type == LUA_TNIL)
        return slice_of(NULL, 0);
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
        call_raise(L, "event.%s must be a string, got %s", name, lua_typename(L, type));
    return slice_at(L, -1);
}

/* A table (or any value that is no string) as JSON; it takes the place on the stack. */
static struct slice encode_top(lua_State *L, const char *field)
{
    vm_push_hook(L, HOOK_ENCODE);
    lua_insert(L, -2);
    lua_pushstring(L, field);
    lua_call(L, 2, 1);
    return slice_at(L, -1);
}

static int64_t read_retry(lua_State *L, int index)
{
    if (lua_getfield(L, index, "retry") == LUA_TNIL) {
        lua_pop(L, 1);
        return -1;
    }
    vm_push_hook(L, HOOK_DURATION);
    lua_insert(L, -2);
    lua_call(L, 1, 2);
    if (lua_isnil(L, -2))
        call_raise(L, "event.retry: %s", lua_tostring(L, -1));
    double seconds = lua_tonumber(L, -2);
    lua_pop(L, 2);
    return (int64_t)(seconds * 1000);
}

/* Unknown fields are found by counting, so that an event without any costs little. */
static void check_fields(lua_State *L, int index, int known)
{
    int fields = 0;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        lua_pop(L, 1);
        fields++;
    }
    if (fields == known)
        return;
    vm_push_hook(L, HOOK_EVENT);
    lua_pushvalue(L, index);
    lua_call(L, 1, 0);
}

static bool has_field(lua_State *L, int index, const char *name)
{
    bool has = lua_getfield(L, index, name) != LUA_TNIL;
    lua_pop(L, 1);
    return has;
}

static void read_table(lua_State *L, int index, struct frame_source *out)
{
    int known = 0;
    out->name = text_field(L, index, "event");
    out->id = text_field(L, index, "id");
    out->key = text_field(L, index, "key");
    out->retry = read_retry(L, index);
    known = (out->name.data != NULL) + (out->id.data != NULL) + (out->key.data != NULL) +
            (out->retry >= 0);
    int type = lua_getfield(L, index, "meta");
    if (type != LUA_TNIL) {
        known++;
        out->meta = encode_top(L, "meta");
    }
    type = lua_getfield(L, index, "data");
    known += type != LUA_TNIL;
    known += has_field(L, index, "idempotency_key");
    if (type == LUA_TSTRING) {
        out->data = slice_at(L, -1);
    } else if (type != LUA_TNIL) {
        out->data = encode_top(L, "data");
        out->flags |= FRAME_JSON;
    }
    check_fields(L, index, known);
}

void event_read(lua_State *L, int index, struct frame_source *out)
{
    *out = (struct frame_source){.retry = -1};
    luaL_checkstack(L, 16, NULL);
    if (lua_type(L, index) == LUA_TSTRING)
        out->data = slice_at(L, index);
    else if (lua_type(L, index) == LUA_TTABLE)
        read_table(L, lua_absindex(L, index), out);
    else
        call_raise(L, "an event must be a table or a string, got %s", luaL_typename(L, index));
    /* NULL would be no pointer for memcpy and friends. */
    if (out->data.data == NULL)
        out->data = slice_of("", 0);
}

const char *event_problem(int error)
{
    if (error == ERROR_LINE_BREAK)
        return "a line break or NUL is not allowed in an event's name or id";
    if (error == ERROR_UTF8)
        return "the event's name, id and data must be valid UTF-8";
    return error_text(error);
}

int event_raise(lua_State *L, const char *what, int error)
{
    if (error == ERROR_EVENT_TOO_LARGE)
        return call_raise(L, "%s: the event's data is larger than the limit of %I bytes", what,
                          (lua_Integer)vm_of(L)->hub->limits.event_bytes);
    return call_raise(L, "%s: %s", what, event_problem(error));
}
