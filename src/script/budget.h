#ifndef SSE_SCRIPT_BUDGET_H
#define SSE_SCRIPT_BUDGET_H

#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* The time that one entry into Lua may take. A POSIX timer that signals the script's thread looks
 * whether the running entry is over its time; if so, it sets a hook that raises an error at every
 * further instruction, so the script's own pcall catches it only to be stopped again. No work is
 * done per entry but to note the time, and none per Lua instruction. */
struct budget {
    unsigned milliseconds; /* 0 for no limit */
    timer_t timer;
    bool has_timer;
    volatile sig_atomic_t armed;
    volatile sig_atomic_t expired;
    volatile int64_t deadline;   /* of the running entry, nanoseconds; 0 when none runs */
    lua_State *volatile running; /* the coroutine that runs */
};

/* On the script's thread. */
void budget_init(struct budget *budget, unsigned milliseconds);
void budget_deinit(struct budget *budget);
/* Around each outermost entry. */
void budget_begin(struct budget *budget, lua_State *L);
void budget_end(struct budget *budget);
/* Another coroutine runs from now on inside the entry. */
void budget_switch(struct budget *budget, lua_State *L);

#endif
