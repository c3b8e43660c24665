#include "script/budget.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "script/call.h"

/* Nanoseconds until the signal comes again: for a turn, and since a script may remove the hook. */
static const int64_t again = (int64_t)BUDGET_TURN * 1000000;

/* Without a limit a deadline is far off. */
static const int64_t never = INT64_MAX / 4;

/* ThreadSanitizer holds signals back until the program calls into libc, which a loop in Lua never
 * does: there, a hook that comes every so many instructions looks at the clock. */
#ifdef __SANITIZE_THREAD__
enum { POLL = 1000 };
#else
enum { POLL = 0 };
#endif

/* One router has one script thread, and a signal handler needs to find it. */
static struct budget *active;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Stopping */

const char *budget_push_message(const struct budget *budget, lua_State *L)
{
    return lua_pushfstring(L, "%sthe script took longer than its time budget of %d ms",
                           budget->place, (int)budget->allowed);
}

static void watch(const struct budget *budget, lua_State *L);

static void poll(struct budget *budget)
{
    int64_t time = now();
    if (time > budget->deadline)
        budget->expired = 1;
    if (time > budget->turned_at + again)
        budget->turn_is_due = 1;
}

static void take_turn(struct budget *budget)
{
    if (!budget->turn_is_due)
        return;
    budget->turn_is_due = 0;
    budget->turn(budget->context);
    budget->turned_at = POLL > 0 ? now() : 0;
}

static void on_instruction(lua_State *L, lua_Debug *record)
{
    struct budget *budget = active;
    (void)record;
    if (POLL > 0 && budget != NULL && budget->deadline != 0)
        poll(budget);
    if (budget != NULL)
        take_turn(budget);
    if (budget == NULL || !budget->expired) {
        /* Left from an entry that is over. */
        if (POLL == 0)
            lua_sethook(L, NULL, 0, 0);
        else if (budget != NULL)
            watch(budget, L);
        return;
    }
    watch(budget, L);
    if (budget->place[0] == '\0')
        call_find_place(L, budget->place, sizeof budget->place);
    if (lua_isyieldable(L)) {
        budget->stopped = L;
        lua_yield(L, 0);
        return;
    }
    budget_push_message(budget, L);
    lua_error(L);
}

/* Has the hook come at the next instruction of a coroutine whose time is over. */
static void watch(const struct budget *budget, lua_State *L)
{
    if (budget->expired)
        lua_sethook(L, on_instruction, LUA_MASKCOUNT, 1);
    else if (POLL > 0)
        lua_sethook(L, on_instruction, LUA_MASKCOUNT, POLL);
}

static void arm(struct budget *budget)
{
    int64_t left = budget->deadline - now();
    struct itimerspec spec = {.it_value.tv_nsec = left <= 0 || left > again ? again : left};
    budget->armed = 1;
    timer_settime(budget->timer, 0, &spec, NULL);
}

/* lua_sethook may be called from a signal handler (lua.h says so of no other function). */
static void on_signal(int number)
{
    (void)number;
    struct budget *budget = active;
    if (budget == NULL)
        return;
    budget->armed = 0;
    if (budget->deadline == 0)
        return;
    budget->turn_is_due = 1;
    if (now() >= budget->deadline)
        budget->expired = 1;
    lua_sethook(budget->running, on_instruction, LUA_MASKCOUNT, 1);
    arm(budget);
}

/* Life */

void budget_init(struct budget *budget, unsigned milliseconds, budget_turn_fn turn, void *context)
{
    *budget = (struct budget){.milliseconds = milliseconds, .turn = turn, .context = context};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    sigaction(SIGALRM, &action, NULL);
    budget->has_timer = timer_create(CLOCK_MONOTONIC, &event, &budget->timer) == 0;
    active = budget;
}

void budget_deinit(struct budget *budget)
{
    if (active == budget)
        active = NULL;
    if (budget->has_timer)
        timer_delete(budget->timer);
    budget->has_timer = false;
}

/* Entries */

void budget_enter(struct budget *budget, lua_State *L, unsigned times, struct budget_entry *entry)
{
    if (!budget->has_timer)
        return;
    int64_t since = now();
    *entry = (struct budget_entry){.deadline = budget->deadline,
                                   .since = since,
                                   .running = budget->running,
                                   .allowed = budget->allowed,
                                   .expired = budget->expired};
    /* The signal finds no deadline until everything else is in place. */
    budget->deadline = 0;
    budget->expired = 0;
    budget->place[0] = '\0';
    budget->stopped = NULL;
    budget->running = L;
    budget->allowed = budget->milliseconds * times;
    watch(budget, L);
    budget->deadline = since + (budget->allowed == 0 ? never : (int64_t)budget->allowed * 1000000);
    if (!budget->armed)
        arm(budget);
}

void budget_leave(struct budget *budget, const struct budget_entry *entry)
{
    if (!budget->has_timer)
        return;
    budget->deadline = 0;
    budget->expired = entry->expired;
    budget->place[0] = '\0';
    budget->running = entry->running;
    budget->allowed = entry->allowed;
    if (entry->deadline == 0)
        return;
    watch(budget, entry->running);
    budget->deadline = entry->deadline + now() - entry->since;
}

lua_State *budget_switch(struct budget *budget, lua_State *L)
{
    lua_State *before = budget->running;
    budget->running = L;
    /* Coroutines that take turns start the hook's count anew before it has come to its end. */
    if (POLL > 0 && budget->deadline != 0)
        poll(budget);
    if (budget->has_timer)
        watch(budget, L);
    return before;
}

bool budget_counts(void)
{
    return POLL > 0;
}

bool budget_is_over(const struct budget *budget)
{
    return budget->expired;
}

bool budget_has_stopped(const struct budget *budget, const lua_State *L)
{
    return budget->has_timer && budget->stopped == L;
}
