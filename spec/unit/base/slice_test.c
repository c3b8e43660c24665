#include "support/unit.h"

static const struct slice nothing = {NULL, 0};

TEST(equal_slices_have_the_same_bytes)
{
    assert_true(slice_equal(slice_text("abc"), slice_of("abcd", 3)));
    assert_false(slice_equal(slice_text("abc"), slice_text("abd")));
    assert_false(slice_equal(slice_text("abc"), slice_text("ab")));
    assert_false(slice_equal(slice_of("a\0b", 3), slice_of("a\0c", 3)));
}

TEST(empty_slices_are_equal_with_and_without_memory)
{
    assert_true(slice_equal(nothing, nothing));
    assert_true(slice_equal(nothing, slice_of("abc", 0)));
    assert_false(slice_equal(nothing, slice_text("a")));
}

TEST(case_is_ignored_in_ascii_letters_only)
{
    assert_true(slice_equal_case(slice_text("Chunked"), "chunked"));
    assert_false(slice_equal_case(slice_text("chunke"), "chunked"));
    assert_false(slice_equal_case(slice_text("[a"), "{a"));
    assert_false(slice_equal_case(slice_of("chun\0ed", 7), "chunked"));
    assert_true(slice_equal_case(nothing, ""));
    assert_false(slice_equal_case(nothing, "a"));
}

TEST(prefixes)
{
    assert_true(slice_starts_with(slice_text("last=20"), "last="));
    assert_true(slice_starts_with(slice_text("last="), "last="));
    assert_false(slice_starts_with(slice_text("last"), "last="));
    assert_true(slice_starts_with(nothing, ""));
    assert_false(slice_starts_with(nothing, "a"));
}

RUN_TESTS(cmocka_unit_test(equal_slices_have_the_same_bytes),
          cmocka_unit_test(empty_slices_are_equal_with_and_without_memory),
          cmocka_unit_test(case_is_ignored_in_ascii_letters_only), cmocka_unit_test(prefixes))
