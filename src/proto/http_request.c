/* Reading one HTTP/1.x request. llhttp finds the structure, http_framing.c looks at every byte that
 * is not body, and here the headers that say how the message ends must agree. Of several faults the
 * one in the earliest byte counts, so the answer does not depend on how the bytes were cut. */
#include "proto/http_request.h"

#include <ctype.h>
#include <llhttp.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "proto/http_framing.h"

enum { MAX_HEADERS = 128 };

struct http_parser {
    llhttp_t llhttp; /* its `data` is the http_parser */
    const struct http_limits *limits;
    struct http_request *request;
    struct http_framing framing;
    const char *scanned; /* during feed: `framing` has seen what is before this, body apart */
    int fault;           /* what `framing` found */
    int error;           /* what a callback found */
    bool in_value;       /* llhttp reports the value of the last header */
    bool head_complete;
    bool complete;
};

void http_request_free(struct http_request *request)
{
    if (request == NULL)
        return;
    buffer_deinit(&request->text);
    buffer_deinit(&request->body);
    free(request->headers);
    free(request);
}

const char *http_request_method(const struct http_request *request)
{
    return llhttp_method_name((llhttp_method_t)request->method);
}

struct slice http_request_target(const struct http_request *request)
{
    return slice_of(request->text.data, request->target_length);
}

struct slice http_request_name(const struct http_request *request, size_t index)
{
    const struct http_header *header = &request->headers[index];
    return slice_of(request->text.data + header->name, header->name_length);
}

struct slice http_request_value(const struct http_request *request, size_t index)
{
    const struct http_header *header = &request->headers[index];
    return slice_of(request->text.data + header->value, header->value_length);
}

struct slice http_request_find(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (slice_equal(http_request_name(request, i), slice_text(name)))
            return http_request_value(request, i);
    }
    return slice_of(NULL, 0);
}

/* Headers */

static bool is_digits(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!isdigit((unsigned char)text.data[i]))
            return false;
    }
    return text.length > 0;
}

static size_t skip_bytes(struct slice text, size_t i, const char *allowed)
{
    while (i < text.length && (isalnum((unsigned char)text.data[i]) ||
                               (text.data[i] != '\0' && strchr(allowed, text.data[i]) != NULL)))
        i++;
    return i;
}

