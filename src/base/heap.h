#ifndef SSE_BASE_HEAP_H
#define SSE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A binary heap of intrusive nodes, smallest key first: deadlines, mostly. A zeroed node is in no
 * heap. Nodes are borrowed and must leave the heap before their memory goes. */
struct heap_node {
    uint64_t key;
    size_t position; /* 1-based; 0 when the node is in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t capacity;
};

void heap_init(struct heap *heap);
void heap_deinit(struct heap *heap);
/* Inserts the node, or moves it when it is in the heap already. */
void heap_set(struct heap *heap, struct heap_node *node, uint64_t key);
/* Does nothing when the node is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

static inline struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[0];
}

static inline bool heap_contains(const struct heap_node *node)
{
    return node->position != 0;
}

#endif
