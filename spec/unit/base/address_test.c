#include "support/unit.h"

#include "base/address.h"

TEST(addresses_are_shown_in_their_own_way)
{
    struct address four = {{[10] = 0xff, 0xff, 10, 0, 0, 7}};
    struct address six = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
    struct address local = {{0}};
    char text[ADDRESS_TEXT];
    address_text(&four, text, sizeof text);
    assert_string_equal(text, "10.0.0.7");
    address_text(&six, text, sizeof text);
    assert_string_equal(text, "2001:db8::1");
    address_text(&local, text, sizeof text);
    assert_string_equal(text, "unix");
    assert_true(address_is_local(&local));
    assert_false(address_is_local(&four));
}

RUN_TESTS(cmocka_unit_test(addresses_are_shown_in_their_own_way))
