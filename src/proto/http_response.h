#ifndef SSE_PROTO_HTTP_RESPONSE_H
#define SSE_PROTO_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buffer.h"
#include "base/slice.h"

/* Writing response heads (RFC 9112, 4 and 6; RFC 9110, 6.6.1 for Date). */

/* The reason phrase of a status, or "" for an unknown one. */
const char *http_reason(int status);

/* The status that answers an ERROR_ code of http_parser_feed. */
int http_status_of(int error);

/* Appends the status line and Date. */
void http_response_begin(struct buffer *out, int status, time_t now);
/* Appends one header line. The caller has checked both with http_header_is_valid. */
void http_response_header(struct buffer *out, struct slice name, struct slice value);
/* Appends the line that ends the head. */
void http_response_end(struct buffer *out);

/* True when name is a token and value has no CR, LF, NUL or other control byte. */
bool http_header_is_valid(struct slice name, struct slice value);

/* Appends a whole answer to a request that could not be read or must wait: a short text body that
 * names the status and the error, and Connection: close. */
void http_response_error(struct buffer *out, int status, const char *text, bool has_body,
                         time_t now);

#endif
