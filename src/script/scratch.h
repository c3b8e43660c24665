#ifndef SSE_SCRIPT_SCRATCH_H
#define SSE_SCRIPT_SCRATCH_H

#include <stddef.h>

/* A database that takes the place of the script's own while it is only looked at (--check): the own
 * one may be in use by a router that runs, and must stay as it is. */

/* The path of a file that is not there yet, in a folder of its own, or NULL and a sentence when
 * that cannot be made, or when nothing could be written at `path`. */
char *scratch_new(const char *path, char *message, size_t size);
/* Removes the file, if it is there, with its folder; frees the path. NULL is fine. */
void scratch_free(char *scratch);

#endif
