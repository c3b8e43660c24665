#ifndef SSE_APP_SCREEN_H
#define SSE_APP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* The terminal behind standard output, with a pipe before it: what any part of the program writes
 * to standard output (and to standard error, where that is a terminal, too) can be read from
 * `output` and written to `terminal` when it suits. There is one at most. */
struct screen {
    int terminal;
    int output; /* does not block; -1 when the screen is not open */
    bool catches_errors;
};

/* 0, or -1 when standard input is no terminal or there are no descriptors left. */
int screen_open(struct screen *screen);
/* What is in the pipe reaches the terminal, which is as it was; so it is when the process ends by
 * exit(), as the script's os.exit does. */
void screen_close(struct screen *screen);
void screen_write(const struct screen *screen, const char *data, size_t length);

#endif
