#ifndef SSE_BASE_LOG_LINE_H
#define SSE_BASE_LOG_LINE_H

#include <stdbool.h>

struct buffer;

/* Log lines go to stderr, one write each, so lines of several threads never mix:
 *     2026-01-31T12:00:00.123Z info  text
 * Control characters in the text are shown as escapes, except that the text's own line feeds
 * (tracebacks) start an indented line. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_QUIET };

/* May be called from any thread; takes effect for the lines that follow. */
void log_line_set_level(enum log_level level);
/* False when the name is none of debug, info, warn, error, quiet. */
bool log_line_parse_level(const char *name, enum log_level *out);
bool log_line_enabled(enum log_level level);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends a text as log lines show it. */
void log_line_append_escaped(struct buffer *line, const char *text);

#endif
