#include "base/heap.h"

#include <stdlib.h>

#include "base/memory.h"

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_deinit(struct heap *heap)
{
    free(heap->nodes);
    *heap = (struct heap){0};
}

static void place(struct heap *heap, size_t index, struct heap_node *node)
{
    heap->nodes[index] = node;
    node->position = index + 1;
}

static void sift_up(struct heap *heap, size_t index)
{
    struct heap_node *node = heap->nodes[index];
    while (index > 0 && heap->nodes[(index - 1) / 2]->key > node->key) {
        place(heap, index, heap->nodes[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    place(heap, index, node);
}

static void sift_down(struct heap *heap, size_t index)
{
    struct heap_node *node = heap->nodes[index];
    for (;;) {
        size_t child = index * 2 + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->nodes[child + 1]->key < heap->nodes[child]->key)
            child++;
        if (heap->nodes[child]->key >= node->key)
            break;
        place(heap, index, heap->nodes[child]);
        index = child;
    }
    place(heap, index, node);
}

static void move(struct heap *heap, struct heap_node *node)
{
    sift_up(heap, node->position - 1);
    sift_down(heap, node->position - 1);
}

void heap_set(struct heap *heap, struct heap_node *node, uint64_t key)
{
    node->key = key;
    if (!heap_contains(node)) {
        if (heap->count == heap->capacity) {
            heap->capacity = heap->capacity == 0 ? 16 : heap->capacity * 2;
            heap->nodes = memory_grow(heap->nodes, heap->capacity * sizeof(struct heap_node *));
        }
        place(heap, heap->count++, node);
    }
    move(heap, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (!heap_contains(node))
        return;
    size_t index = node->position - 1;
    struct heap_node *last = heap->nodes[--heap->count];
    node->position = 0;
    if (last != node) {
        place(heap, index, last);
        move(heap, last);
    }
}
