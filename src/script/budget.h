#ifndef SSE_SCRIPT_BUDGET_H
#define SSE_SCRIPT_BUDGET_H

#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* The time that one entry into Lua may take. A POSIX timer that signals the script's thread looks
 * whether the running entry is over its time; if so, it sets a hook that makes the coroutine yield
 * at its next instruction, which no pcall of the script's sees, and whoever resumed it closes it.
 * Where nothing can yield (below a C function such as string.gsub), the hook raises an error at
 * each instruction, until the script is back where it can. Nothing is done per Lua instruction, and
 * per entry no more than to note the time.
 *
 * A script that goes on for long is interrupted every BUDGET_TURN milliseconds for its owner's
 * `turn`, so that what it has said already need not wait until it has done thinking. */

typedef void (*budget_turn_fn)(void *context);

enum { BUDGET_TURN = 10 };

struct budget {
    unsigned milliseconds; /* 0 for no limit */
    unsigned allowed;      /* to the running entry, milliseconds */
    timer_t timer;
    bool has_timer;
    volatile sig_atomic_t armed;
    volatile sig_atomic_t expired;
    volatile sig_atomic_t turn_is_due;
    volatile int64_t deadline;   /* of the running entry, nanoseconds; 0 when none runs */
    lua_State *volatile running; /* the coroutine that runs */
    lua_State *stopped;          /* the last one that was made to yield */
    char place[160];             /* "file:line: " where the entry was stopped, or "" */
    budget_turn_fn turn;         /* must not enter Lua */
    void *context;
    int64_t turned_at; /* nanoseconds */
};

/* What an entry finds, for its end. */
struct budget_entry {
    int64_t deadline;
    int64_t since;
    lua_State *running;
    unsigned allowed;
    bool expired;
};

/* On the script's thread. */
void budget_init(struct budget *budget, unsigned milliseconds, budget_turn_fn turn, void *context);
void budget_deinit(struct budget *budget);

/* Around each entry, which may take the budget `times` over. Entries nest: each has a time of its
 * own, and that of the one outside stands still meanwhile. */
void budget_enter(struct budget *budget, lua_State *L, unsigned times, struct budget_entry *entry);
void budget_leave(struct budget *budget, const struct budget_entry *entry);
/* Another coroutine runs from now on inside the entry. Returns the one before. */
lua_State *budget_switch(struct budget *budget, lua_State *L);

/* Whether the time is looked at by a hook that counts instructions, not by a signal. */
bool budget_counts(void);
/* True when the running entry's time is over. */
bool budget_is_over(const struct budget *budget);
/* True when the coroutine's yield is the budget's doing. */
bool budget_has_stopped(const struct budget *budget, const lua_State *L);
/* Pushes what happened, for the error. */
const char *budget_push_message(const struct budget *budget, lua_State *L);

#endif
