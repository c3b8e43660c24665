#include "script/leash.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { USUAL_DESCRIPTORS = 1024, CANNOT_RUN = 127, FIRST_WORD = 4 };

/* The router raises the limit for itself; programs that use select() or close all that could be
 * open suffer by it. */
static void restore_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= USUAL_DESCRIPTORS)
        return;
    limit.rlim_cur = USUAL_DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &limit);
}

_Noreturn void leash_main(int argc, char **argv)
{
    if (argc <= FIRST_WORD)
        _exit(CANNOT_RUN);
    /* "Parent" means the thread that started us. That is the router's main thread, which lives as
     * long as the router.
     */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The router may have died before the request was made. */
    if (getppid() != (pid_t)strtol(argv[2], NULL, 10))
        _exit(CANNOT_RUN);
    close_range(STDERR_FILENO + 1, UINT_MAX, 0);
    restore_descriptor_limit();
    execvp(argv[FIRST_WORD], argv + FIRST_WORD);
    fprintf(stderr, "cannot run '%s': %s\n", argv[FIRST_WORD], strerror(errno));
    fflush(stderr);
    _exit(CANNOT_RUN);
}
