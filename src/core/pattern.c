#include "core/pattern.h"

#include <stdlib.h>

#include "base/memory.h"

struct pattern_node {
    struct slice segment; /* owned; the key in the parent's children */
    struct map children;  /* by segment; "*" and "**" are among them */
    void **values;        /* of patterns that end here */
    uint32_t value_count;
    uint64_t entered; /* a double star: the last match that came by */
};

/* Takes the first segment off. */
static struct slice next_segment(struct slice *rest)
{
    const char *dot = rest->length == 0 ? NULL : memchr(rest->data, '.', rest->length);
    size_t length = dot == NULL ? rest->length : (size_t)(dot - rest->data);
    struct slice segment = slice_of(rest->data, length);
    *rest = dot == NULL ? slice_of(NULL, 0)
                        : slice_of(rest->data + length + 1, rest->length - length - 1);
    return segment;
}

static bool is_star(struct slice segment)
{
    return slice_equal(segment, slice_text("*"));
}

static bool is_double_star(struct slice segment)
{
    return slice_equal(segment, slice_text("**"));
}

bool pattern_is_pattern(struct slice name)
{
    while (name.data != NULL) {
        struct slice segment = next_segment(&name);
        if (is_star(segment) || is_double_star(segment))
            return true;
    }
    return false;
}

static bool is_hidden(struct slice name)
{
    return name.length > 0 && name.data[0] == '|';
}

/* Only the last double star is come back to: what an earlier one takes more would leave the last
 * one less to choose from. */
static bool matches(struct slice pattern, struct slice name)
{
    struct slice behind_stars = {0}, left_for_it = {0};
    while (pattern.data != NULL || name.data != NULL) {
        struct slice rest = pattern, left = name;
        struct slice wanted = next_segment(&rest), segment = next_segment(&left);
        bool both = pattern.data != NULL && name.data != NULL;
        if (both && is_double_star(wanted)) {
            behind_stars = rest;
            left_for_it = left;
        } else if (!both || !(is_star(wanted) || slice_equal(wanted, segment))) {
            if (left_for_it.data == NULL)
                return false;
            /* The double star takes one segment more. */
            next_segment(&left_for_it);
            rest = behind_stars;
            left = left_for_it;
        }
        pattern = rest;
        name = left;
    }
    return true;
}

bool pattern_matches(struct slice pattern, struct slice name)
{
    return is_hidden(name) ? slice_equal(pattern, name) : matches(pattern, name);
}

static struct pattern_node *new_node(struct slice segment)
{
    struct pattern_node *node = memory_zero(1, sizeof *node);
    node->segment = slice_of(memory_copy(segment.data, segment.length), segment.length);
    return node;
}

static void free_node(struct pattern_node *node)
{
    size_t position = 0;
    void *child;
    while (map_next(&node->children, &position, &child))
        free_node(child);
    map_deinit(&node->children);
    free((char *)node->segment.data);
    free(node->values);
    free(node);
}

void pattern_tree_init(struct pattern_tree *tree)
{
    *tree = (struct pattern_tree){.root = new_node(slice_of("", 0))};
}

void pattern_tree_deinit(struct pattern_tree *tree)
{
    free_node(tree->root);
    tree->root = NULL;
}

void pattern_tree_add(struct pattern_tree *tree, struct slice pattern, void *value)
{
    struct pattern_node *node = tree->root;
    while (pattern.data != NULL) {
        struct slice segment = next_segment(&pattern);
        struct pattern_node *child = map_get(&node->children, segment);
        if (child == NULL) {
            child = new_node(segment);
            map_put(&node->children, child->segment, child);
        }
        node = child;
    }
    node->values = memory_grow(node->values, (node->value_count + 1) * sizeof(void *));
    node->values[node->value_count++] = value;
}

static void remove_value(struct pattern_node *node, const void *value)
{
    for (uint32_t i = 0; i < node->value_count; i++) {
        if (node->values[i] == value) {
            node->values[i] = node->values[--node->value_count];
            return;
        }
    }
}

/* Nodes that nothing hangs on any more go with the value. */
static void remove_below(struct pattern_node *node, struct slice pattern, const void *value)
{
    if (pattern.data == NULL) {
        remove_value(node, value);
        return;
    }
    struct slice segment = next_segment(&pattern);
    struct pattern_node *child = map_get(&node->children, segment);
    if (child == NULL)
        return;
    remove_below(child, pattern, value);
    if (child->value_count == 0 && child->children.count == 0) {
        map_remove(&node->children, segment);
        free_node(child);
    }
}

void pattern_tree_remove(struct pattern_tree *tree, struct slice pattern, void *value)
{
    remove_below(tree->root, pattern, value);
}

struct match {
    uint64_t number;
    pattern_match_fn each;
    void *context;
};

static void call_values(const struct match *match, const struct pattern_node *node)
{
    for (uint32_t i = 0; i < node->value_count; i++)
        match->each(match->context, node->values[i]);
}

static void walk(const struct match *match, const struct pattern_node *node, struct slice name)
{
    if (name.data == NULL) {
        call_values(match, node);
        return;
    }
    struct slice rest = name;
    struct slice segment = next_segment(&rest);
    const struct pattern_node *literal = map_get(&node->children, segment);
    const struct pattern_node *star = map_get(&node->children, slice_text("*"));
    struct pattern_node *stars = map_get(&node->children, slice_text("**"));
    if (literal != NULL && !is_star(segment) && !is_double_star(segment))
        walk(match, literal, rest);
    if (star != NULL)
        walk(match, star, rest);
    /* Who comes to a double star first leaves it most of the name, so nobody need come again. */
    if (stars == NULL || stars->entered == match->number)
        return;
    stars->entered = match->number;
    /* It takes one segment, two, ... */
    for (;;) {
        walk(match, stars, rest);
        if (rest.data == NULL)
            return;
        next_segment(&rest);
    }
}

static void walk_exactly(const struct match *match, const struct pattern_node *node,
                         struct slice name)
{
    while (name.data != NULL && node != NULL)
        node = map_get(&node->children, next_segment(&name));
    if (node != NULL)
        call_values(match, node);
}

void pattern_tree_match(struct pattern_tree *tree, struct slice name, pattern_match_fn each,
                        void *context)
{
    struct match match = {++tree->matches, each, context};
    if (is_hidden(name))
        walk_exactly(&match, tree->root, name);
    else
        walk(&match, tree->root, name);
}
