#include "script/legacy.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "script/bell.h"
#include "script/fetch.h"
#include "script/module.h"
#include "script/task.h"
#include "script/transfer.h"

/* One source's. Owned by its userdata. */
struct legacy {
    struct list link; /* in vm.legacies */
    struct legacy **box;
    char *key;
    struct bell *bell;       /* rung when something was left, or never will be */
    struct legacy *heir;     /* in the script that has taken over */
    struct legacy *giver;    /* in the script before, as long as it may leave something */
    struct slice text;       /* was left for this one and not taken yet; data NULL for nothing */
    struct transfer *parcel; /* the same; NULL for none */
    bool busy;
};

static const char metatable[] = "sse.legacy";

/* Nobody waits for this one any more. */
static void part(struct legacy *giver)
{
    struct legacy *heir = giver->heir;
    giver->heir = NULL;
    if (heir == NULL)
        return;
    heir->giver = NULL;
    bell_ring(heir->bell);
}

static void give(struct legacy *heir, struct slice text, struct transfer *transfer)
{
    heir->text = slice_of(memory_copy(text.data, text.length), text.length);
    heir->parcel = transfer;
    if (transfer != NULL)
        transfer_attend(transfer, NULL, NULL);
}

static void drop(struct legacy *legacy)
{
    free((char *)legacy->text.data);
    legacy->text = slice_of(NULL, 0);
    if (legacy->parcel != NULL)
        transfer_close(legacy->parcel);
    legacy->parcel = NULL;
}

/* Wants nothing any more of what was left, or will be. */
static void give_up(struct legacy *legacy)
{
    if (legacy->giver != NULL)
        legacy->giver->heir = NULL;
    legacy->giver = NULL;
    drop(legacy);
}

static void release(struct legacy *legacy)
{
    part(legacy);
    give_up(legacy);
    list_remove(&legacy->link);
    *legacy->box = NULL;
    bell_unref(legacy->bell);
    free(legacy->key);
    free(legacy);
}

void legacy_stop_all(struct vm *vm)
{
    while (!list_is_empty(&vm->legacies))
        release(CONTAINER_OF(vm->legacies.next, struct legacy, link));
}

/* Succession */

/* Equal definitions are told apart by their order. */
static struct legacy *find_heir(struct vm *vm, const char *key)
{
    for (struct list *node = vm->legacies.next; node != &vm->legacies; node = node->next) {
        struct legacy *legacy = CONTAINER_OF(node, struct legacy, link);
        if (legacy->giver == NULL && legacy->text.data == NULL && strcmp(legacy->key, key) == 0)
            return legacy;
    }
    return NULL;
}

/* The heir comes in the place of `old`, which may itself wait for one before it, or not have taken
 * what that one has left. */
static void succeed(struct legacy *old, struct legacy *heir)
{
    struct legacy *giver = old->giver;
    if (giver != NULL) {
        old->giver = NULL;
        giver->heir = heir;
        heir->giver = giver;
    } else if (old->text.data != NULL) {
        heir->text = old->text;
        heir->parcel = old->parcel;
        old->text = slice_of(NULL, 0);
        old->parcel = NULL;
    } else {
        old->heir = heir;
        heir->giver = old;
    }
}

void legacy_hand_over(struct vm *from, struct vm *to)
{
    for (struct list *node = from->legacies.next; node != &from->legacies; node = node->next) {
        struct legacy *old = CONTAINER_OF(node, struct legacy, link);
        struct legacy *heir = find_heir(to, old->key);
        if (heir != NULL)
            succeed(old, heir);
        else
            give_up(old);
    }
}

void legacy_settle(struct vm *from)
{
    for (struct list *node = from->legacies.next; node != &from->legacies; node = node->next) {
        struct legacy *legacy = CONTAINER_OF(node, struct legacy, link);
        if (!legacy->busy)
            part(legacy);
    }
}

/* Methods */

static struct legacy *check(lua_State *L)
{
    struct legacy *legacy = *(struct legacy **)luaL_checkudata(L, 1, metatable);
    if (legacy == NULL)
        luaL_error(L, "the legacy was closed");
    return legacy;
}

/* core.legacy(definition, bell) -> legacy */
static int l_legacy(lua_State *L)
{
    size_t length;
    const char *key = luaL_checklstring(L, 1, &length);
    struct bell *bell = bell_check(L, 2);
    struct legacy **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, metatable);
    struct legacy *legacy = memory_zero(1, sizeof *legacy);
    legacy->box = box;
    legacy->key = memory_copy(key, length);
    legacy->bell = bell_ref(bell);
    list_append(&vm_of(L)->legacies, &legacy->link);
    *box = legacy;
    return 1;
}

/* legacy:awaits() -> whether the source of the script before has not left it yet */
static int l_awaits(lua_State *L)
{
    lua_pushboolean(L, check(L)->giver != NULL);
    return 1;
}

/* legacy:take() -> text, transfer or nil; or nothing when nothing was left */
static int l_take(lua_State *L)
{
    struct legacy *legacy = check(L);
    if (legacy->text.data == NULL)
        return 0;
    lua_pushlstring(L, legacy->text.data, legacy->text.length);
    if (legacy->parcel == NULL)
        lua_pushnil(L);
    else
        fetch_push(L, legacy->parcel);
    legacy->parcel = NULL;
    drop(legacy);
    return 2;
}

/* legacy:leave(text, transfer or nil): for the source that takes over; without one the transfer is
 * closed. */
static int l_leave(lua_State *L)
{
    struct legacy *legacy = check(L);
    struct slice text;
    text.data = luaL_checklstring(L, 2, &text.length);
    struct transfer *transfer = lua_isnoneornil(L, 3) ? NULL : fetch_release(L, 3);
    if (legacy->heir != NULL)
        give(legacy->heir, text, transfer);
    else if (transfer != NULL)
        transfer_close(transfer);
    part(legacy);
    return 0;
}

/* legacy:set_busy(flag): while it is, the running task outlives a reload, and leaves later. */
static int l_set_busy(lua_State *L)
{
    struct legacy *legacy = check(L);
    legacy->busy = lua_toboolean(L, 2);
    task_outlives_reload(task_of(L), legacy->busy);
    return 0;
}

/* legacy:close(), also when it is collected */
static int l_close(lua_State *L)
{
    struct legacy *legacy = *(struct legacy **)luaL_checkudata(L, 1, metatable);
    if (legacy != NULL)
        release(legacy);
    return 0;
}

void legacy_open_module(lua_State *L)
{
    static const luaL_Reg methods[] = {{"awaits", l_awaits}, {"take", l_take},
                                       {"leave", l_leave},   {"set_busy", l_set_busy},
                                       {"close", l_close},   {NULL, NULL}};
    lua_pushcfunction(L, l_legacy);
    lua_setfield(L, -2, "legacy");
    module_define_type(L, metatable, methods, l_close);
}
