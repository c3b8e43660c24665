#include "support/unit.h"

#include "base/error.h"
#include "models/event_reader.h"
#include "proto/event_stream.h"
#include "support/random.h"

static struct event_fields fields(struct slice id, const char *name, const char *data,
                                  int64_t retry)
{
    return (struct event_fields){id, slice_text(name), slice_text(data), retry};
}

static const struct slice no_id = {NULL, 0};

static void assert_wire(struct event_fields event, const char *wire)
{
    struct buffer out = {0};
    assert_int_equal(event_stream_check(&event), 0);
    event_stream_encode(&out, &event);
    assert_text(buffer_slice(&out), wire);
    buffer_deinit(&out);
    expect_event_survives(&event);
}

TEST(events_have_exact_bytes)
{
    assert_wire(fields(no_id, "", "hello", -1), "data: hello\n\n");
    assert_wire(fields(slice_text("e-1"), "fact", "{}", 3000),
                "id: e-1\nevent: fact\nretry: 3000\ndata: {}\n\n");
    assert_wire(fields(no_id, "", "", -1), "data: \n\n");
    assert_wire(fields(slice_text(""), "", "x", 0), "id: \nretry: 0\ndata: x\n\n");
    assert_wire((struct event_fields){no_id, no_id, no_id, -1}, "data: \n\n");
}

TEST(data_is_split_at_each_kind_of_line_end)
{
    assert_wire(fields(no_id, "", "a\nb\rc\r\nd", -1), "data: a\ndata: b\ndata: c\ndata: d\n\n");
    assert_wire(fields(no_id, "", "\n", -1), "data: \ndata: \n\n");
    assert_wire(fields(no_id, "", "\r\n", -1), "data: \ndata: \n\n");
    assert_wire(fields(no_id, "", "\n\r", -1), "data: \ndata: \ndata: \n\n");
    assert_wire(fields(no_id, "", "\r\r\n\n", -1), "data: \ndata: \ndata: \ndata: \n\n");
    assert_wire(fields(no_id, "", "a\r", -1), "data: a\ndata: \n\n");
}

TEST(data_cannot_become_another_field)
{
    assert_wire(fields(no_id, "", "a\n\nid: 7\nevent: evil\n: no\n\n", -1),
                "data: a\ndata: \ndata: id: 7\ndata: event: evil\ndata: : no\ndata: \ndata: \n\n");
    assert_wire(fields(no_id, " b ", " a", -1), "event:  b \ndata:  a\n\n");
    assert_wire(fields(slice_text(": data: x"), "data: y", "data: z", -1),
                "id: : data: x\nevent: data: y\ndata: data: z\n\n");
}

TEST(a_byte_order_mark_and_nul_in_data_are_kept)
{
    struct event_fields event = {no_id, no_id, slice_of("\xef\xbb\xbf\0x", 5), -1};
    assert_int_equal(event_stream_check(&event), 0);
    expect_event_survives(&event);
}

TEST(line_breaks_and_nul_in_id_and_name_are_refused)
{
    static const char *const texts[] = {"\n", "\r", "a\nb", "a\r", "\r\nb"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct event_fields event = fields(slice_text(texts[i]), "", "", -1);
        assert_int_equal(event_stream_check(&event), ERROR_LINE_BREAK);
        event = fields(no_id, texts[i], "", -1);
        assert_int_equal(event_stream_check(&event), ERROR_LINE_BREAK);
    }
    struct event_fields event = {slice_of("a\0b", 3), no_id, no_id, -1};
    assert_int_equal(event_stream_check(&event), ERROR_LINE_BREAK);
    event = (struct event_fields){no_id, slice_of("\0", 1), no_id, -1};
    assert_int_equal(event_stream_check(&event), ERROR_LINE_BREAK);
}

