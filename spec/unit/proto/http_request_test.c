#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "models/http.h"
#include "proto/http_request.h"
#include "support/random.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static const struct http_limits limits = {1024, 64};

/* What must be true of every input, whatever it is. */
static void check_properties(struct slice input)
{
    static const uint8_t each_byte[] = {1};
    expect_pieces_do_not_matter(&limits, input, each_byte, 1);
    for (size_t i = 1; i < input.length && i < 255; i++) {
        uint8_t two[] = {(uint8_t)i, 255, 255, 255, 255};
        expect_pieces_do_not_matter(&limits, input, two, sizeof two);
    }
    expect_rewritten_is_same(&limits, input);
}

static void read_text(struct http_outcome *out, struct slice input)
{
    check_properties(input);
    http_read(out, &limits, input, NULL, 0);
}

static struct http_request *assert_done(struct http_outcome *out, const char *text)
{
    read_text(out, slice_text(text));
    if (out->result != HTTP_PARSER_DONE)
        fail_msg("%s: %d %s", text, out->result, error_text(out->result));
    assert_int_equal(out->consumed, strlen(text));
    return out->request;
}

static void assert_refused_as(const char *text, int error)
{
    static const uint8_t each_byte[] = {1};
    struct http_outcome out;
    read_text(&out, slice_text(text));
    if (out.result != error)
        fail_msg("%s: %d %s", text, out.result, error_text(out.result));
    http_read(&out, &limits, slice_text(text), each_byte, 1);
    if (out.result != error)
        fail_msg("%s: byte by byte %d %s", text, out.result, error_text(out.result));
}

TEST(a_request_has_a_method_a_target_and_headers)
{
    struct http_outcome out;
    struct http_request *request =
        assert_done(&out, "GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nX-Two:  b c\t \r\n"
                          "Empty:\r\nx-two: d\r\n\r\n");
    assert_string_equal(http_request_method(request), "GET");
    assert_text(http_request_target(request), "/a?b=c");
    assert_int_equal(request->header_count, 4);
    assert_text(http_request_name(request, 0), "host");
    assert_text(http_request_value(request, 0), "example.org");
    assert_text(http_request_find(request, "x-two"), "b c");
    assert_text(http_request_value(request, 2), "");
    assert_text(http_request_value(request, 3), "d");
    assert_null(http_request_find(request, "x-three").data);
    assert_true(request->keep_alive);
    assert_false(request->http_1_0);
    assert_int_equal(request->body.length, 0);
    http_outcome_deinit(&out);
}

TEST(a_connection_is_kept_as_its_version_and_header_say)
{
    static const struct {
        const char *text;
        bool keep, old;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false, false},
        {"GET / HTTP/1.0\r\n\r\n", false, true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_outcome out;
        struct http_request *request = assert_done(&out, cases[i].text);
        assert_int_equal(request->keep_alive, cases[i].keep);
        assert_int_equal(request->http_1_0, cases[i].old);
        http_outcome_deinit(&out);
    }
}

