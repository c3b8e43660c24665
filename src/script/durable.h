#ifndef SSE_SCRIPT_DURABLE_H
#define SSE_SCRIPT_DURABLE_H

#include "script/publication.h"

/* Durable channels: the store, and what memory has of it. */

void pipeline_init(struct pipeline *pipeline);
/* Decides all that waits, and closes the store; its handle closes in the loop. */
void pipeline_deinit(struct pipeline *pipeline);

/* Opens the store of the vm: `path` is SQLite's file. Raises on the Lua state when it cannot. */
void durable_open_store(lua_State *L, const char *path, bool is_default);

/* Connects a channel with the store as its options say, and puts its last events back. */
void durable_attach(struct vm *vm, struct channel *channel);

/* Brings channel->stored_evicted up to date. */
void durable_refresh(struct vm *vm, struct channel *channel);

#endif
