#ifndef SSE_SCRIPT_MODULE_H
#define SSE_SCRIPT_MODULE_H

#include <lauxlib.h>
#include <lua.h>

/* The C half of the `sse` module, for its Lua half alone: require "sse.core". Each file of this
 * folder that binds a part of it adds its functions to the module's table. */
void module_open(lua_State *L);

/* Makes the metatable of a kind of userdata with these methods, and `gc` for one that is collected.
 */
void module_define_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc);

/* Each adds its functions to the table on top of the stack. */
void counters_open_module(lua_State *L);
void channel_open_module(lua_State *L);
void request_open_module(lua_State *L);
void routing_open_module(lua_State *L);
void subscribe_open_module(lua_State *L);
void stream_open_module(lua_State *L);
void timer_open_module(lua_State *L);
void file_open_module(lua_State *L);
void observer_open_module(lua_State *L);
void fetch_open_module(lua_State *L);
void legacy_open_module(lua_State *L);
void digest_open_module(lua_State *L);
void bell_open_module(lua_State *L);
void audience_open_module(lua_State *L);
void source_open_module(lua_State *L);
void child_open_module(lua_State *L);
void watch_open_module(lua_State *L);
void disk_open_module(lua_State *L);
void inspect_open_module(lua_State *L);

#endif
