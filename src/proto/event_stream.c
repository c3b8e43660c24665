#include "proto/event_stream.h"

#include "base/error.h"
#include "proto/utf8.h"

/* A reader splits lines at CR, LF and CRLF, and ignores an id with NUL; so none of them may stand
 * inside a field of one line, or the event would become another one. */
static bool is_one_line(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        if (byte == '\r' || byte == '\n' || byte == '\0')
            return false;
    }
    return true;
}

/* A client sends the id of the last event back in a header. White space at its ends would be lost
 * there, and a request with other control characters or too large a head is refused, which ends an
 * EventSource for good. */
static bool fits_header(struct slice id)
{
    if (id.length == 0)
        return true;
    for (size_t i = 0; i < id.length; i++) {
        if ((unsigned char)id.data[i] < 0x20 || id.data[i] == 0x7f)
            return false;
    }
    return id.length <= EVENT_ID_MAX && id.data[0] != ' ' && id.data[id.length - 1] != ' ';
}

int event_stream_check(const struct event_fields *fields)
{
    if (!is_one_line(fields->id) || !is_one_line(fields->name))
        return ERROR_LINE_BREAK;
    if (!fits_header(fields->id))
        return ERROR_EVENT_ID;
    if (!utf8_is_valid(fields->id) || !utf8_is_valid(fields->name) || !utf8_is_valid(fields->data))
        return ERROR_UTF8;
    return 0;
}

/* Writes `prefix` before each line of `text`. */
static void append_lines(struct buffer *out, const char *prefix, struct slice text)
{
    size_t start = 0;
    if (text.data == NULL)
        text = slice_text("");
    for (;;) {
        size_t end = start;
        while (end < text.length && text.data[end] != '\r' && text.data[end] != '\n')
            end++;
        buffer_append_text(out, prefix);
        buffer_append(out, text.data + start, end - start);
        buffer_append_byte(out, '\n');
        if (end == text.length)
            return;
        bool pair = text.data[end] == '\r' && end + 1 < text.length && text.data[end + 1] == '\n';
        start = end + (pair ? 2 : 1);
    }
}

static void append_field(struct buffer *out, const char *name, struct slice value)
{
    buffer_append_text(out, name);
    buffer_append_slice(out, value);
    buffer_append_byte(out, '\n');
}

void event_stream_encode(struct buffer *out, const struct event_fields *fields)
{
    if (fields->id.data != NULL)
        append_field(out, "id: ", fields->id);
    if (fields->name.length > 0)
        append_field(out, "event: ", fields->name);
    if (fields->retry >= 0)
        buffer_append_format(out, "retry: %lld\n", (long long)fields->retry);
    append_lines(out, "data: ", fields->data);
    buffer_append_byte(out, '\n');
}

void event_stream_comment(struct buffer *out, struct slice text)
{
    append_lines(out, ": ", text);
}

void event_stream_retry(struct buffer *out, int64_t milliseconds)
{
    buffer_append_format(out, "retry: %lld\n\n", (long long)milliseconds);
}

void event_stream_decode_data(struct buffer *out, struct slice event)
{
    size_t start = 0;
    bool first = true;
    while (start < event.length) {
        const char *line = event.data + start;
        const char *end = memchr(line, '\n', event.length - start);
        size_t length = end == NULL ? event.length - start : (size_t)(end - line);
        if (length >= 6 && memcmp(line, "data: ", 6) == 0) {
            if (!first)
                buffer_append_byte(out, '\n');
            first = false;
            buffer_append(out, line + 6, length - 6);
        }
        start += length + 1;
    }
}
