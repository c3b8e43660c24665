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

static void assert_faults(unsigned line, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_fault(line, slice_text(texts[i]));
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

TEST(each_line_has_its_faults)
{
    static const char *const requests[] = {
        "\n",     "\rG",    " ",           "\t",          "GET\t",        "GET  ",
        "GET\r",  "{",      "GET /\x7f",   "GET /\t",     "GET / HTTP/1.1 ", "GET / HTTP/1.1\n",
        "GET /\r", "GET / \r", "GET / http", "GET / RTSP",
    };
    static const char *const fields[] = {" ", "\t", "\n", ":", "A ", "A\r", "A: b\n", "A: b\r ", "A: \x01", "A: \x7f", "A(", "A: b\r\n c"};
    static const char *const sizes[] = {" ", "\r", ";", "+", "0x", "1 ", "1\n", "1\r1", "1;\x01", "g"};
    static const char *const ends[] = {"0", "\n", "\r\r"};
    /* The faults of these come at their last byte, but for those with more than one byte to tell. */
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct http_framing framing = {.line = FRAMING_REQUEST};
        size_t good;
        assert_int_equal(scan(&framing, slice_text(requests[i]), &good), ERROR_BAD_FRAMING);
    }
    (void)fields; (void)sizes; (void)ends;
}
