#include "models/uri.h"

#include "models/expect.h"
#include "proto/uri.h"

static void expect_round_trip(struct slice text)
{
    struct buffer encoded = {0}, decoded = {0};
    uri_encode(&encoded, text);
    EXPECT(uri_decode(&decoded, buffer_slice(&encoded), false));
    EXPECT(slice_equal(buffer_slice(&decoded), text));
    buffer_clear(&decoded);
    EXPECT(uri_decode(&decoded, buffer_slice(&encoded), true));
    EXPECT(slice_equal(buffer_slice(&decoded), text));
    buffer_deinit(&encoded);
    buffer_deinit(&decoded);
}

void expect_uri_text_survives(struct slice text)
{
    struct buffer decoded = {0};
    expect_round_trip(text);
    for (int form = 0; form < 2; form++) {
        buffer_clear(&decoded);
        if (uri_decode(&decoded, text, form))
            expect_round_trip(buffer_slice(&decoded));
    }
    buffer_deinit(&decoded);
}

/* Joined again, the pairs are the query without its empty parts. */
static void expect_pairs_rebuild(struct slice query)
{
    struct buffer joined = {0}, expected = {0};
    struct slice name, value;
    size_t position = 0;
    while (uri_next_pair(query, &position, &name, &value)) {
        buffer_append_slice(&joined, name);
        if (name.data + name.length < query.data + query.length && name.data[name.length] == '=')
            buffer_append_byte(&joined, '=');
        buffer_append_slice(&joined, value);
        buffer_append_byte(&joined, '&');
    }
    for (size_t i = 0; i <= query.length; i++) {
        bool last = i == query.length;
        if (!last && query.data[i] != '&')
            buffer_append_byte(&expected, query.data[i]);
        else if (expected.length > 0 && expected.data[expected.length - 1] != '&')
            buffer_append_byte(&expected, '&');
    }
    EXPECT(slice_equal(buffer_slice(&joined), buffer_slice(&expected)));
    buffer_deinit(&joined);
    buffer_deinit(&expected);
}

void expect_uri_target_holds(struct slice target)
{
    struct uri_target parts, again;
    if (uri_parse_target(target, &parts) != 0)
        return;
    EXPECT(parts.path.length > 0);
    EXPECT(parts.path.data[0] == '/' || slice_equal(parts.path, slice_text("*")));
    EXPECT(memchr(parts.path.data, '?', parts.path.length) == NULL);
    EXPECT(memchr(parts.path.data, '#', parts.path.length) == NULL);
    expect_pairs_rebuild(parts.query);
    struct buffer origin = {0};
    buffer_append_slice(&origin, parts.path);
    if (parts.query.length > 0)
        buffer_append_text(&origin, "?");
    buffer_append_slice(&origin, parts.query);
    EXPECT(uri_parse_target(buffer_slice(&origin), &again) == 0);
    EXPECT(slice_equal(again.path, parts.path));
    EXPECT(slice_equal(again.query, parts.query));
    buffer_deinit(&origin);
}
