/* The reply side of HTTP/1.1: finds the status and unwraps the body (chunked, of a given length, or
 * until the connection closes). Bytes in, bytes out; knows no sockets. */

#ifndef BENCH_LOAD_HTTP_H
#define BENCH_LOAD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_LINE_MAX 63 /* what is longer is cut: only short fields matter here */

enum http_state {
    HTTP_STATUS,
    HTTP_HEADER,
    HTTP_LENGTH_BODY,
    HTTP_OPEN_BODY, /* ends with the connection */
    HTTP_CHUNK_SIZE,
    HTTP_CHUNK_BODY,
    HTTP_CHUNK_END,
    HTTP_TRAILER,
    HTTP_DONE,
};

struct http_reply {
    int64_t left; /* bytes of the body, or of this chunk, still to come; -1: length not known */
    uint16_t status;
    uint8_t state;
    bool chunked;
    uint8_t line_length;
    char line[HTTP_LINE_MAX + 1];
};

typedef void (*http_body_fn)(void *context, const char *bytes, size_t length);

void http_init(struct http_reply *reply);

/* Takes bytes as they came. Calls back for each piece of the body. Returns how many bytes belonged
 * to this reply (less than `length` only when it is done), or -EPROTO. */
long http_feed(struct http_reply *reply, const char *bytes, size_t length, http_body_fn body,
               void *context);

/* True once the head is complete. */
bool http_has_head(const struct http_reply *reply);

#endif
