#ifndef SSE_SCRIPT_GROUP_H
#define SSE_SCRIPT_GROUP_H

#include <stdbool.h>
#include <sys/types.h>

/* Process groups of children. 0 stands for no group. */

/* False when nobody is left in the group. */
bool group_signal(pid_t group, int number);

/* Whether anyone in the group, whose leader has been waited for, still runs. Reaps those that are
 * ours to reap. Zombies that another process must reap do not count. */
bool group_is_alive(pid_t group);

#endif
