#ifndef SSE_SCRIPT_BELL_H
#define SSE_SCRIPT_BELL_H

#include <lua.h>
#include <stdbool.h>

/* What one task waits for when several things may wake it: core.bell. */

struct bell;

struct bell *bell_check(lua_State *L, int index);
/* Others may hold a bell beyond its userdata; ringing it then does nothing. */
struct bell *bell_ref(struct bell *bell);
void bell_unref(struct bell *bell);
/* Wakes the task that waits, in the loop's next turn; else the next wait returns at once. Calls
 * nothing back. */
void bell_ring(struct bell *bell);
/* The userdata is gone. */
bool bell_is_closed(const struct bell *bell);

#endif
