#include "support/unit.h"

#include "base/error.h"
#include "models/uri.h"
#include "proto/uri.h"
#include "support/random.h"

static void assert_target(const char *target, const char *path, const char *query)
{
    struct uri_target parts;
    assert_int_equal(uri_parse_target(slice_text(target), &parts), 0);
    assert_text(parts.path, path);
    assert_text(parts.query, query);
}

TEST(targets_have_a_path_and_a_query)
{
    assert_target("/", "/", "");
    assert_target("/a/b%2Fc", "/a/b%2Fc", "");
    assert_target("/a?b=c&d", "/a", "b=c&d");
    assert_target("/?", "/", "");
    assert_target("/a?b?c", "/a", "b?c");
    assert_target("//a//b", "//a//b", "");
    assert_target("*", "*", "");
}

TEST(absolute_targets_lose_their_authority)
{
    assert_target("http://example.org/a?b", "/a", "b");
    assert_target("https://example.org:8443/a", "/a", "");
    assert_target("http://example.org", "/", "");
    assert_target("http://example.org?b", "/", "b");
    assert_target("http://[::1]:80/a", "/a", "");
}

/* RFC 3986, 3.1: schemes are case-insensitive. */
TEST(the_case_of_a_scheme_does_not_matter)
{
    assert_target("HTTP://example.org/a", "/a", "");
}

TEST(a_fragment_is_cut_off)
{
    assert_target("/a#b", "/a", "");
    assert_target("/a?b#c?d", "/a", "b");
    assert_target("/#", "/", "");
}

TEST(other_targets_are_refused)
{
    static const char *const targets[] = {
        "",  "a",    "example.org:443", "http://", "http:///", "?a=b", "ftp://host/", "**",
        "#", "http", "http://?a",       " /",      "*?a",      "*#a"};
    struct uri_target parts;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        if (uri_parse_target(slice_text(targets[i]), &parts) != ERROR_BAD_REQUEST)
            fail_msg("%s", targets[i]);
    }
    assert_int_equal(uri_parse_target(slice_of(NULL, 0), &parts), ERROR_BAD_REQUEST);
}

static void assert_decoded(const char *text, bool form, const char *expected)
{
    struct buffer out = {0};
    buffer_append_text(&out, "<");
    assert_true(uri_decode(&out, slice_text(text), form));
    assert_text(slice_of(out.data + 1, out.length - 1), expected);
    buffer_deinit(&out);
}

TEST(percent_signs_are_decoded)
{
    assert_decoded("", false, "");
    assert_decoded("a%20b", false, "a b");
    assert_decoded("%41%6a%6A", false, "Ajj");
    assert_decoded("%25%32%30", false, "%20");
    assert_decoded("a+b", false, "a+b");
    assert_decoded("a+b%2B", true, "a b+");
}

TEST(broken_percent_signs_are_refused)
{
    static const char *const texts[] = {"%", "a%", "%4", "a%4", "%g0", "%0g", "%%41", "% 1", "%+1"};
    struct buffer out = {0};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (uri_decode(&out, slice_text(texts[i]), true))
            fail_msg("%s", texts[i]);
    }
    buffer_deinit(&out);
}

TEST(only_unreserved_characters_stay)
{
    struct buffer out = {0};
    uri_encode(&out, slice_text("aZ09-_.~ /?&=+%\n\xc3\xa4"));
    assert_text(buffer_slice(&out), "aZ09-_.~%20%2F%3F%26%3D%2B%25%0A%C3%A4");
    buffer_deinit(&out);
}

TEST(all_bytes_survive_encoding)
{
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    expect_uri_text_survives(slice_of(bytes, sizeof bytes));
    expect_uri_text_survives(slice_of(NULL, 0));
}

static void assert_pair(struct slice query, size_t *position, const char *name, const char *value)
{
    struct slice actual_name, actual_value;
    assert_true(uri_next_pair(query, position, &actual_name, &actual_value));
    assert_text(actual_name, name);
    assert_text(actual_value, value);
}

TEST(pairs_of_a_query)
{
    struct slice query = slice_text("a=1&b=&c&&=d&e=f=g&"), name, value;
    size_t position = 0;
    assert_pair(query, &position, "a", "1");
    assert_pair(query, &position, "b", "");
    assert_pair(query, &position, "c", "");
    assert_pair(query, &position, "", "d");
    assert_pair(query, &position, "e", "f=g");
    assert_false(uri_next_pair(query, &position, &name, &value));
    assert_false(uri_next_pair(query, &position, &name, &value));
    position = 0;
    assert_false(uri_next_pair(slice_of(NULL, 0), &position, &name, &value));
}

TEST(random_texts_and_targets)
{
    static const char bytes[] = "/?#%&=+:*aF0 ht";
    struct random random = random_start(7);
    char text[24];
    for (unsigned i = 0; i < random_rounds(20000); i++) {
        size_t length = random_below(&random, sizeof text);
        for (size_t j = 0; j < length; j++)
            text[j] = bytes[random_below(&random, sizeof bytes - 1)];
        expect_uri_text_survives(slice_of(text, length));
        expect_uri_target_holds(slice_of(text, length));
    }
}

RUN_TESTS(cmocka_unit_test(targets_have_a_path_and_a_query),
          cmocka_unit_test(absolute_targets_lose_their_authority),
          cmocka_unit_test(the_case_of_a_scheme_does_not_matter),
          cmocka_unit_test(a_fragment_is_cut_off), cmocka_unit_test(other_targets_are_refused),
          cmocka_unit_test(percent_signs_are_decoded),
          cmocka_unit_test(broken_percent_signs_are_refused),
          cmocka_unit_test(only_unreserved_characters_stay),
          cmocka_unit_test(all_bytes_survive_encoding), cmocka_unit_test(pairs_of_a_query),
          cmocka_unit_test(random_texts_and_targets))
