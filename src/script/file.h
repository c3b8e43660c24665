#ifndef SSE_SCRIPT_FILE_H
#define SSE_SCRIPT_FILE_H

#include <lua.h>

/* Takes the descriptor of the "sse.file" at the index; -1 when it was taken or closed before. */
int file_take(lua_State *L, int index);

#endif
