#include "support/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/frame.h"

static struct slice part(const struct frame *frame, struct frame_part place)
{
    return frame_part(frame, place);
}

static void assert_data(const struct frame *frame, const char *expected)
{
    struct buffer data = {0};
    frame_data(frame, &data);
    assert_text(buffer_slice(&data), expected);
    buffer_deinit(&data);
}

TEST(a_frame_is_a_chunk_around_its_payload)
{
    struct frame *frame =
        frame_new(&(struct frame_source){.data = slice_text("hello"), .retry = -1});
    assert_text(frame_wire(frame, false), "data: hello\n\n");
    assert_text(frame_wire(frame, true), "d\r\ndata: hello\n\n\r\n");
    frame_unref(frame);
}

TEST(all_parts_are_found_again)
{
    struct frame *frame = frame_new(&(struct frame_source){.id = slice_text("e-7"),
                                                           .name = slice_text("fact"),
                                                           .data = slice_text("a\r\nb\rc"),
                                                           .key = slice_text("k"),
                                                           .meta = slice_text("{\"m\":1}"),
                                                           .retry = 2000,
                                                           .time = 123,
                                                           .sequence = 7,
                                                           .flags = FRAME_JSON});
    assert_text(frame_wire(frame, false),
                "id: e-7\nevent: fact\nretry: 2000\ndata: a\ndata: b\ndata: c\n\n");
    assert_text(part(frame, frame->id), "e-7");
    assert_text(part(frame, frame->name), "fact");
    assert_text(part(frame, frame->key), "k");
    assert_text(part(frame, frame->meta), "{\"m\":1}");
    assert_data(frame, "a\nb\nc");
    assert_int_equal(frame->retry, 2000);
    assert_int_equal(frame->time, 123);
    assert_int_equal(frame->sequence, 7);
    assert_int_equal(frame->flags, FRAME_JSON);
    frame_unref(frame);
}

TEST(absent_parts_are_empty)
{
    struct frame *frame = frame_new(&(struct frame_source){.retry = -1});
    assert_text(frame_wire(frame, false), "data: \n\n");
    assert_int_equal(frame->id.length, 0);
    assert_int_equal(frame->name.length, 0);
    assert_int_equal(frame->key.length, 0);
    assert_int_equal(frame->meta.length, 0);
    assert_data(frame, "");
    frame_unref(frame);
    frame = frame_new(&(struct frame_source){.name = slice_text("a"), .retry = -1});
    assert_text(part(frame, frame->name), "a");
    frame_unref(frame);
    frame = frame_new(&(struct frame_source){.id = slice_text(""), .name = slice_text("a")});
    assert_text(frame_wire(frame, false), "id: \nevent: a\nretry: 0\ndata: \n\n");
    assert_text(part(frame, frame->name), "a");
    frame_unref(frame);
}

TEST(data_that_looks_like_fields_is_data)
{
    static const char text[] = "id: 1\n\ndata: x\ndata:y";
    struct frame *frame = frame_new(&(struct frame_source){
        .id = slice_text("data: no"), .name = slice_text("data: no"), .data = slice_text(text)});
    assert_data(frame, text);
    frame_unref(frame);
}

TEST(meta_and_key_never_go_over_the_wire)
{
    struct frame *frame = frame_new(&(struct frame_source){.data = slice_text("x"),
                                                           .key = slice_text("secret"),
                                                           .meta = slice_text("\"secret\""),
                                                           .retry = -1});
    assert_text(frame_wire(frame, true), "9\r\ndata: x\n\n\r\n");
    assert_text(frame_wire(frame, false), "data: x\n\n");
    frame_unref(frame);
}

TEST(chunks_of_all_sizes_say_their_length)
{
    static const size_t lengths[] = {0, 1, 7, 8, 247, 248, 4087, 4088, 65527, 65528, 1048576};
    char *text = malloc(1048576);
    memset(text, 'x', 1048576);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct frame *frame =
            frame_new(&(struct frame_source){.data = slice_of(text, lengths[i]), .retry = -1});
        struct slice chunk = frame_wire(frame, true);
        char *end;
        size_t size = strtoul(chunk.data, &end, 16);
        assert_int_equal(size, lengths[i] + 8);
        assert_int_equal(chunk.length, (size_t)(end - chunk.data) + 2 + size + 2);
        assert_int_equal(memcmp(chunk.data + chunk.length - 4, "\n\n\r\n", 4), 0);
        assert_true(frame_memory(frame) >= sizeof *frame + chunk.length);
        frame_unref(frame);
    }
    free(text);
}

TEST(ready_made_text_is_sent_as_it_is)
{
    struct frame *frame = frame_of_text(slice_text(":\n\n"), 0);
    assert_text(frame_wire(frame, true), "3\r\n:\n\n\r\n");
    assert_text(frame_wire(frame, false), ":\n\n");
    assert_int_equal(frame->sequence, 0);
    frame_unref(frame);
    frame_unref(NULL);
}

TEST(no_text_is_no_chunk_which_would_end_the_body)
{
    struct frame *frame = frame_of_text(slice_text(""), 7);
    assert_text(frame_wire(frame, true), "");
    assert_text(frame_wire(frame, false), "");
    assert_int_equal(frame->sequence, 7);
    frame_unref(frame);
}

static void *ref_and_unref(void *frame)
{
    for (int i = 0; i < 10000; i++)
        frame_unref(frame_ref(frame));
    frame_unref(frame);
    return NULL;
}

TEST(references_are_counted_on_all_threads)
{
    pthread_t threads[4];
    struct frame *frame = frame_of_text(slice_text("x"), 0);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, ref_and_unref, frame_ref(frame));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&frame->references), 1);
    frame_unref(frame);
}

RUN_TESTS(cmocka_unit_test(a_frame_is_a_chunk_around_its_payload),
          cmocka_unit_test(all_parts_are_found_again), cmocka_unit_test(absent_parts_are_empty),
          cmocka_unit_test(data_that_looks_like_fields_is_data),
          cmocka_unit_test(meta_and_key_never_go_over_the_wire),
          cmocka_unit_test(chunks_of_all_sizes_say_their_length),
          cmocka_unit_test(ready_made_text_is_sent_as_it_is),
          cmocka_unit_test(no_text_is_no_chunk_which_would_end_the_body),
          cmocka_unit_test(references_are_counted_on_all_threads))
