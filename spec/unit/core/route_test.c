#include "support/unit.h"

#include <stdio.h>

#include "core/route.h"

/* Adds a pattern such as "/stock/:symbol"; the names of parameters are the script's business. */
static int add(struct route_tree *tree, const char *method, const char *pattern, int value)
{
    struct route_segment segments[16];
    size_t count = 0;
    while (*pattern == '/') {
        const char *begin = pattern + 1;
        size_t length = strcspn(begin, "/");
        enum route_kind kind = *begin == ':'   ? ROUTE_PARAMETER
                               : *begin == '*' ? ROUTE_REST
                                               : ROUTE_LITERAL;
        segments[count++] = (struct route_segment){kind, slice_of(begin, length)};
        pattern = begin + length;
    }
    return route_add(tree, slice_text(method), segments, count, value);
}

static int find(struct route_tree *tree, const char *method, const char *path,
                struct route_match *match)
{
    return route_find(tree, slice_text(method), slice_text(path), match);
}

static void assert_value(const struct route_match *match, unsigned index, const char *expected)
{
    assert_true(index < match->value_count);
    assert_text(match->values[index], expected);
}

TEST(routes_are_found_with_their_values)
{
    struct route_tree tree;
    struct route_match match;
    route_tree_init(&tree);
    assert_int_equal(add(&tree, "GET", "/stock/:symbol", 7), 7);
    assert_int_equal(add(&tree, "GET", "/files/:kind/*path", 8), 8);
    assert_int_equal(find(&tree, "GET", "/stock/A%2FB", &match), 0);
    assert_int_equal(match.value, 7);
    assert_int_equal(match.value_count, 1);
    assert_value(&match, 0, "A/B");
    assert_int_equal(find(&tree, "HEAD", "/files/a/b/%63/", &match), 0);
    assert_int_equal(match.value, 8);
    assert_int_equal(match.value_count, 2);
    assert_value(&match, 0, "a");
    assert_value(&match, 1, "b/c/");
    route_tree_deinit(&tree);
}

TEST(the_same_route_twice_is_the_first)
{
    struct route_tree tree;
    route_tree_init(&tree);
    assert_int_equal(add(&tree, "GET", "/a/:x", 1), 1);
    assert_int_equal(add(&tree, "GET", "/a/:y", 2), 1);
    assert_int_equal(add(&tree, "POST", "/a/:y", 2), 2);
    route_tree_deinit(&tree);
}

TEST(a_path_that_no_route_takes_has_a_status)
{
    struct route_tree tree;
    struct route_match match;
    struct buffer allow = {0};
    route_tree_init(&tree);
    add(&tree, "GET", "/a", 1);
    add(&tree, "PUT", "/:x", 2);
    assert_int_equal(find(&tree, "GET", "", &match), 404);
    assert_int_equal(find(&tree, "GET", "*", &match), 404);
    assert_int_equal(find(&tree, "GET", "/a/b", &match), 404);
    assert_int_equal(find(&tree, "GET", "/%2", &match), 400);
    assert_int_equal(find(&tree, "GET", "/a%00", &match), 400);
    assert_int_equal(find(&tree, "BREW", "/a", &match), 405);
    route_allow(&tree, match.allowed, &allow);
    assert_text(buffer_slice(&allow), "GET, HEAD, OPTIONS, PUT");
    buffer_deinit(&allow);
    route_tree_deinit(&tree);
}

TEST(long_paths_and_many_methods_have_room)
{
    struct route_tree tree;
    struct route_match match;
    char method[8], path[4001];
    route_tree_init(&tree);
    for (int i = 0; i < ROUTE_METHODS; i++) {
        snprintf(method, sizeof method, "M%d", i);
        assert_int_equal(add(&tree, method, "/*rest", i), i);
    }
    assert_int_equal(add(&tree, "ONE-MORE", "/*rest", ROUTE_METHODS), -1);
    memset(path, '/', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(find(&tree, "M31", path, &match), 0);
    assert_int_equal(match.value, 31);
    assert_value(&match, 0, path + 1);
    route_tree_deinit(&tree);
}

RUN_TESTS(cmocka_unit_test(routes_are_found_with_their_values),
          cmocka_unit_test(the_same_route_twice_is_the_first),
          cmocka_unit_test(a_path_that_no_route_takes_has_a_status),
          cmocka_unit_test(long_paths_and_many_methods_have_room))
