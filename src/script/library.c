#include "script/library.h"

#include <string.h>

#include "script/vm.h"

const struct library_file *library_find(const char *name)
{
    for (const struct library_file *file = library_files; file->name != NULL; file++) {
        if (strcmp(file->name, name) == 0)
            return file;
    }
    return NULL;
}

/* Files of the library are named "=sse/NAME.lua" to Lua, wherever they come from, so that messages
 * can tell them from the user's own. */
static int load_from_folder(lua_State *L, const char *folder, const char *name)
{
    luaL_Buffer text;
    char block[4096];
    size_t length;
    const char *path = lua_pushfstring(L, "%s/%s.lua", folder, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    luaL_buffinit(L, &text);
    while ((length = fread(block, 1, sizeof block, file)) > 0)
        luaL_addlstring(&text, block, length);
    fclose(file);
    luaL_pushresult(&text);
    const char *code = lua_tolstring(L, -1, &length);
    if (luaL_loadbufferx(L, code, length, lua_pushfstring(L, "=sse/%s.lua", name), "t") != LUA_OK)
        return lua_error(L);
    return 1;
}

static int l_search(lua_State *L)
{
    const char *module = luaL_checkstring(L, 1);
    const char *folder = vm_of(L)->options.scripts;
    const char *name = strcmp(module, "sse") == 0        ? "init"
                       : strncmp(module, "sse.", 4) == 0 ? module + 4
                                                         : NULL;
    if (name == NULL)
        return 0;
    if (folder != NULL && load_from_folder(L, folder, name))
        return 1;
    const struct library_file *file = library_find(name);
    if (file == NULL) {
        lua_pushfstring(L, "no file '%s.lua' in the router's library", name);
        return 1;
    }
    const char *chunk = lua_pushfstring(L, "=sse/%s.lua", name);
    if (luaL_loadbufferx(L, file->text, file->length, chunk, "t") != LUA_OK)
        return lua_error(L);
    return 1;
}

void library_open(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchers");
    /* Behind package.preload, before the path: a file beside the script cannot take the name. */
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i >= 2; i--) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushcfunction(L, l_search);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 2);
}
