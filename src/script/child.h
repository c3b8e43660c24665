#ifndef SSE_SCRIPT_CHILD_H
#define SSE_SCRIPT_CHILD_H

#include "script/vm.h"

/* Children of the script: core.child and the methods of "sse.child". */

/* Another script takes over: it gets the running children of the one before, and may claim each by
 * its key for a while; those that it does not claim end. */
void child_hand_over(struct vm *from, struct vm *to);
/* Ends all children of the vm; their handles close in the loop, when they are gone. */
void child_stop_all(struct vm *vm);

#endif
