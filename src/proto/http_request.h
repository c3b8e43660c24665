#ifndef SSE_PROTO_HTTP_REQUEST_H
#define SSE_PROTO_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "proto/uri.h"

/* One HTTP/1.x request, read with llhttp and then held to a stricter reading than llhttp's: what
 * two servers could read differently is refused (RFC 9112, 2.2, 5, 6.1 and 6.3). */

struct http_header {
    uint32_t name; /* offsets and lengths in http_request.text; names are in lower case */
    uint32_t name_length;
    uint32_t value;
    uint32_t value_length;
};

struct http_request {
    struct buffer text; /* the target, then header names and values */
    struct buffer body;
    struct http_header *headers;
    size_t header_count;
    size_t header_capacity;
    uint32_t target_length;
    int method; /* llhttp_method_t */
    bool http_1_0;
    bool keep_alive;
    bool expects_continue;
};

void http_request_free(struct http_request *request);
const char *http_request_method(const struct http_request *request);
struct slice http_request_target(const struct http_request *request);
struct slice http_request_name(const struct http_request *request, size_t index);
struct slice http_request_value(const struct http_request *request, size_t index);
/* The value of the first header of that (lower-case) name; data is NULL when there is none. */
struct slice http_request_find(const struct http_request *request, const char *name);

struct http_limits {
    size_t head; /* bytes of request line and headers, also of trailers */
    size_t body; /* bytes */
};

enum http_parser_state {
    HTTP_PARSER_MORE,     /* all input is consumed and the request is not complete */
    HTTP_PARSER_CONTINUE, /* the head is complete and the client waits for 100 (Continue) */
    HTTP_PARSER_DONE,     /* a request is complete: take it */
};

struct http_parser;

/* The limits are borrowed for the parser's life. A parser reads one request. */
struct http_parser *http_parser_new(const struct http_limits *limits);
void http_parser_free(struct http_parser *parser);

/* Reads from `input`; *consumed says how much of it belongs to this request. Returns an
 * http_parser_state, or an ERROR_ code after which the connection must be closed: http_status_of
 * names its answer. After CONTINUE, call again with the rest of the input. */
int http_parser_feed(struct http_parser *parser, struct slice input, size_t *consumed);

/* True once more than empty lines has been read. */
bool http_parser_has_begun(const struct http_parser *parser);
/* True once the method is known to be HEAD, whose answer has no body. */
bool http_parser_is_head(const struct http_parser *parser);
/* True once the head is complete, so that a timeout concerns the body. */
bool http_parser_head_is_complete(const struct http_parser *parser);

/* After DONE: gives the request away; the caller frees it. */
struct http_request *http_parser_take(struct http_parser *parser);

#endif
