#include "script/module.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "proto/uri.h"
#include "proto/utf8.h"
#include "script/call.h"
#include "script/publication.h"
#include "script/takeover.h"
#include "script/vm.h"

/* core.hooks { name = function, ... } */
static int l_hooks(lua_State *L)
{
    static const char *const names[HOOK_COUNT] = {"dispatch", "fail",    "encode", "decode",
                                                  "duration", "event",   "emit",   "keeps",
                                                  "refilter", "describe"};
    struct vm *vm = vm_of(L);
    for (int i = 0; i < HOOK_COUNT; i++) {
        lua_getfield(L, 1, names[i]);
        luaL_checktype(L, -1, LUA_TFUNCTION);
        vm->hooks[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    return 0;
}

/* core.log(level, text) */
static int l_log(lua_State *L)
{
    enum log_level level;
    if (!log_line_parse_level(luaL_checkstring(L, 1), &level))
        return luaL_argerror(L, 1, "unknown level");
    log_line(level, "%s", luaL_checkstring(L, 2));
    return 0;
}

/* core.report(what, message): an error of the script that the library has caught; without a message
 * it is only counted */
static int l_report(lua_State *L)
{
    const char *what = luaL_checkstring(L, 1);
    if (lua_isnoneornil(L, 2))
        vm_of(L)->errors++;
    else
        vm_report(vm_of(L), what, luaL_checkstring(L, 2));
    return 0;
}

/* core.now() -> seconds since 1970 */
static int l_now(lua_State *L)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    lua_pushnumber(L, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
    return 1;
}

/* core.monotonic() -> seconds of a clock that is never set */
static int l_monotonic(lua_State *L)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    lua_pushnumber(L, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
    return 1;
}

/* core.equal(a, b): compares in a time that depends on the length of b alone, so that a caller who
 * tries secrets learns nothing from how long an answer took. */
static int l_equal(lua_State *L)
{
    size_t a_length, b_length;
    const char *a = luaL_checklstring(L, 1, &a_length);
    const char *b = luaL_checklstring(L, 2, &b_length);
    volatile unsigned char difference = a_length != b_length;
    for (size_t i = 0; i < b_length; i++)
        difference |= (unsigned char)(b[i] ^ (a_length == 0 ? 0 : a[i % a_length]));
    lua_pushboolean(L, difference == 0);
    return 1;
}

/* core.listen(address) */
static int l_listen(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    struct vm *vm = vm_of(L);
    if (!vm->loading)
        return call_raise(L, "sse.listen works only while the script is loaded");
    struct vm_address *address = memory_zero(1, sizeof *address);
    address->text = memory_copy(text, length);
    call_push_place(L);
    address->where = memory_copy(lua_tostring(L, -1), lua_rawlen(L, -1));
    list_append(&vm->addresses, &address->link);
    return 0;
}

/* core.decode_uri(text, plus_is_space) -> text, or nil when it is malformed */
static int l_decode_uri(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    struct buffer out = {0};
    bool ok = uri_decode(&out, slice_of(text, length), lua_toboolean(L, 2));
    if (ok)
        lua_pushlstring(L, out.data == NULL ? "" : out.data, out.length);
    else
        lua_pushnil(L);
    buffer_deinit(&out);
    return 1;
}

static void push_decoded(lua_State *L, struct slice text)
{
    struct buffer out = {0};
    if (uri_decode(&out, text, true))
        lua_pushlstring(L, out.data == NULL ? "" : out.data, out.length);
    else
        lua_pushlstring(L, text.data, text.length);
    buffer_deinit(&out);
}

/* Adds the value on top of the stack to the list all[name], made when it is not there. Pops it. */
static void add_to_list(lua_State *L, int all, int name)
{
    lua_pushvalue(L, name);
    if (lua_rawget(L, all) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, name);
        lua_pushvalue(L, -2);
        lua_rawset(L, all);
    }
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}

/* core.parse_query(text) -> { name = first value }, { name = { values } }. A malformed escape is
 * kept as it is. */
static int l_parse_query(lua_State *L)
{
    size_t length, position = 0;
    const char *text = luaL_checklstring(L, 1, &length);
    struct slice name, value;
    lua_settop(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    while (uri_next_pair(slice_of(text, length), &position, &name, &value)) {
        push_decoded(L, name);
        push_decoded(L, value);
        lua_pushvalue(L, 4);
        if (lua_rawget(L, 2) == LUA_TNIL) {
            lua_pushvalue(L, 4);
            lua_pushvalue(L, 5);
            lua_rawset(L, 2);
        }
        lua_pop(L, 1);
        add_to_list(L, 3, 4);
        lua_pop(L, 1);
    }
    return 2;
}

/* core.reload(): loads the script anew, soon */
static int l_reload(lua_State *L)
{
    struct vm *vm = vm_of(L);
    if (vm->loading)
        return call_raise(L, "sse.reload cannot be called while the script is loaded");
    vm->host.reload(vm->host.context);
    return 0;
}

/* core.is_loading() -> whether the script is being loaded */
static int l_is_loading(lua_State *L)
{
    lua_pushboolean(L, vm_of(L)->loading);
    return 1;
}

/* core.is_checking() -> whether the script is only looked at (--check) */
static int l_is_checking(lua_State *L)
{
    lua_pushboolean(L, vm_of(L)->options.check);
    return 1;
}

/* core.hash(text) -> an integer of 32 bits */
static int l_hash(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_pushinteger(L, (lua_Integer)(map_hash(text, length) & 0x7fffffff));
    return 1;
}

/* core.is_retired() -> whether another script has taken this one's place */
static int l_is_retired(lua_State *L)
{
    lua_pushboolean(L, vm_of(L)->retired);
    return 1;
}

/* core.random_id() -> 32 hex digits that nobody can guess */
static int l_random_id(lua_State *L)
{
    unsigned char bytes[16];
    char text[33];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return luaL_error(L, "the system has no random bytes");
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    lua_pushlstring(L, text, 32);
    return 1;
}

/* core.epoch() -> the epoch of ids */
static int l_epoch(lua_State *L)
{
    lua_pushstring(L, vm_of(L)->hub->epoch);
    return 1;
}

/* core.event_limit() -> bytes of one event's data */
static int l_event_limit(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)vm_of(L)->hub->limits.event_bytes);
    return 1;
}

