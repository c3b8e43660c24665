#ifndef SSE_SCRIPT_REQUEST_H
#define SSE_SCRIPT_REQUEST_H

#include "core/exchange.h"
#include "script/vm.h"

/* A request that waits for the script's answer. Shared by its userdata and its task. */
struct pending {
    int references;
    struct vm *vm;
    connection_id connection;
    struct exchange *exchange;
    bool answered;
};

void pending_unref(struct pending *pending);

/* The pending request of the "sse.request" at the index, not answered yet. Raises otherwise. */
struct pending *request_check(lua_State *L, int index);

/* Answers the request. Takes the response. */
void request_respond(struct pending *pending, struct response *response);

/* Adds a method to "sse.request", which is there already. */
void request_add_method(lua_State *L, const char *name, lua_CFunction function);

/* "GET /path", without the query, which may hold tokens. Pushed, and borrowed from the stack. */
const char *request_push_title(lua_State *L, const struct http_request *request);

#endif
