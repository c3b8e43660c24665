/* What the router counts, for sse.stats(). */
#include "script/module.h"
#include "script/publication.h"
#include "script/vm.h"

struct counter {
    const char *name;
    uint64_t value;
};

static void push_counters(lua_State *L, const struct counter *counters)
{
    for (; counters->name != NULL; counters++) {
        lua_pushinteger(L, (lua_Integer)counters->value);
        lua_setfield(L, -2, counters->name);
    }
}

static void push_hub(lua_State *L, const struct hub *hub)
{
    const struct hub_counters *counters = &hub->counters;
    const struct counter list[] = {
        {"published", counters->published},
        {"refused_events", counters->refused_events},
        {"refused_channels", counters->refused_channels},
        {"evicted_history", counters->evicted_count},
        {"evicted_age", counters->evicted_age},
        {"evicted_bytes", counters->evicted_bytes},
        {"evicted_total", counters->evicted_total},
        {"superseded", counters->superseded},
        {"tombstones_dropped", counters->tombstones},
        {"lagged", counters->lagged},
        {"channels", hub->channel_count},
        {"log_bytes", hub->bytes},
        {NULL, 0},
    };
    push_counters(L, list);
}

static void push_store(lua_State *L, struct store *store)
{
    struct store_counters stored = {0};
    if (store != NULL)
        store_count(store, &stored);
    const struct counter list[] = {
        {"stored", stored.written},
        {"stored_commits", stored.commits},
        {"refused_by_store", stored.refused},
        {"evicted_stored", stored.evicted},
        {NULL, 0},
    };
    push_counters(L, list);
}

static void push_traffic(lua_State *L, const struct vm *vm)
{
    struct vm_traffic traffic = {0};
    vm->host.count(vm->host.context, &traffic);
    const struct counter list[] = {
        {"connections", traffic.connections},
        {"accepted", traffic.accepted},
        {"turned_away", traffic.turned_away},
        {"requests", traffic.requests},
        {"refused_requests", traffic.refused_requests},
        {"streams", traffic.streams},
        {"stalled", traffic.stalled},
        {"events_sent", traffic.events_sent},
        {"bytes_sent", traffic.bytes_sent},
        {NULL, 0},
    };
    push_counters(L, list);
}

/* core.counters() -> { name = number } */
static int l_counters(lua_State *L)
{
    const struct vm *vm = vm_of(L);
    const struct counter list[] = {
        {"script_errors", vm->errors},
        {"script_memory", vm->memory},
        {NULL, 0},
    };
    lua_newtable(L);
    push_hub(L, vm->hub);
    push_store(L, vm->pipeline->store);
    push_traffic(L, vm);
    push_counters(L, list);
    return 1;
}

void counters_open_module(lua_State *L)
{
    lua_pushcfunction(L, l_counters);
    lua_setfield(L, -2, "counters");
}
