#ifndef SSE_SCRIPT_TAKEOVER_H
#define SSE_SCRIPT_TAKEOVER_H

#include "script/vm.h"

/* How a script takes the place of another: what it declares while it is loaded, and the switch. */

/* The script declares a channel. Takes the name of its reset event. */
void takeover_declare(struct vm *vm, struct channel *channel, const struct channel_options *options,
                      char *reset_name);
/* The script closes a channel that it declared. */
void takeover_undeclare(struct vm *vm, struct channel *channel);
/* Frees what the vm knows of its declarations; the channels stay as they are. */
void takeover_forget_channels(struct vm *vm);

/* Makes a reference to the script's filter for a group of that key. False when there is none: then
 * it is to a function that lets nothing through. */
bool takeover_ref_filter(struct vm *vm, struct slice key, int *out);

/* core.state(name, mark_list) -> what the script before kept under the name, copied, or nil. Lists
 * that were marked go through `mark_list`. */
int takeover_state(lua_State *L);

#endif
