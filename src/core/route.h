#ifndef SSE_CORE_ROUTE_H
#define SSE_CORE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/map.h"
#include "base/slice.h"

/* Finds the route of a request: a tree of path segments, so that a look-up costs the depth of the
 * path and not the number of routes. At each segment a literal goes before a parameter, and that
 * before the rest; what leads nowhere is come back from.
 *
 * Segments are compared after percent-decoding, each by itself: %2F never splits a segment. A
 * trailing slash counts: "/a" and "/a/" are two paths. */

enum route_kind {
    ROUTE_LITERAL,
    ROUTE_PARAMETER, /* any one segment that is not empty */
    ROUTE_REST,      /* all that is left, slashes and all; the last segment of a route */
};

struct route_segment {
    enum route_kind kind;
    struct slice text; /* of a literal, decoded */
};

enum { ROUTE_METHODS = 32 }; /* different ones in a tree */

struct route_tree {
    struct route_node *root;
    struct slice methods[ROUTE_METHODS]; /* owned; "ANY" stands for every method */
    unsigned method_count;
    struct buffer text; /* of the look-up: decoded segments */
    struct slice *segments;
    size_t segment_capacity;
    struct slice *values;
    size_t value_capacity;
};

struct route_match {
    int value;
    const struct slice *values; /* of the parameters and the rest, in order; of the tree, until its
                                   next look-up */
    unsigned value_count;
    uint32_t allowed; /* with 405: for route_allow */
};

void route_tree_init(struct route_tree *tree);
void route_tree_deinit(struct route_tree *tree);
/* Adds a route. Returns `value`, or that of the route that has the same method and segments already
 * (then nothing is added), or -1 when the tree has too many methods. */
int route_add(struct route_tree *tree, struct slice method, const struct route_segment *segments,
              size_t count, int value);
/* Finds the route of a method and a path, which is encoded as it was sent. HEAD falls back on GET,
 * and every method on ANY. Returns 0, or the status that says what is wrong: 400 malformed, 404 no
 * such path, 405 not with this method. */
int route_find(struct route_tree *tree, struct slice method, struct slice path,
               struct route_match *out);
/* Appends what the Allow header says (RFC 9110, 10.2.1): sorted, with what the router itself
 * answers. */
void route_allow(const struct route_tree *tree, uint32_t allowed, struct buffer *out);

#endif
