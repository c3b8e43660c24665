#include "support/unit.h"

#include "base/list.h"

struct item {
    int number;
    struct list node;
};

static void fill(struct list *head, struct item *items, int count, int first)
{
    list_init(head);
    for (int i = 0; i < count; i++) {
        items[i].number = first + i;
        list_init(&items[i].node);
        list_append(head, &items[i].node);
    }
}

/* The numbers as one decimal number: 1, 2, 3 is 123. Checks the links in both directions. */
static int numbers_of(const struct list *head)
{
    int number = 0;
    for (const struct list *node = head->next; node != head; node = node->next) {
        assert_ptr_equal(node->next->previous, node);
        assert_ptr_equal(node->previous->next, node);
        number = number * 10 + CONTAINER_OF(node, struct item, node)->number;
    }
    return number;
}

TEST(a_new_list_is_empty)
{
    struct list head;
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_int_equal(numbers_of(&head), 0);
}

TEST(appended_nodes_stand_in_order)
{
    struct list head;
    struct item items[3];
    fill(&head, items, 3, 1);
    assert_false(list_is_empty(&head));
    assert_int_equal(numbers_of(&head), 123);
}

TEST(any_node_can_be_removed_and_removed_again)
{
    struct list head;
    struct item items[3];
    fill(&head, items, 3, 1);
    list_remove(&items[1].node);
    assert_int_equal(numbers_of(&head), 13);
    list_remove(&items[1].node);
    assert_int_equal(numbers_of(&head), 13);
    list_remove(&items[0].node);
    list_remove(&items[2].node);
    assert_true(list_is_empty(&head));
    list_append(&head, &items[1].node);
    assert_int_equal(numbers_of(&head), 2);
}

TEST(a_list_moves_to_the_end_of_another)
{
    struct list from, to;
    struct item first[2], second[3];
    fill(&to, first, 2, 1);
    fill(&from, second, 3, 3);
    list_move(&from, &to);
    assert_int_equal(numbers_of(&to), 12345);
    assert_true(list_is_empty(&from));
    list_move(&to, &from);
    assert_int_equal(numbers_of(&from), 12345);
}

TEST(moving_an_empty_list_changes_nothing)
{
    struct list from, to;
    struct item items[2];
    fill(&to, items, 2, 1);
    list_init(&from);
    list_move(&from, &to);
    assert_int_equal(numbers_of(&to), 12);
    assert_true(list_is_empty(&from));
}

TEST(a_walk_that_moves_the_list_aside_survives_removals)
{
    struct list head, waiting;
    struct item items[4];
    fill(&head, items, 4, 1);
    list_init(&waiting);
    list_move(&head, &waiting);
    int visited = 0;
    while (!list_is_empty(&waiting)) {
        struct item *item = CONTAINER_OF(waiting.next, struct item, node);
        list_remove(&item->node);
        list_append(&head, &item->node);
        visited = visited * 10 + item->number;
        if (item->number == 2) {
            list_remove(&items[0].node); /* one that had its turn */
            list_remove(&items[2].node); /* one that waits */
        }
    }
    assert_int_equal(visited, 124);
    assert_int_equal(numbers_of(&head), 24);
}

RUN_TESTS(cmocka_unit_test(a_new_list_is_empty), cmocka_unit_test(appended_nodes_stand_in_order),
          cmocka_unit_test(any_node_can_be_removed_and_removed_again),
          cmocka_unit_test(a_list_moves_to_the_end_of_another),
          cmocka_unit_test(moving_an_empty_list_changes_nothing),
          cmocka_unit_test(a_walk_that_moves_the_list_aside_survives_removals))
