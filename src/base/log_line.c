#include "base/log_line.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"

static atomic_int threshold = LOG_INFO;
static const char *const names[] = {"debug", "info", "warn", "error", "quiet"};

void log_line_set_level(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

bool log_line_parse_level(const char *name, enum log_level *out)
{
    for (int i = 0; i <= LOG_QUIET; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_line_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

static void append_time(struct buffer *line)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    char text[32];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    buffer_append_format(line, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

/* The length of the control character at `bytes`, or 0: what moves a terminal's cursor or changes
 * its colours is in C0, DEL, and C1 (U+0080 to U+009F, in UTF-8). */
static size_t control_length(const unsigned char *bytes)
{
    if (bytes[0] == 0xc2 && bytes[1] >= 0x80 && bytes[1] < 0xa0)
        return 2;
    return (bytes[0] < 0x20 && bytes[0] != '\t') || bytes[0] == 0x7f ? 1 : 0;
}

void log_line_append_escaped(struct buffer *line, const char *text)
{
    const unsigned char *byte = (const unsigned char *)text;
    while (*byte != '\0') {
        size_t control = control_length(byte);
        if (*byte == '\n') {
            buffer_append_text(line, "\n    ");
            byte++;
        } else if (control > 0) {
            for (; control > 0; control--)
                buffer_append_format(line, "\\x%02x", *byte++);
        } else {
            buffer_append_byte(line, (char)*byte++);
        }
    }
}

void log_line(enum log_level level, const char *format, ...)
{
    if (!log_line_enabled(level))
        return;
    struct buffer line = {0};
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    append_time(&line);
    buffer_append_format(&line, " %-5s ", names[level]);
    log_line_append_escaped(&line, text);
    buffer_append_byte(&line, '\n');
    /* A full pipe or a closed terminal must not stop the router: the line is lost then. */
    ssize_t ignored = write(STDERR_FILENO, line.data, line.length);
    (void)ignored;
    free(text);
    buffer_deinit(&line);
}