TEST(bodies_are_read_by_length_and_by_chunks)
{
    struct http_outcome out;
    struct http_request *request =
        assert_done(&out, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello\r\nwor\n");
    assert_text(buffer_slice(&request->body), "hello\r\nwor\n");
    http_outcome_deinit(&out);
    request = assert_done(&out, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
                                "5\r\nhello\r\n6;a=b\r\n\r\nworl\r\n0\r\nTrailer: x\r\n\r\n");
    assert_text(buffer_slice(&request->body), "hello\r\nworl");
    assert_int_equal(request->header_count, 2);
    http_outcome_deinit(&out);
    request = assert_done(&out, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(request->body.length, 0);
    http_outcome_deinit(&out);
}

TEST(what_follows_a_request_is_left_for_the_next)
{
    static const char text[] =
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    struct http_outcome out;
    read_text(&out, slice_text(text));
    assert_int_equal(out.result, HTTP_PARSER_DONE);
    assert_text(http_request_target(out.request), "/1");
    assert_string_equal(text + out.consumed, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    http_outcome_deinit(&out);
}

TEST(empty_lines_before_a_request_are_ignored)
{
    struct http_outcome out;
    assert_done(&out, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    http_outcome_deinit(&out);
}

TEST(an_incomplete_request_wants_more)
{
    static const char text[] =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    for (size_t length = 0; length < sizeof text - 1; length++) {
        struct http_outcome out;
        http_read(&out, &limits, slice_of(text, length), NULL, 0);
        assert_int_equal(out.result, HTTP_PARSER_MORE);
        assert_int_equal(out.consumed, length);
    }
}

TEST(a_client_that_waits_is_told_to_continue_once)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
                               "Content-Length: 2\r\n\r\n";
    struct http_outcome out;
    char text[sizeof head + 2];
    snprintf(text, sizeof text, "%sab", head);
    struct http_request *request = assert_done(&out, text);
    assert_true(request->expects_continue);
    assert_text(buffer_slice(&request->body), "ab");
    assert_int_equal(out.continued, strlen(head));
    http_outcome_deinit(&out);
}

TEST(nobody_of_http_1_0_waits)
{
    struct http_outcome out;
    assert_done(&out, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab");
    assert_int_equal(out.continued, 0);
    http_outcome_deinit(&out);
}

TEST(an_upgrade_is_not_taken)
{
    struct http_outcome out;
    assert_done(&out, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                      "Upgrade: websocket\r\n\r\n");
    http_outcome_deinit(&out);
    assert_done(&out, "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
                      "Content-Length: 2\r\n\r\nab");
    assert_text(buffer_slice(&out.request->body), "ab");
    http_outcome_deinit(&out);
}

TEST(what_two_servers_could_read_differently_is_refused)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\rHost: a\r\r",
        "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        GET "X: a\r\n b\r\n\r\n",
        GET "X: a\r\n\tb\r\n\r\n",
        GET " X: a\r\n\r\n",
        GET "X: a\r b\r\n\r\n",
        POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        POST "Content-Length: 1, 1\r\n\r\na",
        POST "Content-Length: +1\r\n\r\na",
        POST "Content-Length: -1\r\n\r\na",
        POST "Content-Length: 1a\r\n\r\na",
        POST "Content-Length: 0x1\r\n\r\na",
        POST "Content-Length: 1 1\r\n\r\na",
        POST "Content-Length:\r\n\r\n",
        POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: gzip\r\n\r\n",
        POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\n",
        POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n1\r\na0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        static const uint8_t each_byte[] = {1};
        struct http_outcome out;
        http_read(&out, &limits, slice_text(texts[i]), NULL, 0);
        if (out.result != ERROR_BAD_FRAMING && out.result != ERROR_BAD_REQUEST &&
            out.result != ERROR_BODY_TOO_LARGE)
            fail_msg("%s: %d %s", texts[i], out.result, error_text(out.result));
        http_read(&out, &limits, slice_text(texts[i]), each_byte, 1);
        if (out.result >= 0)
            fail_msg("%s: byte by byte", texts[i]);
        check_properties(slice_text(texts[i]));
    }
}

TEST(malformed_requests_are_refused)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\n\r\n",
        GET "Host: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        GET "X : a\r\n\r\n",
        GET "X\t: a\r\n\r\n",
        GET "X\r\n\r\n",
        GET ": a\r\n\r\n",
        GET "X\xc3\xa4: a\r\n\r\n",
        GET "X(a): a\r\n\r\n",
        GET "X: a\x01\r\n\r\n",
        GET "X: a\x7f\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET / HTTP/1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / ICE/1.0\r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct http_outcome out;
        read_text(&out, slice_text(texts[i]));
        if (out.result >= 0)
            fail_msg("%s: %d", texts[i], out.result);
    }
    struct slice with_nul = slice_of(GET "X: a\0b\r\n\r\n", sizeof GET "X: a\0b\r\n\r\n" - 1);
    struct http_outcome out;
    read_text(&out, with_nul);
    assert_true(out.result < 0);
}

