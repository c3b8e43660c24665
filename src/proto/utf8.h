#ifndef SSE_PROTO_UTF8_H
#define SSE_PROTO_UTF8_H

#include <stdbool.h>

#include "base/slice.h"

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most
 * U+10FFFF). */
bool utf8_is_valid(struct slice text);

#endif
