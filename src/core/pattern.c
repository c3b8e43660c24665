#include "core/pattern.h"

#include <stdlib.h>

#include "base/memory.h"

struct pattern_node {
    struct slice segment; /* owned; the key in the parent's children */
    struct map children;  /* by segment; "*" and "**" are among them */
    void **values;        /* of patterns that end here */
    uint32_t value_count;
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

static bool matches(struct slice pattern, struct slice name)
{
    if (pattern.data == NULL || name.data == NULL)
        return pattern.data == NULL && name.data == NULL;
    struct slice rest = pattern;
    struct slice wanted = next_segment(&rest);
    struct slice left = name;
    struct slice segment = next_segment(&left);
    if (!is_double_star(wanted))
        return (is_star(wanted) || slice_equal(wanted, segment)) && matches(rest, left);
    /* One segment is taken; the double star may take more. */
    return matches(rest, left) || (left.data != NULL && matches(pattern, left));
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
    tree->root = new_node(slice_of("", 0));
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

static void match(const struct pattern_node *node, struct slice name, pattern_match_fn each,
                  void *context)
{
    if (name.data == NULL) {
        for (uint32_t i = 0; i < node->value_count; i++)
            each(context, node->values[i]);
        return;
    }
    struct slice rest = name;
    struct slice segment = next_segment(&rest);
    const struct pattern_node *literal = map_get(&node->children, segment);
    const struct pattern_node *star = map_get(&node->children, slice_text("*"));
    const struct pattern_node *stars = map_get(&node->children, slice_text("**"));
    if (literal != NULL && !is_star(segment) && !is_double_star(segment))
        match(literal, rest, each, context);
    if (star != NULL)
        match(star, rest, each, context);
    /* The double star takes one segment, two, ... */
    while (stars != NULL) {
        match(stars, rest, each, context);
        if (rest.data == NULL)
            return;
        next_segment(&rest);
    }
}

static void match_exactly(const struct pattern_node *node, struct slice name,
                          pattern_match_fn each, void *context)
{
    while (name.data != NULL && node != NULL)
        node = map_get(&node->children, next_segment(&name));
    for (uint32_t i = 0; node != NULL && i < node->value_count; i++)
        each(context, node->values[i]);
}

void pattern_tree_match(const struct pattern_tree *tree, struct slice name, pattern_match_fn each,
                        void *context)
{
    if (is_hidden(name))
        match_exactly(tree->root, name, each, context);
    else
        match(tree->root, name, each, context);
}
