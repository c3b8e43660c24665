#ifndef SSE_PROTO_HTTP_FRAMING_H
#define SSE_PROTO_HTTP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* The lines of a request: all of its bytes that are not body. A parser forgives (llhttp 8.1, for
 * one, takes any two bytes behind a chunk for its CRLF, and white space before a colon), and what
 * one server forgives another reads differently: so each line is held to the grammar of RFC 9112
 * here.
 *
 *   REQUEST --> FIELD ... --empty line--> END
 *                 ^             |
 *                 |             | chunked: the first time
 *                 | size 0      v
 *                 +----------- SIZE --> (body) --> DATA_END --+
 *                               ^                             |
 *                               +-----------------------------+
 */
struct http_framing {
    enum { FRAMING_REQUEST, FRAMING_FIELD, FRAMING_SIZE, FRAMING_DATA_END, FRAMING_END } line;
    unsigned part;  /* of the line: method, target, version; name, value; size, extension */
    size_t in_part; /* bytes so far */
    size_t bytes;   /* since the start, or since the last body bytes */
    char previous;
    bool chunked; /* set by the owner when the head says so */
    bool trailers;
    bool size_is_zero;
};

/* Starts at the first byte of a request; all zero is a start too. */
void http_framing_init(struct http_framing *framing);

/* Looks at the next bytes. 0, or ERROR_BAD_FRAMING for the first byte that is out of place, or
 * ERROR_HEAD_TOO_LARGE for the first one beyond `limit` since the last body bytes. */
int http_framing_scan(struct http_framing *framing, struct slice bytes, size_t limit);

/* Says that body bytes come between the bytes of one scan and the next. */
void http_framing_skip_body(struct http_framing *framing);

/* Whether more than empty lines have been seen. */
bool http_framing_has_begun(const struct http_framing *framing);

/* RFC 9110, 5.6.2. */
bool http_is_token_byte(char byte);
/* Of a header's value: visible bytes, spaces, tabs and obs-text (RFC 9110, 5.5). */
bool http_is_text_byte(char byte);

#endif
