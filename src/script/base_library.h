#ifndef SSE_SCRIPT_BASE_LIBRARY_H
#define SSE_SCRIPT_BASE_LIBRARY_H

#include <lua.h>

/* Functions of Lua's own libraries in forms that the budget holds for: coroutine.resume, wrap and
 * close, xpcall, and the __gc of setmetatable. */
void base_library_open(lua_State *L);

#endif
