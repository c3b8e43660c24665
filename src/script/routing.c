#include "script/routing.h"

#include <stdlib.h>

#include "base/memory.h"
#include "script/module.h"

/* The registry's entry for the router that answers requests. */
static const char answering_router;

static struct routing *check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, "sse.router");
}

/* core.router() -> router. Its user value is the list of the routes by number. */
static int l_router(lua_State *L)
{
    struct routing *routing = lua_newuserdatauv(L, sizeof *routing, 1);
    *routing = (struct routing){0};
    route_tree_init(&routing->tree);
    luaL_setmetatable(L, "sse.router");
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

/* core.use_router(router): it answers requests from now on */
static int l_use_router(lua_State *L)
{
    check(L, 1);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &answering_router);
    return 0;
}

struct routing *routing_push_router(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &answering_router) == LUA_TUSERDATA)
        return lua_touserdata(L, -1);
    lua_pop(L, 1);
    return NULL;
}

/* Adding */

static struct slice string_field(lua_State *L, int index, const char *name)
{
    struct slice text;
    lua_getfield(L, index, name);
    text.data = luaL_checklstring(L, -1, &text.length);
    lua_pop(L, 1); /* the table still holds it */
    return text;
}

/* The list of { kind = "literal" | ":" | "*", name = text } at the index. A userdata, left on the
 * stack. */
static struct route_segment *read_segments(lua_State *L, int index, size_t count)
{
    struct route_segment *segments = lua_newuserdatauv(L, (count + 1) * sizeof *segments, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        struct slice kind = string_field(L, -1, "kind");
        segments[i] = (struct route_segment){
            .kind = kind.data[0] == ':'   ? ROUTE_PARAMETER
                    : kind.data[0] == '*' ? ROUTE_REST
                                          : ROUTE_LITERAL,
            .text = string_field(L, -1, "name"),
        };
        lua_pop(L, 1);
    }
    return segments;
}

static void add_name(struct routing_entry *entry, struct slice name)
{
    entry->names = memory_grow(entry->names, (entry->name_count + 1) * sizeof *entry->names);
    entry->names[entry->name_count++] = memory_copy(name.data, name.length);
}

/* route.publishes: true, or the channel's name. */
static void read_publishes(lua_State *L, int route, struct routing_entry *entry)
{
    int type = lua_istable(L, route) ? lua_getfield(L, route, "publishes") : LUA_TNIL;
    if (type == LUA_TSTRING) {
        entry->publishes = true;
        entry->channel = memory_copy(lua_tostring(L, -1), lua_rawlen(L, -1));
    }
    for (unsigned i = 0; i < entry->name_count && type == LUA_TBOOLEAN; i++) {
        if (strcmp(entry->names[i], "channel") != 0)
            continue;
        entry->publishes = true;
        entry->parameter = i;
    }
    lua_settop(L, route);
}

/* router:add(method, segments, route) -> nothing, or the route that is there already */
static int l_add(lua_State *L)
{
    struct routing *routing = check(L, 1);
    struct slice method;
    method.data = luaL_checklstring(L, 2, &method.length);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 4);
    size_t count = lua_rawlen(L, 3);
    struct route_segment *segments = read_segments(L, 3, count);
    lua_getiuservalue(L, 1, 1);
    int value = route_add(&routing->tree, method, segments, count, routing->count);
    if (value < 0)
        return luaL_error(L, "too many methods");
    if (value < routing->count) {
        lua_rawgeti(L, -1, value + 1);
        return 1;
    }
    lua_pushvalue(L, 4);
    lua_rawseti(L, -2, value + 1);
    routing->entries =
        memory_grow(routing->entries, ((size_t)value + 1) * sizeof *routing->entries);
    struct routing_entry *entry = &routing->entries[routing->count++];
    *entry = (struct routing_entry){0};
    for (size_t i = 0; i < count; i++) {
        if (segments[i].kind != ROUTE_LITERAL)
            add_name(entry, segments[i].text);
    }
    read_publishes(L, 4, entry);
    return 0;
}

/* router:answer_in_script(): answers need headers that only the library knows */
static int l_answer_in_script(lua_State *L)
{
    check(L, 1)->in_script = true;
    return 0;
}

/* Finding */

void routing_find(struct routing *routing, struct slice method, struct slice path,
                  struct routing_found *out)
{
    out->status = route_find(&routing->tree, method, path, &out->match);
}

static void push_parameters(lua_State *L, const struct routing_entry *entry,
                            const struct route_match *match)
{
    lua_createtable(L, 0, (int)match->value_count);
    for (unsigned i = 0; i < match->value_count; i++) {
        lua_pushlstring(L, match->values[i].data, match->values[i].length);
        lua_setfield(L, -2, entry->names[i]);
    }
}

static void push_refusal(lua_State *L, const struct routing *routing,
                         const struct routing_found *found)
{
    struct buffer allow = {0};
    lua_pushnil(L);
    lua_pushinteger(L, found->status);
    if (found->status != 405) {
        lua_pushnil(L);
        return;
    }
    route_allow(&routing->tree, found->match.allowed, &allow);
    lua_pushlstring(L, allow.data, allow.length);
    buffer_deinit(&allow);
}

void routing_push(lua_State *L, int router, const struct routing_found *found)
{
    const struct routing *routing = lua_touserdata(L, router);
    if (found->status != 0) {
        push_refusal(L, routing, found);
        return;
    }
    lua_getiuservalue(L, router, 1);
    lua_rawgeti(L, -1, found->match.value + 1);
    lua_remove(L, -2);
    push_parameters(L, &routing->entries[found->match.value], &found->match);
    lua_pushnil(L);
}

/* router:match(method, path) -> as routing_push */
static int l_match(lua_State *L)
{
    struct routing *routing = check(L, 1);
    struct slice method, path;
    struct routing_found found;
    method.data = luaL_checklstring(L, 2, &method.length);
    path.data = luaL_checklstring(L, 3, &path.length);
    routing_find(routing, method, path, &found);
    routing_push(L, 1, &found);
    return 3;
}

static int l_gc(lua_State *L)
{
    struct routing *routing = check(L, 1);
    route_tree_deinit(&routing->tree);
    for (int i = 0; i < routing->count; i++) {
        for (size_t name = 0; name < routing->entries[i].name_count; name++)
            free(routing->entries[i].names[name]);
        free(routing->entries[i].names);
        free(routing->entries[i].channel);
    }
    free(routing->entries);
    routing->entries = NULL;
    routing->count = 0;
    return 0;
}

void routing_open_module(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"add", l_add}, {"match", l_match}, {"answer_in_script", l_answer_in_script}, {NULL, NULL}};
    lua_pushcfunction(L, l_router);
    lua_setfield(L, -2, "router");
    lua_pushcfunction(L, l_use_router);
    lua_setfield(L, -2, "use_router");
    module_define_type(L, "sse.router", methods, l_gc);
}
