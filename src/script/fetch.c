#include "script/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "script/call.h"
#include "script/module.h"
#include "script/task.h"
#include "script/transfer.h"

enum {
    PORTION = 65536
}; /* bytes given at once, so that one entry into Lua has not too much to do */

static const char metatable[] = "sse.transfer";

/* A transfer of the script's. It lives as long as its userdata is neither closed nor collected. */
struct fetch {
    struct list link; /* in vm.fetches */
    struct vm *vm;
    struct fetch **box;
    struct transfer *transfer;
    struct task *waiter;
    bool wants_head; /* the waiter does; else it wants bytes */
};

static void close_fetch(struct fetch *fetch)
{
    struct task *waiter = fetch->waiter;
    *fetch->box = NULL;
    list_remove(&fetch->link);
    transfer_close(fetch->transfer);
    free(fetch);
    if (waiter != NULL)
        task_resume(waiter, 0);
}

/* Its own variables close the transfer, or leave it to another. */
static void on_waiter_ended(void *context)
{
    ((struct fetch *)context)->waiter = NULL;
}

static bool has_news(const struct fetch *fetch)
{
    const struct transfer *transfer = fetch->transfer;
    return transfer->done || (fetch->wants_head ? transfer->has_head : transfer->body.length > 0);
}

static void on_ready(void *context)
{
    struct fetch *fetch = context;
    struct task *waiter = fetch->waiter;
    if (waiter == NULL || !has_news(fetch))
        return;
    fetch->waiter = NULL;
    task_resume(waiter, 0);
}

void fetch_stop_all(struct vm *vm)
{
    while (!list_is_empty(&vm->fetches)) {
        struct fetch *fetch = CONTAINER_OF(vm->fetches.next, struct fetch, link);
        fetch->waiter = NULL;
        close_fetch(fetch);
    }
    client_unref(vm->client);
    vm->client = NULL;
}

void fetch_share_client(struct vm *from, struct vm *to)
{
    if (to->client == NULL && from->client != NULL)
        to->client = client_ref(from->client);
}

/* Boxes: each holds one fetch */

static struct fetch **push_box(lua_State *L)
{
    struct fetch **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, metatable);
    return box;
}

static void fill_box(struct vm *vm, struct fetch **box, struct transfer *transfer)
{
    struct fetch *fetch = memory_zero(1, sizeof *fetch);
    fetch->vm = vm;
    fetch->box = box;
    fetch->transfer = transfer;
    transfer_attend(transfer, on_ready, fetch);
    list_append(&vm->fetches, &fetch->link);
    *box = fetch;
}

void fetch_push(lua_State *L, struct transfer *transfer)
{
    fill_box(vm_of(L), push_box(L), transfer);
}

struct transfer *fetch_release(lua_State *L, int index)
{
    struct fetch **box = luaL_checkudata(L, index, metatable);
    struct fetch *fetch = *box;
    if (fetch == NULL)
        return NULL;
    struct transfer *transfer = fetch->transfer;
    *box = NULL;
    list_remove(&fetch->link);
    free(fetch);
    return transfer;
}

/* Options, which the Lua half has checked */

static const char *text_field(lua_State *L, const char *name, size_t *length)
{
    lua_getfield(L, 1, name);
    return lua_tolstring(L, -1, length);
}

static long number_field(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    return (long)luaL_optinteger(L, -1, 0);
}

static bool flag(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    return lua_toboolean(L, -1);
}

