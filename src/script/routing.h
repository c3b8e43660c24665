#ifndef SSE_SCRIPT_ROUTING_H
#define SSE_SCRIPT_ROUTING_H

#include "core/route.h"
#include "script/vm.h"

/* The script's table of routes: a userdata "sse.router" that the Lua half fills. */

/* What C knows of a route. */
struct routing_entry {
    char **names; /* of the parameters, in order */
    size_t name_count;
    bool publishes;     /* sse.publisher's, with no guards: see endpoint.h */
    char *channel;      /* that it publishes in, or NULL: then a parameter names it */
    unsigned parameter; /* index of that one */
};

struct routing {
    struct route_tree tree;
    struct routing_entry *entries; /* by the tree's values */
    int count;
    bool in_script; /* every answer has headers that only the script's library knows */
};

/* What was found for a request: a status (0 when there is a route) and the tree's match. */
struct routing_found {
    int status;
    struct route_match match;
};

void routing_find(struct routing *routing, struct slice method, struct slice path,
                  struct routing_found *out);
/* Pushes three values: the route, its parameters { name = value } and nil; or nil, the status, and
 * with 405 what the Allow header says. The router's userdata is at the index. */
void routing_push(lua_State *L, int router, const struct routing_found *found);

/* The router that answers requests: pushes its userdata. NULL, and nothing pushed, without one. */
struct routing *routing_push_router(lua_State *L);

#endif
