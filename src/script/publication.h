#ifndef SSE_SCRIPT_PUBLICATION_H
#define SSE_SCRIPT_PUBLICATION_H

#include "script/idempotency.h"
#include "script/vm.h"
#include "store/store.h"

/* Publications on their way into the log. An event of a durable channel is appended when it is on
 * disk; all that is published after it waits behind it, so that readers see one order and a cursor
 * never passes an event that is still to come. */

struct publication;

/* What outlives a reload of the script: the store, what is on its way there, and idempotency keys.
 */
struct pipeline {
    struct vm *vm;            /* the script that runs now */
    struct store *store;      /* of sse.store; NULL when logs are in memory alone */
    char *path;               /* of the store */
    bool is_default;          /* the store is for channels that do not say */
    uv_async_t async;         /* the writer's thread has results */
    uint64_t reserved;        /* sequences up to here may be given, as far as the store knows */
    struct list publications; /* that wait for the store, in order of sequence */
    struct idempotency idempotency;
};

void pipeline_init(struct pipeline *pipeline);
/* Decides all that waits, and closes the store; its handle closes in the loop. */
void pipeline_deinit(struct pipeline *pipeline);

/* Opens the store of the vm: `path` is SQLite's file. Raises on the Lua state when it cannot. */
void publication_open_store(lua_State *L, const char *path, bool is_default);

/* Connects a channel with the store as its options say, and puts its last events back. */
void publication_attach(struct vm *vm, struct channel *channel);

/* core.publish(channel, event) -> id, subscribers, durable, duplicate; or nil, message, code. */
int publication_publish(lua_State *L);
/* channel:delete(key, event) -> as publish, or nothing when the channel does not have the key. */
int publication_delete(lua_State *L);

/* core.key_problem(channel, event) -> what is wrong with the event's key, or nil. */
int publication_key_problem(lua_State *L);

#endif
