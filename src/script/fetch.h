#ifndef SSE_SCRIPT_FETCH_H
#define SSE_SCRIPT_FETCH_H

#include "script/vm.h"

struct transfer;

/* Outgoing HTTP for the script: core.transfer. */

/* Takes the transfer out of the userdata at the index, which is then closed; NULL when it was. */
struct transfer *fetch_release(lua_State *L, int index);
/* Pushes a userdata that takes the transfer. */
void fetch_push(lua_State *L, struct transfer *transfer);
/* The script that takes over goes on with the connections of the one before. */
void fetch_share_client(struct vm *from, struct vm *to);

/* Ends every transfer and closes the vm's client. */
void fetch_stop_all(struct vm *vm);

#endif
