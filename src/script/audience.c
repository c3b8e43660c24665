#include "script/audience.h"

#include <stdlib.h>

#include "base/memory.h"
#include "script/bell.h"
#include "script/channel.h"
#include "script/module.h"

/* One who wants to know. The channel stays open meanwhile: subscribers of a pattern count only
 * where a channel is. */
struct audience {
    struct list link; /* in vm.audiences */
    struct vm *vm;
    struct audience **box;
    struct channel *channel;
    struct bell *bell;
};

static const char metatable[] = "sse.audience";

static void stop(struct audience *audience)
{
    *audience->box = NULL;
    list_remove(&audience->link);
    audience->channel->pending--;
    hub_release(audience->vm->hub, audience->channel);
    bell_unref(audience->bell);
    free(audience);
}

void audience_stop_all(struct vm *vm)
{
    while (!list_is_empty(&vm->audiences))
        stop(CONTAINER_OF(vm->audiences.next, struct audience, link));
}

void vm_audience_changed(struct vm *vm, const struct channel *channel)
{
    struct list *all = &vm->audiences;
    for (struct list *node = all->next; node != all; node = node->next) {
        struct audience *audience = CONTAINER_OF(node, struct audience, link);
        if (audience->channel == channel)
            bell_ring(audience->bell);
    }
}

/* core.audience(channel, bell) -> audience. The bell rings when the channel's first subscriber has
 * come and when its last one has gone. */
static int l_audience(lua_State *L)
{
    struct vm *vm = vm_of(L);
    struct bell *bell = bell_check(L, 2);
    struct audience **box = lua_newuserdatauv(L, sizeof(struct audience *), 0);
    *box = NULL;
    luaL_setmetatable(L, metatable);
    struct channel *channel = channel_at(L, 1);
    struct audience *audience = memory_zero(1, sizeof *audience);
    *audience = (struct audience){.vm = vm, .box = box, .channel = channel, .bell = bell_ref(bell)};
    channel->pending++;
    list_append(&vm->audiences, &audience->link);
    *box = audience;
    return 1;
}

/* audience:count() -> subscribers */
static int l_count(lua_State *L)
{
    const struct audience *audience = *(struct audience **)luaL_checkudata(L, 1, metatable);
    lua_pushinteger(L, audience == NULL ? 0 : audience->channel->subscribers);
    return 1;
}

/* audience:close(), also when it is collected */
static int l_close(lua_State *L)
{
    struct audience *audience = *(struct audience **)luaL_checkudata(L, 1, metatable);
    if (audience != NULL)
        stop(audience);
    return 0;
}

void audience_open_module(lua_State *L)
{
    static const luaL_Reg methods[] = {{"count", l_count}, {"close", l_close}, {NULL, NULL}};
    lua_pushcfunction(L, l_audience);
    lua_setfield(L, -2, "audience");
    module_define_type(L, metatable, methods, l_close);
}
