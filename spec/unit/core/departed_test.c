#include "support/unit.h"

#include <stdio.h>

#include "core/departed.h"

TEST(a_channel_that_comes_back_takes_what_was_remembered)
{
    struct departed departed;
    departed_init(&departed);
    assert_int_equal(departed_note(&departed, slice_text("a"), 7), 0);
    assert_int_equal(departed_note(&departed, slice_text("b"), 9), 0);
    assert_int_equal(departed_take(&departed, slice_text("c")), 0);
    assert_int_equal(departed_take(&departed, slice_text("a")), 7);
    assert_int_equal(departed_take(&departed, slice_text("a")), 0);
    departed_deinit(&departed);
}

TEST(when_there_are_too_many_the_highest_stands_for_all)
{
    struct departed departed;
    char name[16];
    uint64_t highest = 0;
    departed_init(&departed);
    for (unsigned i = 1; highest == 0; i++) {
        snprintf(name, sizeof name, "%u", i);
        highest = departed_note(&departed, slice_text(name), 1000000 - i);
        assert_true(i < 1000000);
    }
    assert_int_equal(highest, 999999);
    assert_int_equal(departed_take(&departed, slice_text("1")), 0);
    assert_true(departed_take(&departed, slice_text(name)) > 0);
    departed_deinit(&departed);
}

RUN_TESTS(cmocka_unit_test(a_channel_that_comes_back_takes_what_was_remembered),
          cmocka_unit_test(when_there_are_too_many_the_highest_stands_for_all))
