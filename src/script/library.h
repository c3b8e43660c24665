#ifndef SSE_SCRIPT_LIBRARY_H
#define SSE_SCRIPT_LIBRARY_H

#include <lua.h>

/* The Lua half of the `sse` module: the files of scripts/, embedded by CMake (cmake/embed.cmake).
 * `require "sse"` finds init.lua, `require "sse.NAME"` finds NAME.lua; a folder that the vm's
 * options name comes first. */
struct library_file {
    const char *name; /* "init", "router", ... */
    const char *text;
    unsigned long length;
};

/* Generated; ends with an entry whose name is NULL. */
extern const struct library_file library_files[];

/* The embedded file of that name, or NULL. */
const struct library_file *library_find(const char *name);

/* Adds the searcher to package.searchers. */
void library_open(lua_State *L);

#endif