/* core.is_utf8(text) */
static int l_is_utf8(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_pushboolean(L, utf8_is_valid(slice_of(text, length)));
    return 1;
}

/* core.is_event_id(text) -> whether an event may have that id */
static int l_is_event_id(lua_State *L)
{
    struct event_fields fields = {.retry = -1};
    fields.id.data = luaL_checklstring(L, 1, &fields.id.length);
    lua_pushboolean(L, fields.id.length > 0 && event_stream_check(&fields) == 0 &&
                           start_is_id(fields.id));
    return 1;
}

/* core.place() -> "file:line: " of the user's code */
static int l_place(lua_State *L)
{
    call_push_place(L);
    return 1;
}

/* core.script_dir() -> the script's folder, ends with "/" */
static int l_script_dir(lua_State *L)
{
    const char *folder = vm_of(L)->folder;
    lua_pushstring(L, folder == NULL ? "./" : folder);
    return 1;
}

/* core.watch_closing(): from now on the hook "emit" is told of "closed" with the connection. */
static int l_watch_closing(lua_State *L)
{
    vm_of(L)->watches_closing = true;
    return 0;
}

static int l_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"hooks", l_hooks},
        {"log", l_log},
        {"report", l_report},
        {"now", l_now},
        {"monotonic", l_monotonic},
        {"equal", l_equal},
        {"listen", l_listen},
        {"decode_uri", l_decode_uri},
        {"parse_query", l_parse_query},
        {"is_utf8", l_is_utf8},
        {"is_event_id", l_is_event_id},
        {"random_id", l_random_id},
        {"reload", l_reload},
        {"is_retired", l_is_retired},
        {"is_loading", l_is_loading},
        {"is_checking", l_is_checking},
        {"hash", l_hash},
        {"state", takeover_state},
        {"epoch", l_epoch},
        {"event_limit", l_event_limit},
        {"place", l_place},
        {"script_dir", l_script_dir},
        {"watch_closing", l_watch_closing},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    counters_open_module(L);
    channel_open_module(L);
    request_open_module(L);
    routing_open_module(L);
    subscribe_open_module(L);
    stream_open_module(L);
    timer_open_module(L);
    file_open_module(L);
    observer_open_module(L);
    fetch_open_module(L);
    legacy_open_module(L);
    digest_open_module(L);
    bell_open_module(L);
    audience_open_module(L);
    source_open_module(L);
    child_open_module(L);
    watch_open_module(L);
    disk_open_module(L);
    inspect_open_module(L);
    return 1;
}

void module_define_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

void module_open(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, l_open);
    lua_setfield(L, -2, "sse.core");
    lua_pop(L, 2);
}
