#include "script/clock.h"

uint64_t clock_now(void)
{
    return uv_hrtime() / 1000000;
}

void clock_start_timer(uv_timer_t *handle, uv_timer_cb callback, uint64_t wait, uint64_t repeat)
{
    uint64_t now = clock_now(), turn = uv_now(handle->loop);
    uv_timer_start(handle, callback, wait + (now > turn ? now - turn : 0), repeat);
}
