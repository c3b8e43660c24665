#include "core/route.h"

#include <stdlib.h>

#include "base/memory.h"
#include "proto/uri.h"

struct route_entry {
    unsigned method; /* index in tree.methods */
    int value;
};

struct route_node {
    struct slice segment; /* owned; the key in the parent's literals */
    struct map literals;  /* by segment */
    struct route_node *parameter;
    struct route_node *rest;
    struct route_entry *entries;
    size_t entry_count;
};

static struct route_node *new_node(struct slice segment)
{
    struct route_node *node = memory_zero(1, sizeof *node);
    node->segment = slice_of(memory_copy(segment.data, segment.length), segment.length);
    return node;
}

static void free_node(struct route_node *node)
{
    size_t position = 0;
    void *child;
    if (node == NULL)
        return;
    while (map_next(&node->literals, &position, &child))
        free_node(child);
    map_deinit(&node->literals);
    free_node(node->parameter);
    free_node(node->rest);
    free(node->entries);
    free((char *)node->segment.data);
    free(node);
}

void route_tree_init(struct route_tree *tree)
{
    *tree = (struct route_tree){.root = new_node(slice_of("", 0))};
}

void route_tree_deinit(struct route_tree *tree)
{
    free_node(tree->root);
    for (unsigned i = 0; i < tree->method_count; i++)
        free((char *)tree->methods[i].data);
    buffer_deinit(&tree->text);
    free(tree->segments);
    free(tree->values);
    tree->root = NULL;
}

/* Adding */

/* The index of the method, or ROUTE_METHODS. */
static unsigned find_method(const struct route_tree *tree, struct slice method)
{
    for (unsigned i = 0; i < tree->method_count; i++) {
        if (slice_equal(tree->methods[i], method))
            return i;
    }
    return ROUTE_METHODS;
}

static unsigned add_method(struct route_tree *tree, struct slice method)
{
    unsigned index = find_method(tree, method);
    if (index < ROUTE_METHODS || tree->method_count == ROUTE_METHODS)
        return index;
    tree->methods[tree->method_count] =
        slice_of(memory_copy(method.data, method.length), method.length);
    return tree->method_count++;
}

static struct route_node *grow(struct route_node *node, const struct route_segment *segment)
{
    struct route_node **place = segment->kind == ROUTE_PARAMETER ? &node->parameter : &node->rest;
    struct route_node *child =
        segment->kind == ROUTE_LITERAL ? map_get(&node->literals, segment->text) : *place;
    if (child != NULL)
        return child;
    child = new_node(segment->text);
    if (segment->kind == ROUTE_LITERAL)
        map_put(&node->literals, child->segment, child);
    else
        *place = child;
    return child;
}

int route_add(struct route_tree *tree, struct slice method, const struct route_segment *segments,
              size_t count, int value)
{
    struct route_node *node = tree->root;
    unsigned index = add_method(tree, method);
    if (index == ROUTE_METHODS)
        return -1;
    for (size_t i = 0; i < count; i++)
        node = grow(node, &segments[i]);
    for (size_t i = 0; i < node->entry_count; i++) {
        if (node->entries[i].method == index)
            return node->entries[i].value;
    }
    size_t size = (node->entry_count + 1) * sizeof *node->entries;
    node->entries = memory_grow(node->entries, size);
    node->entries[node->entry_count++] = (struct route_entry){index, value};
    return value;
}

/* Finding */

static void *reserve(void *items, size_t *capacity, size_t count, size_t size)
{
    if (count <= *capacity)
        return items;
    *capacity = count < 8 ? 8 : count * 2;
    return memory_grow(items, *capacity * size);
}

/* Decodes the path's segments. -1 when one is malformed or holds NUL. The count is 0 for a path
 * without a slash in front. */
static long split(struct route_tree *tree, struct slice path)
{
    long count = 0;
    tree->text.length = 0;
    if (path.length == 0 || path.data[0] != '/')
        return 0;
    /* What is decoded is never longer, and the rest may stand behind it once more: the text does
     * not move. */
    buffer_reserve(&tree->text, path.length * 2);
    for (size_t i = 1; i <= path.length;) {
        const char *slash = i == path.length ? NULL : memchr(path.data + i, '/', path.length - i);
        size_t end = slash == NULL ? path.length : (size_t)(slash - path.data);
        size_t began = tree->text.length;
        if (!uri_decode(&tree->text, slice_of(path.data + i, end - i), false))
            return -1;
        struct slice segment = slice_of(tree->text.data + began, tree->text.length - began);
        if (segment.length > 0 && memchr(segment.data, '\0', segment.length) != NULL)
            return -1;
        tree->segments = reserve(tree->segments, &tree->segment_capacity, (size_t)count + 1,
                                 sizeof *tree->segments);
        tree->segments[count++] = segment;
        i = end + 1;
    }
    return count;
}

