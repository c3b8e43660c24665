#ifndef SSE_SCRIPT_TIMER_H
#define SSE_SCRIPT_TIMER_H

#include "script/vm.h"

/* Timers of the script: core.timer, core.sleep. */

/* Stops the vm's timers, but for those of tasks that sleep; their handles close in the loop. */
void timer_stop_all(struct vm *vm);

#endif
