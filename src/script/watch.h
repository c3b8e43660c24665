#ifndef SSE_SCRIPT_WATCH_H
#define SSE_SCRIPT_WATCH_H

#include "script/vm.h"

/* Notices of changes in the file system: core.watch. */

/* Stops all watches of the vm; their handles close in the loop. */
void watch_stop_all(struct vm *vm);

#endif
