#include "proto/http_response.h"

#include "base/error.h"
#include "proto/http_framing.h"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "";
}

int http_status_of(int error)
{
    switch (error) {
    case ERROR_HEAD_TOO_LARGE:
        return 431;
    case ERROR_BODY_TOO_LARGE:
        return 413;
    case ERROR_EXPECTATION:
        return 417;
    case ERROR_CODING:
    case ERROR_METHOD:
        return 501;
    case ERROR_VERSION:
        return 505;
    case ERROR_TIMEOUT:
        return 408;
    default:
        return 400;
    }
}

/* The Date header costs more to format than the rest of the head, and changes once a second. */
static void append_date(struct buffer *out, time_t now)
{
    static _Thread_local time_t cached_time = -1;
    static _Thread_local char cached[48];
    if (now != cached_time) {
        struct tm parts;
        gmtime_r(&now, &parts);
        strftime(cached, sizeof cached, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
        cached_time = now;
    }
    buffer_append_text(out, cached);
}

void http_response_begin(struct buffer *out, int status, time_t now)
{
    buffer_append_text(out, "HTTP/1.1 ");
    buffer_append_number(out, (unsigned)status);
    buffer_append_byte(out, ' ');
    buffer_append_text(out, http_reason(status));
    buffer_append_text(out, "\r\n");
    append_date(out, now);
}

void http_response_header(struct buffer *out, struct slice name, struct slice value)
{
    buffer_append_slice(out, name);
    buffer_append_text(out, ": ");
    buffer_append_slice(out, value);
    buffer_append_text(out, "\r\n");
}

void http_response_end(struct buffer *out)
{
    buffer_append_text(out, "\r\n");
}

bool http_header_is_valid(struct slice name, struct slice value)
{
    for (size_t i = 0; i < name.length; i++) {
        if (!http_is_token_byte(name.data[i]))
            return false;
    }
    for (size_t i = 0; i < value.length; i++) {
        if (!http_is_text_byte(value.data[i]))
            return false;
    }
    return name.length > 0;
}

void http_response_error(struct buffer *out, int status, const char *text, bool has_body,
                         time_t now)
{
    struct buffer body = {0};
    buffer_append_format(&body, "%d %s: %s\n", status, http_reason(status), text);
    http_response_begin(out, status, now);
    buffer_append_format(out,
                         "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
                         "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                         body.length);
    if (has_body)
        buffer_append_slice(out, buffer_slice(&body));
    buffer_deinit(&body);
}
