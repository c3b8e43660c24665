#ifndef SSE_SCRIPT_OBSERVER_H
#define SSE_SCRIPT_OBSERVER_H

#include "script/vm.h"

/* Functions of the script that see every event of some channels: pipes, recordings. A channel knows
 * its observers, so that publishing looks at no pattern. */

/* Calls the channel's observers with the event that was just appended. */
void observer_notify(lua_State *L, struct channel *channel, const struct frame *frame);
void observer_stop_all(struct vm *vm);

#endif
