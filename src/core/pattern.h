#ifndef SSE_CORE_PATTERN_H
#define SSE_CORE_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "base/slice.h"

/* Patterns of channels' names. A name has segments between dots; in a pattern the segment "*"
 * stands for any one segment, and "**" for one or more: "stock.*", "site.**", "*.status". Names
 * that begin with
 * "|" are the router's own: no star matches any part of them. */

/* True when the name has a segment "*" or "**". */
bool pattern_is_pattern(struct slice name);
bool pattern_matches(struct slice pattern, struct slice name);

/* Values by pattern. A look-up walks the segments of a name, never the patterns that do not share
 * them. */
struct pattern_tree {
    struct pattern_node *root;
    uint64_t matches; /* so far */
};

typedef void (*pattern_match_fn)(void *context, void *value);

void pattern_tree_init(struct pattern_tree *tree);
void pattern_tree_deinit(struct pattern_tree *tree);
void pattern_tree_add(struct pattern_tree *tree, struct slice pattern, void *value);
void pattern_tree_remove(struct pattern_tree *tree, struct slice pattern, void *value);
/* Calls `each` with the value of every pattern that matches. It must not change the tree. A value
 * that was added with two matching patterns comes twice. */
void pattern_tree_match(struct pattern_tree *tree, struct slice name, pattern_match_fn each,
                        void *context);

#endif
