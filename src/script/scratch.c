#include "script/scratch.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

static const char file_name[] = "/check.db";

/* Whether the file can be written, or made where it is not there. */
static bool is_writable(const char *path)
{
    struct stat status;
    char folder[PATH_MAX];
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            errno = EISDIR;
        return !S_ISDIR(status.st_mode) && access(path, R_OK | W_OK) == 0;
    }
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return access(".", W_OK | X_OK) == 0;
    int length = snprintf(folder, sizeof folder, "%.*s/", (int)(slash - path), path);
    if (length >= (int)sizeof folder) {
        errno = ENAMETOOLONG;
        return false;
    }
    return access(folder, W_OK | X_OK) == 0;
}

char *scratch_new(const char *path, char *message, size_t size)
{
    const char *base = getenv("TMPDIR");
    char scratch[PATH_MAX];
    if (!is_writable(path)) {
        snprintf(message, size, "cannot open %s for writing: %s", path, strerror(errno));
        return NULL;
    }
    snprintf(scratch, sizeof scratch - sizeof file_name, "%s/sse-router-XXXXXX",
             base != NULL && base[0] != '\0' ? base : "/tmp");
    if (mkdtemp(scratch) == NULL) {
        snprintf(message, size, "cannot make a temporary folder: %s", strerror(errno));
        return NULL;
    }
    strcat(scratch, file_name);
    return memory_copy(scratch, strlen(scratch));
}

void scratch_free(char *scratch)
{
    if (scratch == NULL)
        return;
    unlink(scratch);
    *strrchr(scratch, '/') = '\0';
    rmdir(scratch);
    free(scratch);
}
