#ifndef SSE_SCRIPT_COMMAND_H
#define SSE_SCRIPT_COMMAND_H

#include <lua.h>

/* The arguments and the environment of a child, from what the script says. Both are NULL-ended
 * arrays that are valid as long as what was pushed, and the table at the index, stay on the stack.
 */

/* The program and its arguments, a list of strings, behind the words of the leash. */
char **command_push_words(lua_State *L, int index);

/* Our own environment with changes: { NAME = "text", NAME = false to remove }. NULL, for our own as
 * it is, when the value at the index is no table. */
char **command_push_environment(lua_State *L, int index);

#endif
