#include "script/group.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool group_signal(pid_t group, int number)
{
    return group > 0 && (kill(-group, number) == 0 || errno != ESRCH);
}

/* Whether the process of that directory of /proc is in the group and no zombie (proc(5),
 * /proc/pid/stat). */
static bool is_member(const char *name, pid_t group)
{
    char path[64], text[512], state;
    int parent, its_group;
    snprintf(path, sizeof path, "/proc/%.20s/stat", name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    text[length < 0 ? 0 : length] = '\0';
    /* The program's name, in parentheses, may contain anything. */
    const char *rest = strrchr(text, ')');
    return rest != NULL && sscanf(rest + 1, " %c %d %d", &state, &parent, &its_group) == 3 &&
           its_group == group && state != 'Z' && state != 'X';
}

bool group_is_alive(pid_t group)
{
    bool found = false;
    struct dirent *entry;
    /* Orphans are ours where no other process adopts them: when the router is a container's first.
     */
    while (group > 0 && waitpid(-group, NULL, WNOHANG) > 0)
        continue;
    if (!group_signal(group, 0))
        return false;
    DIR *directory = opendir("/proc");
    if (directory == NULL)
        return true;
    while (!found && (entry = readdir(directory)) != NULL)
        found = isdigit((unsigned char)entry->d_name[0]) && is_member(entry->d_name, group);
    closedir(directory);
    return found;
}
