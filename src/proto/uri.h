#ifndef SSE_PROTO_URI_H
#define SSE_PROTO_URI_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/slice.h"

/* Request targets (RFC 9112, 3.2) and percent-encoding (RFC 3986, 2.1). */

struct uri_target {
    struct slice path;  /* still percent-encoded, starts with "/", or is "*" */
    struct slice query; /* without "?"; empty when there is none */
};

/* Splits an origin-form, absolute-form or asterisk-form target. 0 or ERROR_BAD_REQUEST. */
int uri_parse_target(struct slice target, struct uri_target *out);

/* Appends the decoded text. With plus_is_space, "+" becomes a space (form encoding). False, and an
 * unspecified tail in `out`, when a percent sign is not followed by two hex digits. */
bool uri_decode(struct buffer *out, struct slice text, bool plus_is_space);

/* Appends the text with all but unreserved characters percent-encoded. */
void uri_encode(struct buffer *out, struct slice text);

/* Walks "a=1&b=2": start with *position = 0. False at the end. The pair is still encoded. */
bool uri_next_pair(struct slice query, size_t *position, struct slice *name, struct slice *value);

#endif
