#ifndef SSE_SCRIPT_ENDPOINT_H
#define SSE_SCRIPT_ENDPOINT_H

#include "script/routing.h"

/* The plain case of sse.publisher, answered without entering the script: a body that is the data as
 * it is, for a channel that is there, in memory, without keys. Everything else, mistakes too, is
 * the business of scripts/publisher.lua, and both give the same answers. */

/* Answers the request and takes the exchange. False, and nothing is changed, when the script must
 * answer it. */
bool endpoint_answer(struct vm *vm, connection_id connection, struct exchange *exchange,
                     const struct routing *routing, const struct routing_found *found);

#endif
