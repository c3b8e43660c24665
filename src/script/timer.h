#ifndef SSE_SCRIPT_TIMER_H
#define SSE_SCRIPT_TIMER_H

#include "script/vm.h"

/* Timers of the script: core.timer, core.sleep. */

/* Stops all timers of the vm; their handles close in the loop. */
void timer_stop_all(struct vm *vm);

#endif
