#include "script/budget.h"

#include <lauxlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One router has one script thread, and a signal handler needs to find it. */
static struct budget *active;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void stop_script(lua_State *L, lua_Debug *record)
{
    (void)record;
    luaL_error(L, "the script took longer than its time budget");
}

static void stop_at_next_instruction(lua_State *L)
{
    lua_sethook(L, stop_script, LUA_MASKCOUNT | LUA_MASKCALL | LUA_MASKRET, 1);
}

static void arm(struct budget *budget, int64_t nanoseconds)
{
    struct itimerspec spec = {
        .it_value = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000}};
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
    int64_t left = budget->deadline - now();
    if (left > 0) {
        arm(budget, left);
        return;
    }
    budget->expired = 1;
    stop_at_next_instruction(budget->running);
}

void budget_init(struct budget *budget, unsigned milliseconds)
{
    *budget = (struct budget){.milliseconds = milliseconds};
    if (milliseconds == 0)
        return;
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

void budget_begin(struct budget *budget, lua_State *L)
{
    if (!budget->has_timer)
        return;
    int64_t allowed = (int64_t)budget->milliseconds * 1000000;
    budget->running = L;
    budget->expired = 0;
    budget->deadline = now() + allowed;
    if (!budget->armed)
        arm(budget, allowed);
}

void budget_end(struct budget *budget)
{
    budget->deadline = 0;
    if (budget->expired && budget->running != NULL)
        lua_sethook(budget->running, NULL, 0, 0);
    budget->running = NULL;
}

void budget_switch(struct budget *budget, lua_State *L)
{
    lua_State *before = budget->running;
    if (budget->expired && before != NULL)
        lua_sethook(before, NULL, 0, 0);
    budget->running = L;
    if (budget->expired && L != NULL)
        stop_at_next_instruction(L);
}
