#ifndef SSE_SCRIPT_PUBLISH_H
#define SSE_SCRIPT_PUBLISH_H

#include "script/vm.h"

/* Publishing for the script. Each gives id, subscribers, durable, duplicate; or nil, a message and
 * a code when the disk refuses the event. */

/* core.publish(channel, event), and a channel's method */
int publish_event(lua_State *L);
/* channel:delete(key, event) -> nothing when the channel does not have the key */
int publish_delete(lua_State *L);

/* Publishes data as it is, without entering the script, and gives its sequence. False, and nothing
 * is changed, when that cannot be done at once: the channel has keys or is on disk, others wait, or
 * the data is refused. */
bool publish_plain(struct vm *vm, struct channel *channel, struct slice data, uint64_t *sequence);

/* Adds the functions to the table `core` on top of the stack. */
void publish_open_module(lua_State *L);

#endif