struct search {
    struct route_tree *tree;
    size_t count;    /* segments of the path */
    unsigned method; /* index, or ROUTE_METHODS for one that no route has */
    unsigned get;    /* likewise: what HEAD falls back on */
    unsigned any;
    uint32_t allowed;
};

static const struct route_entry *entry_for(const struct route_node *node, unsigned method)
{
    for (size_t i = 0; i < node->entry_count && method < ROUTE_METHODS; i++) {
        if (node->entries[i].method == method)
            return &node->entries[i];
    }
    return NULL;
}

/* The node's entry for the method; notes what the node allows when it has none. */
static const struct route_entry *entry_of(struct search *search, const struct route_node *node)
{
    const struct route_entry *entry = entry_for(node, search->method);
    if (entry == NULL)
        entry = entry_for(node, search->get);
    if (entry == NULL)
        entry = entry_for(node, search->any);
    for (size_t i = 0; i < node->entry_count && entry == NULL; i++)
        search->allowed |= (uint32_t)1 << node->entries[i].method;
    return entry;
}

static void set_value(struct search *search, unsigned depth, struct slice value)
{
    struct route_tree *tree = search->tree;
    tree->values = reserve(tree->values, &tree->value_capacity, depth + 1, sizeof *tree->values);
    tree->values[depth] = value;
}

/* The segments from `index` on, with the slashes between them, behind the other text. */
static struct slice join_rest(struct search *search, size_t index)
{
    struct route_tree *tree = search->tree;
    size_t began = tree->text.length;
    for (size_t i = index; i < search->count; i++) {
        if (i > index)
            buffer_append_byte(&tree->text, '/');
        buffer_append_slice(&tree->text, tree->segments[i]);
    }
    return slice_of(tree->text.data + began, tree->text.length - began);
}

/* No deeper than the routes are. */
static const struct route_entry *descend(struct search *search, const struct route_node *node,
                                         size_t index, unsigned depth, unsigned *value_count)
{
    const struct route_entry *entry = NULL;
    if (index == search->count) {
        *value_count = depth;
        return entry_of(search, node);
    }
    struct slice segment = search->tree->segments[index];
    const struct route_node *literal = map_get(&node->literals, segment);
    if (literal != NULL)
        entry = descend(search, literal, index + 1, depth, value_count);
    if (entry == NULL && node->parameter != NULL && segment.length > 0) {
        set_value(search, depth, segment);
        entry = descend(search, node->parameter, index + 1, depth + 1, value_count);
    }
    if (entry == NULL && node->rest != NULL && (entry = entry_of(search, node->rest)) != NULL) {
        set_value(search, depth, join_rest(search, index));
        *value_count = depth + 1;
    }
    return entry;
}

int route_find(struct route_tree *tree, struct slice method, struct slice path,
               struct route_match *out)
{
    long count = split(tree, path);
    if (count < 0)
        return 400;
    struct search search = {
        .tree = tree,
        .count = (size_t)count,
        .method = find_method(tree, method),
        .get = slice_equal(method, slice_text("HEAD")) ? find_method(tree, slice_text("GET"))
                                                       : ROUTE_METHODS,
        .any = find_method(tree, slice_text("ANY")),
    };
    *out = (struct route_match){0};
    const struct route_entry *entry =
        count == 0 ? NULL : descend(&search, tree->root, 0, 0, &out->value_count);
    out->allowed = search.allowed;
    if (entry == NULL)
        return search.allowed != 0 ? 405 : 404;
    out->value = entry->value;
    out->values = tree->values;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void route_allow(const struct route_tree *tree, uint32_t allowed, struct buffer *out)
{
    const char *names[ROUTE_METHODS + 2];
    size_t count = 0;
    bool has_get = false, has_head = false, has_options = false;
    for (unsigned i = 0; i < tree->method_count; i++) {
        if (!(allowed & ((uint32_t)1 << i)))
            continue;
        names[count++] = tree->methods[i].data;
        has_get = has_get || strcmp(tree->methods[i].data, "GET") == 0;
        has_head = has_head || strcmp(tree->methods[i].data, "HEAD") == 0;
        has_options = has_options || strcmp(tree->methods[i].data, "OPTIONS") == 0;
    }
    if (has_get && !has_head)
        names[count++] = "HEAD";
    if (!has_options)
        names[count++] = "OPTIONS";
    qsort(names, count, sizeof names[0], compare);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(out, i == 0 ? "" : ", ");
        buffer_append_text(out, names[i]);
    }
}
