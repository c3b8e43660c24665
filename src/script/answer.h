#ifndef SSE_SCRIPT_ANSWER_H
#define SSE_SCRIPT_ANSWER_H

#include "core/exchange.h"
#include "script/vm.h"

/* Building responses from what the script returned. */

/* A complete response. `headers` is the index of a table { name = value or list of values }, or 0;
 * `body` the index of a string, of nil, or of a table { file = FILE, offset =, length = }. Raises
 * for headers that cannot be sent. The headers that frame the message are the router's own. */
struct response *answer_build(lua_State *L, const struct http_request *request, int status,
                              int headers, int body);

/* The head of an event stream, with the script's additional headers. A HEAD request gets the head
 * alone, as a complete response. */
struct response *answer_build_stream(lua_State *L, const struct http_request *request, int headers);
/* Adds event-stream text that this client alone gets, right behind the head. */
void answer_append(struct response *head, struct slice text);

/* A short text response for an error of the router's own. */
struct response *answer_error(const struct http_request *request, int status, const char *text);

/* A complete response with a body of JSON. */
struct response *answer_json(const struct http_request *request, int status, struct slice text);

/* True when the request's method is HEAD. */
bool answer_is_head(const struct http_request *request);

#endif
