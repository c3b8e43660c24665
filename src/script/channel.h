#ifndef SSE_SCRIPT_CHANNEL_H
#define SSE_SCRIPT_CHANNEL_H

#include <lua.h>

struct channel;

/* The channel that the value at the index means: a channel's userdata, or a name; a channel of that
 * name is made when there is none. Raises for anything else, and for a closed channel. */
struct channel *channel_at(lua_State *L, int index);

#endif
