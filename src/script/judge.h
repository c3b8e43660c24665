#ifndef SSE_SCRIPT_JUDGE_H
#define SSE_SCRIPT_JUDGE_H

#include "script/vm.h"

/* What the script's filters make of events. */

/* What one group's filter makes of a frame: NULL to drop it, the frame, or a changed one; with a
 * reference for the caller. A filter that fails drops it. */
struct frame *judge_frame(struct vm *vm, struct group *group, const struct channel *channel,
                          struct frame *frame);

/* Appends the frame with what each filter group of the channel makes of it. `event` is the index of
 * the script's own event on L, or 0 when there is none. */
void judge_commit(lua_State *L, struct channel *channel, struct frame *frame, int event);

/* Pushes the frame as the script sees events: a fresh table with data, event, id, key, meta,
 * channel. */
void judge_push_event(lua_State *L, const struct frame *frame, struct slice channel);

#endif
