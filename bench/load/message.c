#include "load/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void message_write(char *out, size_t bytes, uint64_t number, uint32_t channel)
{
    char head[MESSAGE_MIN + 1];
    int length = snprintf(head, sizeof head, "{\"n\":%" PRIu64 ",\"c\":%" PRIu32 ",\"pad\":\"",
                          number, channel);

    memcpy(out, head, (size_t)length);
    memset(out + length, 'x', bytes - (size_t)length - 2);
    memcpy(out + bytes - 2, "\"}", 2);
}

bool message_read(const char *bytes, size_t length, char key, uint64_t *number)
{
    const char pattern[] = {'"', key, '"', ':'};
    const char *found = memmem(bytes, length, pattern, sizeof pattern);
    const char *end = bytes + length;
    uint64_t value = 0;

    if (!found)
        return false;
    const char *digit = found + sizeof pattern;
    if (digit == end || *digit < '0' || *digit > '9')
        return false;
    for (; digit < end && *digit >= '0' && *digit <= '9'; digit++)
        value = value * 10 + (uint64_t)(*digit - '0');
    *number = value;
    return true;
}

static int write_place(char *out, size_t size, char letter, const struct message_place *place)
{
    switch (letter) {
    case 'c':
        return snprintf(out, size, "%s", place->channel);
    case 'g':
        return snprintf(out, size, "%" PRIu32, place->group);
    case 'f':
        return snprintf(out, size, "%" PRIu64, place->first);
    case 'k':
        return snprintf(out, size, "%" PRIu32, place->count);
    case 's':
        return snprintf(out, size, "%" PRIu32, place->bytes);
    default:
        return snprintf(out, size, "%%%c", letter);
    }
}

int message_expand(char *out, size_t size, const char *template, const struct message_place *place)
{
    size_t length = 0;

    for (const char *c = template; *c; c++) {
        int written = 1;
        if (*c == '%' && c[1])
            written = write_place(out + length, size - length, *++c, place);
        else
            out[length] = *c;
        length += (size_t)written;
        if (length + 1 >= size)
            return -E2BIG;
    }
    out[length] = '\0';
    return (int)length;
}
