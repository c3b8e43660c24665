#include "support/unit.h"

#include <stdlib.h>

#include "base/heap.h"
#include "support/random.h"

enum { COUNT = 200 };

/* No parent is greater than its child, and every node knows where it stands. */
static void check_order(const struct heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        assert_int_equal(heap->nodes[i]->position, i + 1);
        if (i > 0)
            assert_true(heap->nodes[(i - 1) / 2]->key <= heap->nodes[i]->key);
    }
}

static void check_first(const struct heap *heap, const struct heap_node *nodes)
{
    uint64_t lowest = UINT64_MAX;
    size_t count = 0;
    for (size_t i = 0; i < COUNT; i++) {
        if (!heap_contains(&nodes[i]))
            continue;
        count++;
        lowest = nodes[i].key < lowest ? nodes[i].key : lowest;
    }
    assert_int_equal(heap->count, count);
    if (count == 0)
        assert_null(heap_first(heap));
    else
        assert_true(heap_first(heap)->key == lowest);
}

TEST(an_empty_heap_has_no_first)
{
    struct heap heap;
    struct heap_node node = {0};
    heap_init(&heap);
    assert_null(heap_first(&heap));
    assert_false(heap_contains(&node));
    heap_remove(&heap, &node);
    heap_deinit(&heap);
}

TEST(nodes_come_out_smallest_first)
{
    struct random random = random_start(4);
    struct heap heap = {0};
    struct heap_node nodes[COUNT] = {{0}};
    for (size_t i = 0; i < COUNT; i++)
        heap_set(&heap, &nodes[i], random_below(&random, 100));
    uint64_t last = 0;
    while (heap.count > 0) {
        struct heap_node *first = heap_first(&heap);
        assert_true(first->key >= last);
        last = first->key;
        heap_remove(&heap, first);
        assert_false(heap_contains(first));
    }
    heap_deinit(&heap);
}

TEST(a_node_that_is_set_again_moves)
{
    struct heap heap = {0};
    struct heap_node nodes[3] = {{0}};
    for (size_t i = 0; i < 3; i++)
        heap_set(&heap, &nodes[i], i + 1);
    heap_set(&heap, &nodes[2], 0);
    assert_ptr_equal(heap_first(&heap), &nodes[2]);
    heap_set(&heap, &nodes[2], UINT64_MAX);
    assert_ptr_equal(heap_first(&heap), &nodes[0]);
    assert_int_equal(heap.count, 3);
    heap_deinit(&heap);
}

TEST(random_changes_match_a_table)
{
    struct random random = random_start(5);
    struct heap heap = {0};
    struct heap_node nodes[COUNT] = {{0}};
    for (unsigned i = 0; i < random_rounds(5000); i++) {
        struct heap_node *node = &nodes[random_below(&random, COUNT)];
        if (random_below(&random, 3) == 0)
            heap_remove(&heap, node);
        else
            heap_set(&heap, node, random_below(&random, 1000));
        check_order(&heap);
        check_first(&heap, nodes);
    }
    heap_deinit(&heap);
}

RUN_TESTS(cmocka_unit_test(an_empty_heap_has_no_first),
          cmocka_unit_test(nodes_come_out_smallest_first),
          cmocka_unit_test(a_node_that_is_set_again_moves),
          cmocka_unit_test(random_changes_match_a_table))
