#ifndef SSE_SCRIPT_GUARD_H
#define SSE_SCRIPT_GUARD_H

#include <sys/types.h>
#include <uv.h>

/* When the router is killed, the kernel ends its children (see leash.h), but not what they have
 * started. The guard is a process of our own, there while there are children: it is told of their
 * groups over a pipe, and when the pipe ends it kills those that are left. */

#define GUARD_OPTION "--guard"

/* Starts the guard with the first group. Without a guard, when it cannot be started, all goes on.
 */
void guard_add(uv_loop_t *loop, pid_t group);
void guard_remove(pid_t group);

/* What the guard does. */
_Noreturn void guard_main(void);

#endif
