#include "models/http.h"

#include <stdlib.h>

#include "models/expect.h"
#include "proto/http_response.h"

static size_t piece_size(size_t left, const uint8_t *sizes, size_t count, size_t index)
{
    size_t size = count == 0 ? left : sizes[index % count];
    size = size == 0 ? 1 : size;
    return size < left ? size : left;
}

/* Feeds one piece to its end, past CONTINUE. True when more is wanted. */
static bool feed_piece(struct http_parser *parser, struct slice piece, struct http_outcome *out)
{
    char *copy = malloc(piece.length);
    memcpy(copy, piece.data, piece.length);
    size_t offset = 0;
    do {
        size_t consumed = 0;
        out->result =
            http_parser_feed(parser, slice_of(copy + offset, piece.length - offset), &consumed);
        EXPECT(out->result < 0 || consumed <= piece.length - offset);
        offset += consumed;
        if (out->result == HTTP_PARSER_CONTINUE) {
            EXPECT(out->continued == 0);
            EXPECT(http_parser_head_is_complete(parser));
            out->continued = out->consumed + offset;
        }
    } while (out->result == HTTP_PARSER_CONTINUE && offset < piece.length);
    free(copy);
    if (out->result >= 0)
        out->consumed += offset;
    if (out->result == HTTP_PARSER_CONTINUE)
        out->result = HTTP_PARSER_MORE;
    EXPECT(out->result != HTTP_PARSER_MORE || offset == piece.length);
    return out->result == HTTP_PARSER_MORE;
}

void http_read(struct http_outcome *out, const struct http_limits *limits, struct slice input,
               const uint8_t *sizes, size_t count)
{
    struct http_parser *parser = http_parser_new(limits);
    size_t start = 0;
    *out = (struct http_outcome){.result = HTTP_PARSER_MORE};
    for (size_t i = 0; start < input.length; i++) {
        size_t size = piece_size(input.length - start, sizes, count, i);
        if (!feed_piece(parser, slice_of(input.data + start, size), out))
            break;
        start += size;
    }
    if (out->result == HTTP_PARSER_DONE)
        out->request = http_parser_take(parser);
    else if (out->result < 0)
        EXPECT(http_status_of(out->result) >= 400);
    http_parser_free(parser);
}

void http_outcome_deinit(struct http_outcome *outcome)
{
    http_request_free(outcome->request);
}

static void expect_same_request(const struct http_request *a, const struct http_request *b)
{
    EXPECT(strcmp(http_request_method(a), http_request_method(b)) == 0);
    EXPECT(slice_equal(http_request_target(a), http_request_target(b)));
    EXPECT(a->http_1_0 == b->http_1_0);
    EXPECT(a->keep_alive == b->keep_alive);
    EXPECT(a->expects_continue == b->expects_continue);
    EXPECT(a->header_count == b->header_count);
    for (size_t i = 0; i < a->header_count; i++) {
        EXPECT(slice_equal(http_request_name(a, i), http_request_name(b, i)));
        EXPECT(slice_equal(http_request_value(a, i), http_request_value(b, i)));
    }
    EXPECT(slice_equal(buffer_slice(&a->body), buffer_slice(&b->body)));
}

void expect_same_outcome(const struct http_outcome *a, const struct http_outcome *b)
{
    EXPECT(a->result == b->result);
    if (a->result < 0)
        return;
    EXPECT(a->consumed == b->consumed);
    EXPECT(a->continued == b->continued);
    if (a->result == HTTP_PARSER_DONE)
        expect_same_request(a->request, b->request);
}

void expect_pieces_do_not_matter(const struct http_limits *limits, struct slice input,
                                 const uint8_t *sizes, size_t count)
{
    struct http_outcome whole, pieces;
    http_read(&whole, limits, input, NULL, 0);
    http_read(&pieces, limits, input, sizes, count);
    expect_same_outcome(&whole, &pieces);
    http_outcome_deinit(&whole);
    http_outcome_deinit(&pieces);
}

static void write_request(struct buffer *out, const struct http_request *request)
{
    buffer_append_format(out, "%s ", http_request_method(request));
    buffer_append_slice(out, http_request_target(request));
    buffer_append_text(out, request->http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
    for (size_t i = 0; i < request->header_count; i++) {
        buffer_append_slice(out, http_request_name(request, i));
        buffer_append_byte(out, ':');
        buffer_append_slice(out, http_request_value(request, i));
        buffer_append_text(out, "\r\n");
    }
    buffer_append_text(out, "\r\n");
    bool chunked = http_request_find(request, "transfer-encoding").data != NULL;
    if (chunked && request->body.length > 0)
        buffer_append_format(out, "%zx\r\n", request->body.length);
    buffer_append_slice(out, buffer_slice(&request->body));
    if (chunked)
        buffer_append_text(out, request->body.length > 0 ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
}

void expect_rewritten_is_same(const struct http_limits *limits, struct slice input)
{
    struct http_outcome first, second;
    http_read(&first, limits, input, NULL, 0);
    if (first.result == HTTP_PARSER_DONE) {
        struct buffer again = {0};
        write_request(&again, first.request);
        http_read(&second, limits, buffer_slice(&again), NULL, 0);
        EXPECT(second.result == HTTP_PARSER_DONE);
        EXPECT(second.consumed == again.length);
        expect_same_request(first.request, second.request);
        http_outcome_deinit(&second);
        buffer_deinit(&again);
    }
    http_outcome_deinit(&first);
}
