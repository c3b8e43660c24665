#include "proto/uri.h"

#include "base/error.h"

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* The length of "http://" or "https://" at the start, in any case of letters (RFC 3986, 3.1). */
static size_t scheme_length(struct slice target)
{
    if (target.length >= 7 && slice_equal_case(slice_of(target.data, 7), "http://"))
        return 7;
    if (target.length >= 8 && slice_equal_case(slice_of(target.data, 8), "https://"))
        return 8;
    return 0;
}

/* An absolute-form target, "http://host/path", with everything before the path cut off. */
static struct slice without_authority(struct slice target)
{
    size_t scheme = scheme_length(target);
    if (scheme == 0)
        return target;
    size_t i = scheme;
    while (i < target.length && target.data[i] != '/' && target.data[i] != '?')
        i++;
    if (i == scheme)
        return slice_of(NULL, 0);
    return slice_of(target.data + i, target.length - i);
}

int uri_parse_target(struct slice target, struct uri_target *out)
{
    struct slice rest = without_authority(target);
    if (rest.data == NULL)
        return ERROR_BAD_REQUEST;
    bool absolute = rest.data != target.data;
    const char *fragment = rest.length == 0 ? NULL : memchr(rest.data, '#', rest.length);
    if (fragment != NULL)
        rest.length = (size_t)(fragment - rest.data);
    const char *mark = rest.length == 0 ? NULL : memchr(rest.data, '?', rest.length);
    size_t path = mark == NULL ? rest.length : (size_t)(mark - rest.data);
    out->path = path == 0 && absolute ? slice_text("/") : slice_of(rest.data, path);
    out->query = mark == NULL ? slice_of("", 0) : slice_of(mark + 1, rest.length - path - 1);
    bool valid =
        out->path.length > 0 && (out->path.data[0] == '/' || slice_equal(target, slice_text("*")));
    return valid ? 0 : ERROR_BAD_REQUEST;
}

bool uri_decode(struct buffer *out, struct slice text, bool plus_is_space)
{
    char *end = buffer_reserve(out, text.length);
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        if (byte == '+' && plus_is_space) {
            byte = ' ';
        } else if (byte == '%') {
            int high = i + 2 < text.length ? hex_value(text.data[i + 1]) : -1;
            int low = i + 2 < text.length ? hex_value(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            byte = (char)(high * 16 + low);
            i += 2;
        }
        *end++ = byte;
    }
    out->length = (size_t)(end - out->data);
    return true;
}

void uri_encode(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == '.' ||
                     byte == '~';
        if (plain)
            buffer_append_byte(out, (char)byte);
        else
            buffer_append_format(out, "%%%02X", byte);
    }
}

bool uri_next_pair(struct slice query, size_t *position, struct slice *name, struct slice *value)
{
    while (*position < query.length) {
        const char *start = query.data + *position;
        size_t left = query.length - *position;
        const char *end = memchr(start, '&', left);
        size_t length = end == NULL ? left : (size_t)(end - start);
        *position += length + 1;
        if (length == 0)
            continue;
        const char *equals = memchr(start, '=', length);
        size_t name_length = equals == NULL ? length : (size_t)(equals - start);
        *name = slice_of(start, name_length);
        *value = equals == NULL ? slice_of("", 0) : slice_of(equals + 1, length - name_length - 1);
        return true;
    }
    return false;
}
