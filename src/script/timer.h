#ifndef SSE_SCRIPT_TIMER_H
#define SSE_SCRIPT_TIMER_H

#include "script/vm.h"

/* Timers of the script: core.timer, core.sleep. */

/* As uv_timer_start, but counted from now, and not from when the turn of the loop began. */
void timer_start(uv_timer_t *handle, uv_timer_cb callback, uint64_t wait, uint64_t repeat);
/* Stops the vm's timers, but for those of tasks that sleep; their handles close in the loop. */
void timer_stop_all(struct vm *vm);

#endif
