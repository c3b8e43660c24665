#include "support/unit.h"

#include <stdlib.h>

#include "proto/utf8.h"

/* Writes the code point as `length` bytes, be that its right length or not. */
static size_t encode(unsigned char *out, uint32_t code, size_t length)
{
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0, 0xf8, 0xfc};
    for (size_t i = length; i-- > 1; code >>= 6)
        out[i] = (unsigned char)(0x80 | (code & 0x3f));
    out[0] = (unsigned char)(length == 1 ? code : leads[length] | code);
    return length;
}

static bool is_valid(const void *bytes, size_t length)
{
    /* In memory of its exact size, so that a sanitizer sees every read behind the end. */
    char *copy = malloc(length + 1);
    char *text = copy + 1;
    memcpy(text, bytes, length);
    bool valid = utf8_is_valid(slice_of(text, length));
    free(copy);
    return valid;
}

static bool code_is_valid(uint32_t code, size_t length)
{
    unsigned char bytes[6];
    return is_valid(bytes, encode(bytes, code, length));
}

static size_t right_length(uint32_t code)
{
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

TEST(nothing_is_valid)
{
    assert_true(utf8_is_valid(slice_of(NULL, 0)));
    assert_true(utf8_is_valid(slice_text("")));
}

TEST(every_code_point_is_valid_except_surrogates)
{
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        if (code_is_valid(code, right_length(code)) == surrogate)
            fail_msg("U+%04X", code);
    }
}

TEST(code_points_behind_the_last_are_not_valid)
{
    static const uint32_t codes[] = {0x110000, 0x110001, 0x13ffff, 0x140000, 0x1fffff};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        assert_false(code_is_valid(codes[i], 4));
    assert_false(code_is_valid(0x200000, 5));
    assert_false(code_is_valid(0x3ffffff, 5));
    assert_false(code_is_valid(0x7fffffff, 6));
}

TEST(overlong_forms_are_not_valid)
{
    static const uint32_t limits[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t length = 2; length <= 4; length++) {
        for (uint32_t code = 0; code < limits[length]; code++) {
            if (code_is_valid(code, length))
                fail_msg("U+%04X in %zu bytes", code, length);
        }
    }
    assert_false(code_is_valid('/', 5));
    assert_false(code_is_valid(0xffff, 5));
    assert_false(code_is_valid('/', 6));
}

/* All 65,792 texts of one and two bytes, against the two rules that they need. */
TEST(every_text_of_two_bytes)
{
    for (unsigned first = 0; first < 256; first++) {
        unsigned char text[2] = {(unsigned char)first, 0};
        assert_int_equal(is_valid(text, 1), first < 0x80);
        for (unsigned second = 0; second < 256; second++) {
            text[1] = (unsigned char)second;
            bool both = first < 0x80 && second < 0x80;
            bool pair = first >= 0xc2 && first < 0xe0 && second >= 0x80 && second < 0xc0;
            assert_int_equal(is_valid(text, 2), both || pair);
        }
    }
}

/* Each sequence whole, cut short, and with each byte replaced by one that cannot continue. */
TEST(cut_and_broken_sequences_are_not_valid)
{
    static const uint32_t codes[] = {0x80,   0x7ff,  0x800,   0xfff,   0xd7ff,
                                     0xe000, 0xffff, 0x10000, 0x40000, 0x10ffff};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        unsigned char bytes[6];
        size_t length = encode(bytes, codes[i], right_length(codes[i]));
        assert_true(is_valid(bytes, length));
        for (size_t cut = 1; cut < length; cut++) {
            assert_false(is_valid(bytes, cut));
            assert_false(is_valid(bytes + cut, length - cut));
            unsigned char right = bytes[cut];
            bytes[cut] = 'a';
            assert_false(is_valid(bytes, length));
            bytes[cut] = 0xc3;
            assert_false(is_valid(bytes, length));
            bytes[cut] = right;
        }
    }
}

/* ASCII is read eight bytes at a time: a fault anywhere around such a word is still found. */
TEST(faults_are_found_at_every_place)
{
    char text[40];
    for (size_t length = 1; length < sizeof text; length++) {
        memset(text, 'a', sizeof text);
        assert_true(is_valid(text, length));
        for (size_t i = 0; i < length; i++) {
            text[i] = (char)0xff;
            assert_false(is_valid(text, length));
            text[i] = (char)0xc3;
            assert_false(is_valid(text, length));
            if (i + 1 < length) {
                text[i + 1] = (char)0xa4;
                assert_true(is_valid(text, length));
                text[i + 1] = 'a';
            }
            text[i] = 'a';
        }
    }
}

RUN_TESTS(cmocka_unit_test(nothing_is_valid),
          cmocka_unit_test(every_code_point_is_valid_except_surrogates),
          cmocka_unit_test(code_points_behind_the_last_are_not_valid),
          cmocka_unit_test(overlong_forms_are_not_valid), cmocka_unit_test(every_text_of_two_bytes),
          cmocka_unit_test(cut_and_broken_sequences_are_not_valid),
          cmocka_unit_test(faults_are_found_at_every_place))
