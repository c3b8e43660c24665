#include "proto/http_framing.h"

#include <ctype.h>
#include <string.h>

#include "base/error.h"

bool http_is_token_byte(char byte)
{
    return byte > 0x20 && byte < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", byte) == NULL;
}

bool http_is_text_byte(char byte)
{
    unsigned char value = (unsigned char)byte;
    return (value >= 0x20 && value != 0x7f) || byte == '\t';
}

void http_framing_init(struct http_framing *framing)
{
    *framing = (struct http_framing){0};
}

static void begin_line(struct http_framing *framing)
{
    framing->part = 0;
    framing->in_part = 0;
    framing->size_is_zero = true;
}

static bool begin_part(struct http_framing *framing)
{
    bool empty = framing->in_part == 0;
    framing->part++;
    framing->in_part = 0;
    return !empty;
}

static bool is_empty(const struct http_framing *framing)
{
    return framing->part == 0 && framing->in_part == 0;
}

/* Each of these takes one byte of its line, CR included; false when it is out of place there. */

/* method SP target SP "HTTP/" version. Empty lines may come before it (RFC 9112, 2.2). */
static bool take_request(struct http_framing *framing, char byte)
{
    static const char protocol[] = "HTTP/";
    size_t index = framing->in_part;
    if (byte == ' ')
        return begin_part(framing) && framing->part <= 2;
    if (byte == '\r')
        return is_empty(framing) || (framing->part == 2 && index > 0);
    framing->in_part++;
    if (framing->part == 0)
        return http_is_token_byte(byte);
    if (framing->part == 1)
        return byte != '\t' && http_is_text_byte(byte);
    return index < strlen(protocol) ? byte == protocol[index] : http_is_text_byte(byte);
}

/* name ":" value, where neither white space before the colon nor a line that begins with it
 * (obs-fold, RFC 9112, 5.2) is let through. */
static bool take_field(struct http_framing *framing, char byte)
{
    if (framing->part == 1)
        return byte == '\r' || http_is_text_byte(byte);
    if (byte == '\r')
        return is_empty(framing);
    if (byte == ':')
        return begin_part(framing);
    framing->in_part++;
    return http_is_token_byte(byte);
}

/* size [";" extension] */
static bool take_size(struct http_framing *framing, char byte)
{
    if (framing->part == 1)
        return byte == '\r' || http_is_text_byte(byte);
    if (byte == '\r')
        return !is_empty(framing);
    if (byte == ';')
        return begin_part(framing);
    if (byte != '0')
        framing->size_is_zero = false;
    framing->in_part++;
    return isxdigit((unsigned char)byte) != 0;
}

static bool take_byte(struct http_framing *framing, char byte)
{
    switch (framing->line) {
    case FRAMING_REQUEST:
        return take_request(framing, byte);
    case FRAMING_FIELD:
        return take_field(framing, byte);
    case FRAMING_SIZE:
        return take_size(framing, byte);
    case FRAMING_DATA_END:
        return byte == '\r';
    default:
        return false;
    }
}

static void end_line(struct http_framing *framing)
{
    switch (framing->line) {
    case FRAMING_REQUEST:
        if (!is_empty(framing))
            framing->line = FRAMING_FIELD;
        break;
    case FRAMING_FIELD:
        if (is_empty(framing))
            framing->line = framing->chunked && !framing->trailers ? FRAMING_SIZE : FRAMING_END;
        break;
    case FRAMING_SIZE:
        framing->trailers = framing->size_is_zero;
        framing->line = framing->size_is_zero ? FRAMING_FIELD : FRAMING_DATA_END;
        break;
    default:
        framing->line = FRAMING_SIZE;
    }
    begin_line(framing);
}

int http_framing_scan(struct http_framing *framing, struct slice bytes, size_t limit)
{
    for (size_t i = 0; i < bytes.length; i++) {
        char byte = bytes.data[i];
        bool ends = framing->previous == '\r' && byte == '\n';
        if (!ends && (framing->previous == '\r' || !take_byte(framing, byte)))
            return ERROR_BAD_FRAMING;
        if (++framing->bytes > limit)
            return ERROR_HEAD_TOO_LARGE;
        framing->previous = byte;
        if (ends)
            end_line(framing);
    }
    return 0;
}

void http_framing_skip_body(struct http_framing *framing)
{
    framing->bytes = 0;
}

bool http_framing_has_begun(const struct http_framing *framing)
{
    return framing->line != FRAMING_REQUEST || !is_empty(framing);
}
