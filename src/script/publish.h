#ifndef SSE_SCRIPT_PUBLISH_H
#define SSE_SCRIPT_PUBLISH_H

#include <lua.h>

/* Publishing for the script. Each gives id, subscribers, durable, duplicate; or nil, a message and
 * a code when the disk refuses the event. */

/* core.publish(channel, event), and a channel's method */
int publish_event(lua_State *L);
/* channel:delete(key, event) -> nothing when the channel does not have the key */
int publish_delete(lua_State *L);

/* Adds the functions to the table `core` on top of the stack. */
void publish_open_module(lua_State *L);

#endif
