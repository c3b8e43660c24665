#include "script/command.h"

#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

#include "script/leash.h"

enum { LEASH_WORDS = 4 }; /* before the program's own */

char **command_push_words(lua_State *L, int index)
{
    lua_Integer count = (lua_Integer)lua_rawlen(L, index);
    lua_pushfstring(L, "%d", (int)getpid());
    char *pid = (char *)lua_tostring(L, -1);
    char **words = lua_newuserdatauv(L, (size_t)(count + LEASH_WORDS + 1) * sizeof *words, 1);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1);
    words[0] = (char *)"sse-router";
    words[1] = (char *)LEASH_OPTION;
    words[2] = pid;
    words[3] = (char *)"--";
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        words[LEASH_WORDS + i - 1] = (char *)luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    words[LEASH_WORDS + count] = NULL;
    return words;
}

/* Appends "NAME=value" for each text in the table `changes`, to the list on top of the stack. */
static void append_changes(lua_State *L, int changes)
{
    lua_pushnil(L);
    while (lua_next(L, changes) != 0) {
        if (lua_type(L, -1) == LUA_TSTRING) {
            lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
            lua_rawseti(L, -4, (lua_Integer)lua_rawlen(L, -4) + 1);
        }
        lua_pop(L, 1);
    }
}

char **command_push_environment(lua_State *L, int index)
{
    if (!lua_istable(L, index))
        return NULL;
    lua_newtable(L);
    for (char **variable = environ; *variable != NULL; variable++) {
        const char *equals = strchr(*variable, '=');
        lua_pushlstring(L, *variable, equals == NULL ? 0 : (size_t)(equals - *variable));
        if (lua_gettable(L, index) == LUA_TNIL) {
            lua_pushstring(L, *variable);
            lua_rawseti(L, -3, (lua_Integer)lua_rawlen(L, -3) + 1);
        }
        lua_pop(L, 1);
    }
    append_changes(L, index);
    size_t count = lua_rawlen(L, -1);
    char **list = lua_newuserdatauv(L, (count + 1) * sizeof *list, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -2, (lua_Integer)i + 1);
        list[i] = (char *)lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    list[count] = NULL;
    return list;
}
