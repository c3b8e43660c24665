/* The input is `id|name|retry|data`; an empty id is none, and so is a retry that is no number. What
 * the encoder takes, a client reads. */
#include <stdlib.h>

#include "models/event_reader.h"
#include "target.h"

/* The text before the next bar, which is cut off. */
static struct slice next_part(struct slice *rest)
{
    const char *bar = rest->length == 0 ? NULL : memchr(rest->data, '|', rest->length);
    struct slice part =
        slice_of(rest->data, bar == NULL ? rest->length : (size_t)(bar - rest->data));
    size_t used = part.length + (bar != NULL);
    *rest = slice_of(rest->data + used, rest->length - used);
    return part;
}

static int64_t number_of(struct slice text)
{
    int64_t number = text.length == 0 || text.length > 15 ? -1 : 0;
    for (size_t i = 0; i < text.length && number >= 0; i++)
        number = text.data[i] >= '0' && text.data[i] <= '9' ? number * 10 + text.data[i] - '0' : -1;
    return number;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(size == 0 ? "" : (const char *)data, size);
    struct event_fields fields;
    fields.id = next_part(&rest);
    fields.name = next_part(&rest);
    fields.retry = number_of(next_part(&rest));
    fields.data = rest;
    if (fields.id.length == 0)
        fields.id.data = NULL;
    if (event_stream_check(&fields) == 0)
        expect_event_survives(&fields);
    return 0;
}