/* A name or an address in brackets, then perhaps a port (RFC 9110, 7.2). */
static bool is_host(struct slice host)
{
    bool bracket = host.length > 0 && host.data[0] == '[';
    size_t i = bracket ? skip_bytes(host, 1, ":.%-_~") : skip_bytes(host, 0, "-._~!$&'()*+;=%");
    if (bracket && (i == host.length || host.data[i++] != ']'))
        return false;
    if (i == 0 || i == host.length)
        return i > 0;
    struct slice port = slice_of(host.data + i + 1, host.length - i - 1);
    return host.data[i] == ':' && (port.length == 0 || is_digits(port));
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static struct slice trim(struct slice text)
{
    while (text.length > 0 && is_blank(text.data[0]))
        text = slice_of(text.data + 1, text.length - 1);
    while (text.length > 0 && is_blank(text.data[text.length - 1]))
        text.length--;
    return text;
}

/* The transfer codings of a request: nobody knows where a body ends whose last one is not chunked
 * (RFC 9112, 6.3), and chunked comes once. What is well framed with others is not supported. */
static int check_codings(struct slice codings)
{
    const char *end = codings.data + codings.length;
    int error = 0;
    for (const char *start = codings.data;;) {
        const char *comma = memchr(start, ',', (size_t)(end - start));
        bool is_last = comma == NULL;
        struct slice coding = trim(slice_of(start, (size_t)((is_last ? end : comma) - start)));
        if (coding.length == 0 || slice_equal_case(coding, "chunked") != is_last)
            return ERROR_BAD_FRAMING;
        if (is_last)
            return error;
        error = ERROR_CODING;
        start = comma + 1;
    }
}

struct head_facts {
    int hosts;
    int lengths;
    int codings;
    int coding_error; /* of codings that are well framed */
};

static int check_header(struct http_request *request, size_t index, struct head_facts *facts)
{
    struct slice name = http_request_name(request, index);
    struct slice value = http_request_value(request, index);
    if (slice_equal(name, slice_text("host"))) {
        facts->hosts++;
        return is_host(value) ? 0 : ERROR_BAD_REQUEST;
    }
    if (slice_equal(name, slice_text("content-length"))) {
        facts->lengths++;
        return is_digits(value) ? 0 : ERROR_BAD_FRAMING;
    }
    if (slice_equal(name, slice_text("transfer-encoding"))) {
        facts->codings++;
        facts->coding_error = check_codings(value);
        return facts->coding_error == ERROR_BAD_FRAMING ? ERROR_BAD_FRAMING : 0;
    }
    if (slice_equal(name, slice_text("expect"))) {
        request->expects_continue = slice_equal_case(value, "100-continue");
        return request->expects_continue ? 0 : ERROR_EXPECTATION;
    }
    return 0;
}

static int check_head(const struct http_parser *parser)
{
    struct http_request *request = parser->request;
    struct head_facts facts = {0};
    if (request->header_count > MAX_HEADERS)
        return ERROR_HEAD_TOO_LARGE;
    if (request->method == HTTP_CONNECT)
        return ERROR_METHOD;
    for (size_t i = 0; i < request->header_count; i++) {
        int error = check_header(request, i, &facts);
        if (error != 0)
            return error;
    }
    if (facts.hosts > 1 || (facts.hosts == 0 && !request->http_1_0))
        return ERROR_BAD_REQUEST;
    if (facts.lengths > 1 || facts.codings > 1 || (facts.lengths > 0 && facts.codings > 0))
        return ERROR_BAD_FRAMING;
    if (facts.codings > 0 && request->http_1_0)
        return ERROR_BAD_FRAMING;
    if (facts.coding_error != 0)
        return facts.coding_error;
    if (parser->llhttp.content_length > parser->limits->body && facts.lengths > 0)
        return ERROR_BODY_TOO_LARGE;
    return 0;
}

/* llhttp's callbacks. A non-zero result makes llhttp_execute return; `error` says why. Only those
 * fail for which llhttp names the byte, so that an earlier fault of the framing goes first. */

static struct http_parser *parser_of(llhttp_t *llhttp)
{
    return llhttp->data;
}

static int fail(struct http_parser *parser, int error)
{
    if (parser->error == 0)
        parser->error = error;
    return HPE_USER;
}

static int on_url(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_request *request = parser_of(llhttp)->request;
    buffer_append(&request->text, at, length);
    request->target_length += (uint32_t)length;
    return 0;
}

static int on_version_complete(llhttp_t *llhttp)
{
    if (llhttp->http_major != 1 || llhttp->http_minor > 1)
        return fail(parser_of(llhttp), ERROR_VERSION);
    return 0;
}

static struct http_header *add_header(struct http_request *request)
{
    if (request->header_count == request->header_capacity) {
        request->header_capacity = request->header_capacity == 0 ? 8 : request->header_capacity * 2;
        request->headers =
            memory_grow(request->headers, request->header_capacity * sizeof *request->headers);
    }
    struct http_header *header = &request->headers[request->header_count++];
    *header = (struct http_header){0};
    header->name = (uint32_t)request->text.length;
    return header;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = parser_of(llhttp);
    struct http_request *request = parser->request;
    /* Trailers (RFC 9110, 6.5) are read and dropped. */
    if (parser->head_complete)
        return 0;
    if (request->header_count == 0 || parser->in_value) {
        add_header(request);
        parser->in_value = false;
    }
    char *end = buffer_reserve(&request->text, length);
    for (size_t i = 0; i < length; i++)
        end[i] = (char)tolower((unsigned char)at[i]);
    request->text.length += length;
    request->headers[request->header_count - 1].name_length += (uint32_t)length;
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = parser_of(llhttp);
    struct http_request *request = parser->request;
    if (parser->head_complete)
        return 0;
    struct http_header *header = &request->headers[request->header_count - 1];
    if (!parser->in_value) {
        header->value = (uint32_t)request->text.length;
        parser->in_value = true;
    }
    buffer_append(&request->text, at, length);
    header->value_length += (uint32_t)length;
    return 0;
}

/* Optional white space behind the value is not part of it (RFC 9112, 5.1). */
static int on_header_value_complete(llhttp_t *llhttp)
{
    struct http_parser *parser = parser_of(llhttp);
    struct http_request *request = parser->request;
    if (parser->head_complete)
        return 0;
    struct http_header *header = &request->headers[request->header_count - 1];
    const char *value = request->text.data + header->value;
    while (header->value_length > 0 && is_blank(value[header->value_length - 1]))
        header->value_length--;
    parser->in_value = true;
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    struct http_parser *parser = parser_of(llhttp);
    struct http_request *request = parser->request;
    request->method = llhttp->method;
    request->http_1_0 = llhttp->http_major == 1 && llhttp->http_minor == 0;
    parser->head_complete = true;
    int error = check_head(parser);
    if (error != 0)
        return fail(parser, error);
    parser->framing.chunked = (llhttp->flags & F_CHUNKED) != 0;
    /* No protocol is switched to: an Upgrade header is ignored (RFC 9110, 7.8). */
    llhttp->upgrade = 0;
    bool has_body = parser->framing.chunked || llhttp->content_length > 0;
    bool waits = request->expects_continue && has_body && !request->http_1_0;
    return waits ? HPE_PAUSED : 0;
}

/* Looks at what stands before `end`. */
static void scan(struct http_parser *parser, const char *end)
{
    if (parser->scanned >= end || parser->fault != 0)
        return;
    struct slice bytes = slice_of(parser->scanned, (size_t)(end - parser->scanned));
    parser->fault = http_framing_scan(&parser->framing, bytes, parser->limits->head);
    parser->scanned = end;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = parser_of(llhttp);
    scan(parser, at);
    http_framing_skip_body(&parser->framing);
    parser->scanned = at + length;
    buffer_append(&parser->request->body, at, length);
    return 0;
}

/* An announced chunk is refused before its bytes come. */
static int on_chunk_header(llhttp_t *llhttp)
{
    struct http_parser *parser = parser_of(llhttp);
    if (llhttp->content_length > parser->limits->body - parser->request->body.length)
        return fail(parser, ERROR_BODY_TOO_LARGE);
    return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
    struct http_parser *parser = parser_of(llhttp);
    parser->request->keep_alive = llhttp_should_keep_alive(llhttp) != 0;
    parser->complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_version_complete = on_version_complete,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_message_complete = on_message_complete,
};

/* The parser */

struct http_parser *http_parser_new(const struct http_limits *limits)
{
    struct http_parser *parser = memory_zero(1, sizeof *parser);
    parser->limits = limits;
    parser->request = memory_zero(1, sizeof *parser->request);
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
    parser->llhttp.data = parser;
    return parser;
}

void http_parser_free(struct http_parser *parser)
{
    if (parser == NULL)
        return;
    http_request_free(parser->request);
    free(parser);
}

/* What does not continue a known method: a byte of an unknown one, or the space behind it. */
static bool is_method_byte(const struct http_parser *parser, char byte)
{
    return byte == ' ' ? http_parser_has_begun(parser) : http_is_token_byte(byte);
}

static int error_of(const struct http_parser *parser, llhttp_errno_t code)
{
    const llhttp_t *llhttp = &parser->llhttp;
    if (parser->error != 0)
        return parser->error;
    switch (code) {
    case HPE_INVALID_VERSION:
        /* llhttp also says so when something else than a line end follows the version. */
        return llhttp->http_major == 1 && llhttp->http_minor <= 1 ? ERROR_BAD_REQUEST
                                                                  : ERROR_VERSION;
    case HPE_INVALID_METHOD:
        return is_method_byte(parser, *llhttp_get_error_pos(llhttp)) ? ERROR_METHOD
                                                                     : ERROR_BAD_REQUEST;
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_TRANSFER_ENCODING:
        return ERROR_BAD_FRAMING;
    default:
        return ERROR_BAD_REQUEST;
    }
}

int http_parser_feed(struct http_parser *parser, struct slice input, size_t *consumed)
{
    const char *end = input.data + input.length;
    parser->scanned = input.data;
    *consumed = input.length;
    if (input.length == 0)
        return HTTP_PARSER_MORE;
    llhttp_errno_t code = llhttp_execute(&parser->llhttp, input.data, input.length);
    if (code != HPE_OK)
        end = llhttp_get_error_pos(&parser->llhttp);
    scan(parser, end);
    if (parser->fault != 0)
        return parser->fault;
    if (code != HPE_OK && code != HPE_PAUSED)
        return error_of(parser, code);
    *consumed = (size_t)(end - input.data);
    if (code == HPE_PAUSED)
        llhttp_resume(&parser->llhttp);
    if (parser->complete)
        return HTTP_PARSER_DONE;
    return code == HPE_PAUSED ? HTTP_PARSER_CONTINUE : HTTP_PARSER_MORE;
}

bool http_parser_has_begun(const struct http_parser *parser)
{
    return http_framing_has_begun(&parser->framing);
}

bool http_parser_is_head(const struct http_parser *parser)
{
    return parser->llhttp.method == HTTP_HEAD;
}

bool http_parser_head_is_complete(const struct http_parser *parser)
{
    return parser->head_complete;
}

struct http_request *http_parser_take(struct http_parser *parser)
{
    struct http_request *request = parser->request;
    parser->request = NULL;
    return request;
}
