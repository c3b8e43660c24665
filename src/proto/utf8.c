#include "proto/utf8.h"

#include <stdint.h>

/* The length of the sequence that starts at `bytes`, or 0 when it is malformed (RFC 3629, 4). */
static size_t sequence_length(const unsigned char *bytes, size_t left)
{
    unsigned char lead = bytes[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length == 0 || lead > 0xf4 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((lead == 0xe0 && bytes[1] < 0xa0) || (lead == 0xed && bytes[1] > 0x9f) ||
        (lead == 0xf0 && bytes[1] < 0x90) || (lead == 0xf4 && bytes[1] > 0x8f))
        return 0;
    return length;
}

bool utf8_is_valid(struct slice text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    size_t i = 0;
    while (i < text.length) {
        uint64_t word;
        if (text.length - i >= 8) {
            memcpy(&word, bytes + i, 8);
            if ((word & 0x8080808080808080u) == 0) {
                i += 8;
                continue;
            }
        }
        size_t length = sequence_length(bytes + i, text.length - i);
        if (length == 0)
            return false;
        i += length;
    }
    return true;
}
