/* How large a request may be. */
#include "support/unit.h"

#include "base/error.h"
#include "models/http.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static const struct http_limits limits = {1024, 64};

static void assert_refused_as(const char *text, int error)
{
    static const uint8_t each_byte[] = {1};
    struct http_outcome out;
    http_read(&out, &limits, slice_text(text), NULL, 0);
    if (out.result != error)
        fail_msg("%s: %d %s", text, out.result, error_text(out.result));
    http_read(&out, &limits, slice_text(text), each_byte, 1);
    if (out.result != error)
        fail_msg("%s: byte by byte %d %s", text, out.result, error_text(out.result));
}

/* A GET whose head has that many bytes. */
static struct buffer head_of(size_t length)
{
    struct buffer head = {0};
    buffer_append_text(&head, GET "X: ");
    while (head.length < length - 4)
        buffer_append_byte(&head, 'x');
    buffer_append_text(&head, "\r\n\r\n");
    return head;
}

static int result_of(struct slice input, const uint8_t *sizes, size_t count)
{
    struct http_outcome out;
    http_read(&out, &limits, input, sizes, count);
    http_outcome_deinit(&out);
    return out.result;
}

TEST(a_head_may_be_as_large_as_the_limit)
{
    static const uint8_t pieces[] = {1, 255};
    struct buffer head = head_of(limits.head);
    assert_int_equal(result_of(buffer_slice(&head), NULL, 0), HTTP_PARSER_DONE);
    assert_int_equal(result_of(buffer_slice(&head), pieces, 2), HTTP_PARSER_DONE);
    buffer_deinit(&head);
    head = head_of(limits.head + 1);
    assert_int_equal(result_of(buffer_slice(&head), NULL, 0), ERROR_HEAD_TOO_LARGE);
    assert_int_equal(result_of(buffer_slice(&head), pieces, 2), ERROR_HEAD_TOO_LARGE);
    buffer_deinit(&head);
}

/* Neither an endless line nor endless lines are collected. */
TEST(an_endless_head_is_refused_at_the_limit)
{
    static const char *const starts[] = {
        "GET /", "GET / HTTP/1.1\r\nHost: a\r\nX: ", "GET / HTTP/1.1\r\nHost: a\r\nX", ""};
    static const char *const parts[] = {"x", "x", "x", "\r\n"};
    for (size_t i = 0; i < 4; i++) {
        struct http_parser *parser = http_parser_new(&limits);
        size_t consumed, fed = strlen(starts[i]);
        int result = http_parser_feed(parser, slice_text(starts[i]), &consumed);
        while (result == HTTP_PARSER_MORE && fed <= limits.head + 2) {
            result = http_parser_feed(parser, slice_text(parts[i]), &consumed);
            fed += strlen(parts[i]);
        }
        assert_int_equal(result, ERROR_HEAD_TOO_LARGE);
        http_parser_free(parser);
    }
}

TEST(headers_are_counted)
{
    static const struct http_limits wide = {65536, 64};
    for (int count = 128; count <= 129; count++) {
        struct http_outcome out;
        struct buffer head = {0};
        buffer_append_text(&head, GET);
        for (int i = 1; i < count; i++)
            buffer_append_text(&head, "a:\r\n");
        buffer_append_text(&head, "\r\n");
        http_read(&out, &wide, buffer_slice(&head), NULL, 0);
        assert_int_equal(out.result, count == 128 ? HTTP_PARSER_DONE : ERROR_HEAD_TOO_LARGE);
        http_outcome_deinit(&out);
        buffer_deinit(&head);
    }
}

TEST(a_body_may_be_as_large_as_the_limit)
{
    struct buffer text = {0};
    for (size_t length = limits.body; length <= limits.body + 1; length++) {
        int expected = length == limits.body ? HTTP_PARSER_DONE : ERROR_BODY_TOO_LARGE;
        buffer_clear(&text);
        buffer_append_format(&text, POST "Content-Length: %zu\r\n\r\n%0*d", length, (int)length, 0);
        assert_int_equal(result_of(buffer_slice(&text), NULL, 0), expected);
        buffer_clear(&text);
        buffer_append_format(&text,
                             POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n%zx\r\n%0*d\r\n"
                                  "0\r\n\r\n",
                             length - 1, (int)length - 1, 0);
        assert_int_equal(result_of(buffer_slice(&text), NULL, 0), expected);
    }
    buffer_deinit(&text);
}

TEST(a_body_that_is_announced_too_large_is_refused_before_it_comes)
{
    assert_refused_as(POST "Content-Length: 65\r\n\r\n", ERROR_BODY_TOO_LARGE);
    assert_refused_as(POST "Content-Length: 18446744073709551615\r\n\r\n", ERROR_BODY_TOO_LARGE);
    assert_refused_as(POST "Expect: 100-continue\r\nContent-Length: 65\r\n\r\n",
                      ERROR_BODY_TOO_LARGE);
    assert_refused_as(POST "Transfer-Encoding: chunked\r\n\r\n41\r\n", ERROR_BODY_TOO_LARGE);
    assert_refused_as(POST "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                      ERROR_BODY_TOO_LARGE);
}

TEST(trailers_and_chunk_extensions_have_the_limit_of_the_head)
{
    static const char *const starts[] = {
        POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
        POST "Transfer-Encoding: chunked\r\n\r\n1;x=",
    };
    for (size_t i = 0; i < 2; i++) {
        struct buffer text = {0};
        buffer_append_text(&text, starts[i]);
        for (size_t j = 0; j < limits.head; j++)
            buffer_append_byte(&text, 'x');
        assert_int_equal(result_of(buffer_slice(&text), NULL, 0), ERROR_HEAD_TOO_LARGE);
        buffer_deinit(&text);
    }
}

RUN_TESTS(cmocka_unit_test(a_head_may_be_as_large_as_the_limit),
          cmocka_unit_test(an_endless_head_is_refused_at_the_limit),
          cmocka_unit_test(headers_are_counted),
          cmocka_unit_test(a_body_may_be_as_large_as_the_limit),
          cmocka_unit_test(a_body_that_is_announced_too_large_is_refused_before_it_comes),
          cmocka_unit_test(trailers_and_chunk_extensions_have_the_limit_of_the_head))
