#ifndef SSE_SCRIPT_PUBLICATION_H
#define SSE_SCRIPT_PUBLICATION_H

#include "script/vm.h"
#include "store/store.h"

/* Publications on their way into the log. An event of a durable channel is appended when it is on
 * disk; all that is published after it waits behind it, so that readers see one order and a cursor
 * never passes an event that is still to come. */

struct publication;

/* Opens the store of the vm: `path` is SQLite's file. Raises on the Lua state when it cannot. */
void publication_open_store(lua_State *L, const char *path);
/* The store has results: appends what is decided and goes on with those who wait. */
void publication_results(struct vm *vm);
/* Decides all that waits, and closes the store. */
void publication_close(struct vm *vm);

/* Connects a channel with the store as its options say, and puts its last events back. */
void publication_attach(struct vm *vm, struct channel *channel);

/* core.publish(channel, event) -> id, subscribers, durable, duplicate; or nil, message, code. */
int publication_publish(lua_State *L);
/* channel:delete(key, event) -> as publish, or nothing when the channel does not have the key. */
int publication_delete(lua_State *L);

/* core.key_problem(channel, event) -> what is wrong with the event's key, or nil. */
int publication_key_problem(lua_State *L);

#endif