static struct curl_slist *read_headers(lua_State *L)
{
    struct curl_slist *headers = NULL;
    lua_getfield(L, 1, "headers");
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        headers = curl_slist_append(headers, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return headers;
}

/* core.transfer { url =, method =, headers = { "name: value" }, body =, ca =, insecure =,
 * identity =, timeout =, connect_timeout =, follow = } -> transfer */
static int l_transfer(lua_State *L)
{
    struct vm *vm = vm_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct fetch **box = push_box(L);
    struct transfer_options options = {.url = text_field(L, "url", NULL),
                                       .method = text_field(L, "method", NULL),
                                       .ca = text_field(L, "ca", NULL),
                                       .insecure = flag(L, "insecure"),
                                       .identity = flag(L, "identity"),
                                       .timeout = number_field(L, "timeout"),
                                       .connect_timeout = number_field(L, "connect_timeout"),
                                       .follow = number_field(L, "follow")};
    options.body.data = text_field(L, "body", &options.body.length);
    options.headers = read_headers(L);
    if (vm->client == NULL)
        vm->client = client_open(vm->loop);
    fill_box(vm, box, transfer_open(vm->client, &options));
    lua_settop(L, 2);
    return 1;
}

/* Waiting */

static int push_failure(lua_State *L, const struct fetch *fetch)
{
    lua_pushnil(L);
    if (fetch == NULL) {
        lua_pushliteral(L, "the transfer was ended");
        lua_pushliteral(L, "ECANCELED");
    } else {
        lua_pushstring(L, transfer_message(fetch->transfer));
        lua_pushstring(L, transfer_code(fetch->transfer));
    }
    return 3;
}

static int push_head(lua_State *L, const struct fetch *fetch)
{
    const struct transfer *transfer = fetch->transfer;
    if (!transfer->has_head)
        return push_failure(L, fetch);
    lua_pushinteger(L, transfer_status(transfer));
    lua_pushlstring(L, transfer->head.data, transfer->head.length);
    lua_pushstring(L, transfer_url(transfer));
    return 3;
}

static int push_bytes(lua_State *L, struct fetch *fetch)
{
    struct transfer *transfer = fetch->transfer;
    if (transfer->body.length > 0) {
        size_t length = transfer->body.length < PORTION ? transfer->body.length : PORTION;
        lua_pushlstring(L, transfer->body.data, length);
        buffer_consume(&transfer->body, length);
        transfer_resume(transfer);
        return 1;
    }
    if (transfer->result != CURLE_OK)
        return push_failure(L, fetch);
    lua_pushnil(L);
    return 1;
}

static int after_wait(lua_State *L, int status, lua_KContext wants_head)
{
    struct fetch *fetch = *(struct fetch **)luaL_checkudata(L, 1, metatable);
    (void)status;
    if (fetch == NULL)
        return push_failure(L, NULL);
    return wants_head ? push_head(L, fetch) : push_bytes(L, fetch);
}

static int wait_for(lua_State *L, bool wants_head)
{
    struct fetch *fetch = *(struct fetch **)luaL_checkudata(L, 1, metatable);
    if (fetch == NULL || fetch->waiter != NULL)
        return push_failure(L, NULL);
    fetch->wants_head = wants_head;
    if (has_news(fetch))
        return after_wait(L, LUA_OK, wants_head);
    fetch->waiter = task_require(L, "sse.fetch");
    task_will_wait(fetch->waiter, on_waiter_ended, fetch);
    return lua_yieldk(L, 0, wants_head, after_wait);
}

/* transfer:head() -> status, the head's text, url; or nil, message, code */
static int l_head(lua_State *L)
{
    return wait_for(L, true);
}

/* transfer:read() -> the next bytes of the body; nil at its end; or nil, message, code */
static int l_read(lua_State *L)
{
    return wait_for(L, false);
}

/* transfer:close(): a task that waits for it goes on with nil, message, "ECANCELED". */
static int l_close(lua_State *L)
{
    struct fetch **box = luaL_checkudata(L, 1, metatable);
    if (*box != NULL)
        close_fetch(*box);
    return 0;
}

/* core.can_wait(what): raises when the caller is in no coroutine of the router's */
static int l_can_wait(lua_State *L)
{
    task_require(L, luaL_checkstring(L, 1));
    return 0;
}

void fetch_open_module(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"transfer", l_transfer}, {"can_wait", l_can_wait}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"head", l_head}, {"read", l_read}, {"close", l_close}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    luaL_newmetatable(L, metatable);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
}
