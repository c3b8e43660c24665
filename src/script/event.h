#ifndef SSE_SCRIPT_EVENT_H
#define SSE_SCRIPT_EVENT_H

#include "core/frame.h"
#include "script/vm.h"

/* Events as scripts write them: { event=, data=, id=, retry=, key=, meta= }, or a string, which is
 * the data alone. */

/* Reads the event at the index into `out`, whose slices borrow from values that are left on the
 * stack. Raises for a mistake. Does not fill in sequence and time. */
void event_read(lua_State *L, int index, struct frame_source *out);

/* What an ERROR_ code of encoding means. */
const char *event_problem(int error);
/* Raises it. `what` names the call. */
int event_raise(lua_State *L, const char *what, int error);

/* Milliseconds of the wall clock. */
int64_t event_now(void);

#endif
