#ifndef SSE_SCRIPT_CLOCK_H
#define SSE_SCRIPT_CLOCK_H

#include <uv.h>

/* Time as it is now. The loop's own stands still while a turn goes on, and it stays so: brought up
 * to date (uv_update_time), it would make timers due in the turn that starts them, and many that
 * sleep for a moment would leave no turn for the sockets. */

/* Milliseconds of the loop's clock. */
uint64_t clock_now(void);
/* As uv_timer_start, but counted from now, and not from when the turn of the loop began. */
void clock_start_timer(uv_timer_t *handle, uv_timer_cb callback, uint64_t wait, uint64_t repeat);

#endif