TEST(ids_that_no_header_carries_are_refused)
{
    char longest[EVENT_ID_MAX + 2];
    static const char *const texts[] = {"\1", "a\tb", "\x7f", " ", " a", "a "};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct event_fields event = fields(slice_text(texts[i]), "", "", -1);
        assert_int_equal(event_stream_check(&event), ERROR_EVENT_ID);
    }
    memset(longest, 'x', sizeof longest);
    struct event_fields event = {slice_of(longest, EVENT_ID_MAX), no_id, no_id, -1};
    assert_int_equal(event_stream_check(&event), 0);
    event.id.length++;
    assert_int_equal(event_stream_check(&event), ERROR_EVENT_ID);
    event = fields(slice_text("a b \xe2\x82\xac"), " a\t", "", -1);
    assert_int_equal(event_stream_check(&event), 0);
}

TEST(text_that_is_not_utf8_is_refused)
{
    struct event_fields event = fields(slice_text("\xff"), "", "", -1);
    assert_int_equal(event_stream_check(&event), ERROR_UTF8);
    event = fields(no_id, "\xc3", "", -1);
    assert_int_equal(event_stream_check(&event), ERROR_UTF8);
    event = fields(no_id, "", "a\xed\xa0\x80", -1);
    assert_int_equal(event_stream_check(&event), ERROR_UTF8);
}

TEST(comments_of_several_lines_are_comments)
{
    struct buffer out = {0};
    event_stream_comment(&out, slice_text("hi\ndata: no\r\rx"));
    assert_text(buffer_slice(&out), ": hi\n: data: no\n: \n: x\n");
    buffer_clear(&out);
    event_stream_comment(&out, slice_of(NULL, 0));
    assert_text(buffer_slice(&out), ": \n");
    buffer_deinit(&out);
}

TEST(retry_alone_is_no_event)
{
    struct buffer out = {0};
    struct read_stream stream;
    event_stream_retry(&out, 4500);
    assert_text(buffer_slice(&out), "retry: 4500\n\n");
    read_stream(&stream, buffer_slice(&out));
    assert_int_equal(stream.count, 0);
    assert_int_equal(stream.retry, 4500);
    read_stream_deinit(&stream);
    buffer_deinit(&out);
}

/* Texts of the bytes that matter, checked and read back. */
static struct slice random_text(struct random *random, char *out, uint32_t most)
{
    static const char bytes[] = "\r\n\r\n: aidvnt\t{\"\0e";
    uint32_t length = random_below(random, most);
    for (uint32_t i = 0; i < length; i++)
        out[i] = bytes[random_below(random, sizeof bytes - 1)];
    return slice_of(out, length);
}

TEST(random_events_are_read_as_they_were_written)
{
    struct random random = random_start(6);
    char id[4], name[4], data[64];
    unsigned sent = 0;
    for (unsigned i = 0; i < random_rounds(20000); i++) {
        struct event_fields event = {
            random_text(&random, id, sizeof id), random_text(&random, name, sizeof name),
            random_text(&random, data, sizeof data), (int64_t)random_below(&random, 100) - 50};
        if (random_below(&random, 2) == 0)
            event.id = no_id;
        if (event_stream_check(&event) != 0)
            continue;
        expect_event_survives(&event);
        sent++;
    }
    assert_true(sent > 1000);
}

RUN_TESTS(cmocka_unit_test(events_have_exact_bytes),
          cmocka_unit_test(data_is_split_at_each_kind_of_line_end),
          cmocka_unit_test(data_cannot_become_another_field),
          cmocka_unit_test(a_byte_order_mark_and_nul_in_data_are_kept),
          cmocka_unit_test(line_breaks_and_nul_in_id_and_name_are_refused),
          cmocka_unit_test(ids_that_no_header_carries_are_refused),
          cmocka_unit_test(text_that_is_not_utf8_is_refused),
          cmocka_unit_test(comments_of_several_lines_are_comments),
          cmocka_unit_test(retry_alone_is_no_event),
          cmocka_unit_test(random_events_are_read_as_they_were_written))
