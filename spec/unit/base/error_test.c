#include "support/unit.h"

#include "base/error.h"

TEST(each_of_our_codes_is_negative_and_has_a_sentence)
{
#define X(name, text)                                                                              \
    assert_true(name < -4096);                                                                     \
    assert_string_equal(error_text(name), text);
    ERROR_LIST(X)
#undef X
}

TEST(other_codes_have_none)
{
    assert_null(error_text(0));
    assert_null(error_text(-1));
    assert_null(error_text(-4095));
    assert_null(error_text(ERROR_BASE));
    assert_null(error_text(-20000));
}

RUN_TESTS(cmocka_unit_test(each_of_our_codes_is_negative_and_has_a_sentence),
          cmocka_unit_test(other_codes_have_none))
