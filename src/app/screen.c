#include "app/screen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/* For exit(), which comes without an argument. */
static struct screen *open_one;
static struct termios modes;

void screen_write(const struct screen *screen, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(screen->terminal, data, length);
        if (written < 0 && errno != EINTR)
            return;
        if (written > 0) {
            data += written;
            length -= (size_t)written;
        }
    }
}

static void release(const struct screen *screen)
{
    char block[4096];
    ssize_t length;
    fflush(stdout);
    dup2(screen->terminal, STDOUT_FILENO);
    if (screen->catches_errors)
        dup2(screen->terminal, STDERR_FILENO);
    while ((length = read(screen->output, block, sizeof block)) > 0)
        screen_write(screen, block, (size_t)length);
}

static void on_exit_of_process(void)
{
    if (open_one == NULL)
        return;
    tcsetattr(STDIN_FILENO, TCSANOW, &modes);
    release(open_one);
}

int screen_open(struct screen *screen)
{
    int ends[2];
    screen->output = -1;
    if (tcgetattr(STDIN_FILENO, &modes) != 0 || pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    fflush(stdout);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    screen->output = ends[0];
    screen->terminal = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    screen->catches_errors = isatty(STDERR_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    if (screen->catches_errors)
        dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    open_one = screen;
    atexit(on_exit_of_process);
    return 0;
}

void screen_close(struct screen *screen)
{
    if (screen->output < 0)
        return;
    release(screen);
    close(screen->terminal);
    close(screen->output);
    screen->output = -1;
    open_one = NULL;
}
