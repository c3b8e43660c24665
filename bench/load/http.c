#include "load/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void http_init(struct http_reply *reply)
{
    reply->left = -1;
    reply->status = 0;
    reply->state = HTTP_STATUS;
    reply->chunked = false;
    reply->line_length = 0;
}

bool http_has_head(const struct http_reply *reply)
{
    return reply->state > HTTP_HEADER;
}

/* Collects bytes up to a line feed. Returns how many were used; *complete says that reply->line
 * holds the line, without its ending. */
static size_t collect_line(struct http_reply *reply, const char *bytes, size_t length,
                           bool *complete)
{
    const char *end = memchr(bytes, '\n', length);
    size_t used = end ? (size_t)(end - bytes) + 1 : length;
    size_t part = end ? used - 1 : used;
    size_t room = HTTP_LINE_MAX - reply->line_length;

    if (part > room)
        part = room;
    memcpy(reply->line + reply->line_length, bytes, part);
    reply->line_length += (uint8_t)part;
    *complete = end != NULL;
    if (end) {
        if (reply->line_length && reply->line[reply->line_length - 1] == '\r')
            reply->line_length--;
        reply->line[reply->line_length] = '\0';
        reply->line_length = 0;
    }
    return used;
}

static void take_header(struct http_reply *reply)
{
    if (strncasecmp(reply->line, "content-length:", 15) == 0)
        reply->left = strtoll(reply->line + 15, NULL, 10);
    else if (strncasecmp(reply->line, "transfer-encoding:", 18) == 0)
        reply->chunked = strcasestr(reply->line, "chunked") != NULL;
}

static enum http_state body_state(const struct http_reply *reply)
{
    if (reply->status == 204 || reply->status == 304)
        return HTTP_DONE;
    if (reply->chunked)
        return HTTP_CHUNK_SIZE;
    if (reply->left < 0)
        return HTTP_OPEN_BODY;
    return reply->left == 0 ? HTTP_DONE : HTTP_LENGTH_BODY;
}

static int take_line(struct http_reply *reply)
{
    char *end;

    switch (reply->state) {
    case HTTP_STATUS:
        if (strncmp(reply->line, "HTTP/1.", 7) != 0 || strlen(reply->line) < 12)
            return -EPROTO;
        reply->status = (uint16_t)atoi(reply->line + 9);
        reply->state = HTTP_HEADER;
        return 0;
    case HTTP_HEADER:
        if (reply->line[0])
            take_header(reply);
        else
            reply->state = body_state(reply);
        return 0;
    case HTTP_CHUNK_SIZE:
        reply->left = strtoll(reply->line, &end, 16);
        if (end == reply->line)
            return -EPROTO;
        reply->state = reply->left ? HTTP_CHUNK_BODY : HTTP_TRAILER;
        return 0;
    case HTTP_CHUNK_END:
        reply->state = HTTP_CHUNK_SIZE;
        return reply->line[0] ? -EPROTO : 0;
    default:
        if (!reply->line[0])
            reply->state = HTTP_DONE;
        return 0;
    }
}

/* Hands on what belongs to the body or the current chunk; returns how much that was. */
static size_t take_body(struct http_reply *reply, const char *bytes, size_t length,
                        http_body_fn body, void *context)
{
    size_t part = length;

    if (reply->state != HTTP_OPEN_BODY) {
        if ((int64_t)part > reply->left)
            part = (size_t)reply->left;
        reply->left -= (int64_t)part;
        if (reply->left == 0)
            reply->state = reply->state == HTTP_CHUNK_BODY ? HTTP_CHUNK_END : HTTP_DONE;
    }
    if (body)
        body(context, bytes, part);
    return part;
}

static bool in_body(const struct http_reply *reply)
{
    return reply->state == HTTP_OPEN_BODY || reply->state == HTTP_LENGTH_BODY ||
           reply->state == HTTP_CHUNK_BODY;
}

long http_feed(struct http_reply *reply, const char *bytes, size_t length, http_body_fn body,
               void *context)
{
    size_t used = 0;

    while (used < length && reply->state != HTTP_DONE) {
        bool complete = false;
        if (in_body(reply)) {
            used += take_body(reply, bytes + used, length - used, body, context);
            continue;
        }
        used += collect_line(reply, bytes + used, length - used, &complete);
        if (complete && take_line(reply) < 0)
            return -EPROTO;
    }
    return (long)used;
}
