#include "support/unit.h"

#include <string.h>

#include "base/error.h"
#include "proto/http_framing.h"

enum { LIMIT = 1000 };

/* Scans one text; the result and how many of its bytes were in order. */
static int scan(struct http_framing *framing, struct slice text, size_t *good)
{
    int result = 0;
    for (*good = 0; *good < text.length; ++*good) {
        result = http_framing_scan(framing, slice_of(text.data + *good, 1), LIMIT);
        if (result != 0)
            break;
    }
    return result;
}

static void assert_lines(struct http_framing *framing, const char *text, unsigned line)
{
    size_t good;
    if (scan(framing, slice_text(text), &good) != 0)
        fail_msg("byte %zu of %s", good, text);
    assert_int_equal(framing->line, line);
}

/* The last byte of the text is the first that is out of place. */
static void assert_fault(unsigned line, struct slice text)
{
    struct http_framing framing = {.line = line};
    size_t good;
    assert_int_equal(scan(&framing, text, &good), ERROR_BAD_FRAMING);
    if (good + 1 != text.length)
        fail_msg("byte %zu of %s", good, text.data);
}

TEST(a_head_ends_with_an_empty_line)
{
    struct http_framing framing;
    http_framing_init(&framing);
    assert_lines(&framing, "\r\n\r\n", FRAMING_REQUEST);
    assert_false(http_framing_has_begun(&framing));
    assert_lines(&framing, "G", FRAMING_REQUEST);
    assert_true(http_framing_has_begun(&framing));
    assert_lines(&framing, "ET /?a=\xc3\xa4 HTTP/1.1\r\n", FRAMING_FIELD);
    assert_lines(&framing, "Host: a:80\r\nEmpty:\r\nX: \t\"\xff\" \r\n", FRAMING_FIELD);
    assert_lines(&framing, "\r\n", FRAMING_END);
    assert_true(http_framing_has_begun(&framing));
}

TEST(chunks_and_trailers_have_lines_too)
{
    struct http_framing framing = {.line = FRAMING_FIELD, .chunked = true};
    assert_lines(&framing, "\r\n", FRAMING_SIZE);
    assert_lines(&framing, "0aF;name=\"value\"\r\n", FRAMING_DATA_END);
    http_framing_skip_body(&framing);
    assert_int_equal(framing.bytes, 0);
    assert_lines(&framing, "\r\n", FRAMING_SIZE);
    assert_lines(&framing, "10\r\n", FRAMING_DATA_END);
    http_framing_skip_body(&framing);
    assert_lines(&framing, "\r\n000\r\n", FRAMING_FIELD);
    assert_lines(&framing, "A: b\r\n\r\n", FRAMING_END);
}

TEST(a_request_line_is_a_method_a_target_and_a_version)
{
    static const char *const texts[] = {
        "\n",      "\rG",      " ",       "\t",        ":",           "GET\t",
        "GET  ",   "GET\r",    "GET(",    "GET /\x7f", "GET /\t",     "GET /\r",
        "GET /  ", "GET / \r", "GET / h", "GET / R",   "GET / HTTP ", "GET / HTTP/1.1\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_fault(FRAMING_REQUEST, slice_text(texts[i]));
    assert_fault(FRAMING_REQUEST, slice_of("G\0", 2));
    assert_fault(FRAMING_REQUEST, slice_of("GET /\0", 6));
}

TEST(a_field_is_a_name_a_colon_and_text)
{
    static const char *const texts[] = {
        " ",       "\t",      "\n",        ":",          "A ",      "A\t",
        "A\r",     "A(",      "\xc3",      "A: b\n",     "A: b\rc", "A: \x01",
        "A: \x1b", "A: \x7f", "A: b\r\n ", "A: b\r\n\t", "\rA",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_fault(FRAMING_FIELD, slice_text(texts[i]));
    assert_fault(FRAMING_FIELD, slice_of("A: \0", 4));
}

TEST(a_size_is_digits_and_perhaps_an_extension)
{
    static const char *const texts[] = {" ",  "\r",  "\n",  ";",    "+",    "-",      "0x",    "g",
                                        "1 ", "1\t", "1\n", "1\ra", "1;\n", "1;\x01", "1;a\rb"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_fault(FRAMING_SIZE, slice_text(texts[i]));
}

TEST(data_ends_with_a_line_end)
{
    static const char *const texts[] = {"0", " ", "\n", "\r\r", "\r0"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_fault(FRAMING_DATA_END, slice_text(texts[i]));
}

TEST(nothing_follows_the_end)
{
    assert_fault(FRAMING_END, slice_text("\r"));
    assert_fault(FRAMING_FIELD, slice_text("\r\nG"));
}

TEST(the_limit_counts_bytes_since_the_last_body)
{
    struct http_framing framing = {.line = FRAMING_DATA_END};
    struct slice chunk = slice_text("\r\n1;x\r\n");
    for (int i = 0; i < LIMIT; i++) {
        assert_int_equal(http_framing_scan(&framing, chunk, chunk.length), 0);
        http_framing_skip_body(&framing);
    }
    assert_int_equal(http_framing_scan(&framing, chunk, chunk.length - 1), ERROR_HEAD_TOO_LARGE);
}

RUN_TESTS(cmocka_unit_test(a_head_ends_with_an_empty_line),
          cmocka_unit_test(chunks_and_trailers_have_lines_too),
          cmocka_unit_test(a_request_line_is_a_method_a_target_and_a_version),
          cmocka_unit_test(a_field_is_a_name_a_colon_and_text),
          cmocka_unit_test(a_size_is_digits_and_perhaps_an_extension),
          cmocka_unit_test(data_ends_with_a_line_end), cmocka_unit_test(nothing_follows_the_end),
          cmocka_unit_test(the_limit_counts_bytes_since_the_last_body))
