#ifndef SSE_SCRIPT_CHANNEL_H
#define SSE_SCRIPT_CHANNEL_H

#include <lua.h>

struct channel;
struct vm;

enum { CHANNEL_TAIL = 1000 }; /* events of a durable channel that are in memory, at most */

/* The channel that the value at the index means: a channel's userdata, or a name; a channel of that
 * name is made when there is none. Raises for anything else, and for a closed channel. */
struct channel *channel_at(lua_State *L, int index);

/* Opens the channels of the store that the script has not declared. */
void channel_restore_all(struct vm *vm);

/* Pushes the rule of the channel's key: a field's name, a function, or nil. Returns its type. */
int channel_push_key_rule(lua_State *L, const struct channel *channel);

#endif
