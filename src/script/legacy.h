#ifndef SSE_SCRIPT_LEGACY_H
#define SSE_SCRIPT_LEGACY_H

#include "script/vm.h"

/* What a source leaves to the source of the same definition in the script that takes over: a text
 * that says how far it is, and its open transfer. core.legacy and the methods of "sse.legacy". */

/* Another script takes over, whose sources have said their definitions while it was loaded: each
 * waits for the one of its definition. To be called before the tasks of `from` are ended. */
void legacy_hand_over(struct vm *from, struct vm *to);
/* The tasks of `from` have ended, except for those of busy sources: the others have left what there
 * was to leave, and nobody waits for them any more. */
void legacy_settle(struct vm *from);
void legacy_stop_all(struct vm *vm);

#endif