TEST(what_is_not_supported_has_its_own_status)
{
    assert_refused_as("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_METHOD);
    assert_refused_as("get / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_METHOD);
    assert_refused_as("GET / HTTP/2.0\r\nHost: a\r\n\r\n", ERROR_VERSION);
    assert_refused_as("GET / HTTP/0.9\r\nHost: a\r\n\r\n", ERROR_VERSION);
    assert_refused_as("GET / HTTP/1.2\r\nHost: a\r\n\r\n", ERROR_VERSION);
    assert_refused_as(POST "Expect: the-unexpected\r\n\r\n", ERROR_EXPECTATION);
    assert_refused_as(POST "Transfer-Encoding: gzip, chunked\r\n\r\n", ERROR_CODING);
    assert_refused_as(POST "Transfer-Encoding: gzip\r\n\r\n", ERROR_BAD_FRAMING);
}

/* Whole requests with bytes changed, left out, doubled and cut, fed in random pieces. */
static size_t mutate(struct random *random, char *text, size_t length, size_t capacity)
{
    static const char bytes[] = "\r\n\r\n :\t,;0123456789abcdefgGET/HTTP/1.1\0\x7f\xff";
    for (uint32_t changes = random_below(random, 4); changes > 0 && length > 1; changes--) {
        size_t at = random_below(random, (uint32_t)length);
        switch (random_below(random, 3)) {
        case 0:
            text[at] = bytes[random_below(random, sizeof bytes - 1)];
            break;
        case 1:
            memmove(text + at, text + at + 1, length - at - 1);
            length--;
            break;
        case 2:
            if (length < capacity) {
                memmove(text + at + 1, text + at, length - at);
                length++;
            }
            break;
        }
    }
    return length;
}

TEST(random_faults_and_random_pieces)
{
    static const char *const texts[] = {
        GET "\r\n",
        POST "Content-Length: 5\r\n\r\nhelloGET",
        POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nA: b\r\n\r\n",
        POST "Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    };
    struct random random = random_start(8);
    for (unsigned i = 0; i < random_rounds(20000); i++) {
        char text[200];
        uint8_t sizes[8];
        const char *original = texts[random_below(&random, 5)];
        size_t length = strlen(original);
        memcpy(text, original, length);
        length = mutate(&random, text, length, sizeof text);
        for (size_t j = 0; j < sizeof sizes; j++)
            sizes[j] = (uint8_t)random_below(&random, random_below(&random, 2) ? 3 : 60);
        expect_pieces_do_not_matter(&limits, slice_of(text, length), sizes, sizeof sizes);
        expect_rewritten_is_same(&limits, slice_of(text, length));
    }
}

RUN_TESTS(cmocka_unit_test(a_request_has_a_method_a_target_and_headers),
          cmocka_unit_test(a_connection_is_kept_as_its_version_and_header_say),
          cmocka_unit_test(bodies_are_read_by_length_and_by_chunks),
          cmocka_unit_test(what_follows_a_request_is_left_for_the_next),
          cmocka_unit_test(empty_lines_before_a_request_are_ignored),
          cmocka_unit_test(an_incomplete_request_wants_more),
          cmocka_unit_test(a_client_that_waits_is_told_to_continue_once),
          cmocka_unit_test(nobody_of_http_1_0_waits), cmocka_unit_test(an_upgrade_is_not_taken),
          cmocka_unit_test(what_two_servers_could_read_differently_is_refused),
          cmocka_unit_test(malformed_requests_are_refused),
          cmocka_unit_test(what_is_not_supported_has_its_own_status),
          cmocka_unit_test(random_faults_and_random_pieces))
