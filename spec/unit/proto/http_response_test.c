#include "support/unit.h"

#include <stdio.h>

#include "base/error.h"
#include "proto/http_response.h"

TEST(a_head_has_a_status_line_a_date_and_headers)
{
    struct buffer out = {0};
    http_response_begin(&out, 200, 784111777);
    http_response_header(&out, slice_text("X-A"), slice_text("b"));
    http_response_end(&out);
    assert_text(buffer_slice(&out),
                "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-A: b\r\n\r\n");
    buffer_deinit(&out);
}

TEST(the_date_follows_the_clock)
{
    struct buffer out = {0};
    http_response_begin(&out, 204, 0);
    assert_text(buffer_slice(&out),
                "HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
    buffer_clear(&out);
    http_response_begin(&out, 204, 951782400);
    assert_text(buffer_slice(&out),
                "HTTP/1.1 204 No Content\r\nDate: Tue, 29 Feb 2000 00:00:00 GMT\r\n");
    buffer_deinit(&out);
}

TEST(an_unknown_status_has_an_empty_reason)
{
    struct buffer out = {0};
    http_response_begin(&out, 299, 0);
    assert_int_equal(strncmp(out.data, "HTTP/1.1 299 \r\n", 15), 0);
    assert_string_equal(http_reason(600), "");
    buffer_deinit(&out);
}

TEST(each_error_has_its_status)
{
    static const struct {
        int error, status;
    } pairs[] = {{ERROR_BAD_REQUEST, 400},    {ERROR_BAD_FRAMING, 400}, {ERROR_HEAD_TOO_LARGE, 431},
                 {ERROR_BODY_TOO_LARGE, 413}, {ERROR_EXPECTATION, 417}, {ERROR_CODING, 501},
                 {ERROR_METHOD, 501},         {ERROR_VERSION, 505},     {ERROR_TIMEOUT, 408}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(http_status_of(pairs[i].error), pairs[i].status);
        assert_true(strlen(http_reason(pairs[i].status)) > 0);
    }
}

TEST(headers_that_would_break_the_head_are_not_valid)
{
    struct slice name = slice_text("X-Name"), value = slice_text("value");
    assert_true(http_header_is_valid(name, value));
    assert_true(http_header_is_valid(name, slice_text("")));
    assert_true(http_header_is_valid(name, slice_of(NULL, 0)));
    assert_true(http_header_is_valid(name, slice_text("a\tb \xc3\xa4")));
    for (int byte = 0; byte < 256; byte++) {
        char text[3] = {'a', (char)byte, 'b'};
        bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
        assert_int_equal(http_header_is_valid(name, slice_of(text, 3)), !control);
        bool token = byte > 0x20 && byte < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", byte) == NULL;
        assert_int_equal(http_header_is_valid(slice_of(text, 3), value), token);
    }
    assert_false(http_header_is_valid(slice_text(""), value));
}

TEST(an_error_answer_is_whole)
{
    struct buffer out = {0};
    http_response_error(&out, 431, "the head is too large", true, 784111777);
    assert_text(buffer_slice(&out),
                "HTTP/1.1 431 Request Header Fields Too Large\r\n"
                "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 59\r\n"
                "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
                "431 Request Header Fields Too Large: the head is too large\n");
    buffer_deinit(&out);
}

/* Content-Length is the length of the body that is there, however long the text was. */
TEST(an_error_answer_with_a_long_text_is_whole_too)
{
    struct buffer out = {0};
    char text[1001];
    int length = -1;
    memset(text, 'x', 1000);
    text[1000] = '\0';
    http_response_error(&out, 400, text, true, 0);
    buffer_append_byte(&out, '\0');
    sscanf(strstr(out.data, "Content-Length"), "Content-Length: %d", &length);
    assert_int_equal(length, strlen(strstr(out.data, "\r\n\r\n") + 4));
    buffer_deinit(&out);
}

RUN_TESTS(cmocka_unit_test(a_head_has_a_status_line_a_date_and_headers),
          cmocka_unit_test(the_date_follows_the_clock),
          cmocka_unit_test(an_unknown_status_has_an_empty_reason),
          cmocka_unit_test(each_error_has_its_status),
          cmocka_unit_test(headers_that_would_break_the_head_are_not_valid),
          cmocka_unit_test(an_error_answer_is_whole),
          cmocka_unit_test(an_error_answer_with_a_long_text_is_whole_too))
