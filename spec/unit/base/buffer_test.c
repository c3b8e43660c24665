#include "support/unit.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "support/random.h"

TEST(a_zeroed_buffer_is_empty_and_can_be_used)
{
    struct buffer buffer = {0};
    assert_int_equal(buffer_slice(&buffer).length, 0);
    buffer_append_text(&buffer, "abc");
    assert_text(buffer_slice(&buffer), "abc");
    buffer_deinit(&buffer);
    assert_int_equal(buffer.length, 0);
    assert_null(buffer.data);
}

TEST(there_is_always_a_place_for_what_comes)
{
    struct buffer buffer;
    buffer_init(&buffer);
    assert_non_null(buffer_reserve(&buffer, 0));
    memset(buffer_reserve(&buffer, 1000), 'x', 1000);
    assert_int_equal(buffer.length, 0);
    assert_true(buffer.capacity >= 1000);
    buffer_deinit(&buffer);
}

TEST(reserved_room_keeps_what_is_there)
{
    struct buffer buffer = {0};
    buffer_append_text(&buffer, "abc");
    char *end = buffer_reserve(&buffer, 100000);
    memcpy(end, "def", 3);
    buffer.length += 3;
    assert_text(buffer_slice(&buffer), "abcdef");
    buffer_deinit(&buffer);
}

TEST(nothing_can_be_appended_from_nowhere)
{
    struct buffer buffer = {0};
    buffer_append(&buffer, NULL, 0);
    buffer_append_slice(&buffer, slice_of(NULL, 0));
    buffer_append_text(&buffer, "");
    buffer_append_format(&buffer, "%s", "");
    assert_int_equal(buffer.length, 0);
    buffer_deinit(&buffer);
}

TEST(formats_of_any_length)
{
    struct buffer buffer = {0};
    char *text = malloc(5001);
    memset(text, 'y', 5000);
    text[5000] = '\0';
    buffer_append_format(&buffer, "%d-%s-", 17, "a");
    buffer_append_format(&buffer, "%s", text);
    assert_int_equal(buffer.length, 5 + 5000);
    assert_text(slice_of(buffer.data, 6), "17-a-y");
    assert_text(slice_of(buffer.data + 5, 5000), text);
    free(text);
    buffer_deinit(&buffer);
}

TEST(bytes_of_all_values_are_kept)
{
    struct buffer buffer = {0};
    for (int i = 0; i < 256; i++)
        buffer_append_byte(&buffer, (char)i);
    for (int i = 0; i < 256; i++)
        assert_int_equal((unsigned char)buffer.data[i], i);
    buffer_deinit(&buffer);
}

TEST(consuming_drops_from_the_front)
{
    struct buffer buffer = {0};
    buffer_consume(&buffer, 0);
    buffer_append_text(&buffer, "abcdef");
    buffer_consume(&buffer, 2);
    assert_text(buffer_slice(&buffer), "cdef");
    buffer_consume(&buffer, 0);
    assert_text(buffer_slice(&buffer), "cdef");
    buffer_consume(&buffer, 4);
    assert_int_equal(buffer.length, 0);
    buffer_append_text(&buffer, "g");
    buffer_clear(&buffer);
    assert_int_equal(buffer.length, 0);
    buffer_deinit(&buffer);
}

/* Against a large array that is never moved. */
TEST(random_appends_and_consumptions)
{
    enum { SIZE = 65536 };
    struct random random = random_start(1);
    struct buffer buffer = {0};
    char *stream = malloc(SIZE);
    random_fill(&random, stream, SIZE);
    size_t read = 0, written = 0;
    while (written < SIZE) {
        size_t chunk = random_below(&random, 700);
        if (chunk > SIZE - written)
            chunk = SIZE - written;
        buffer_append(&buffer, stream + written, chunk);
        written += chunk;
        size_t gone = random_below(&random, (uint32_t)(written - read) + 1);
        buffer_consume(&buffer, gone);
        read += gone;
        assert_slice(buffer_slice(&buffer), slice_of(stream + read, written - read));
    }
    free(stream);
    buffer_deinit(&buffer);
}

RUN_TESTS(cmocka_unit_test(a_zeroed_buffer_is_empty_and_can_be_used),
          cmocka_unit_test(there_is_always_a_place_for_what_comes),
          cmocka_unit_test(reserved_room_keeps_what_is_there),
          cmocka_unit_test(nothing_can_be_appended_from_nowhere),
          cmocka_unit_test(formats_of_any_length), cmocka_unit_test(bytes_of_all_values_are_kept),
          cmocka_unit_test(consuming_drops_from_the_front),
          cmocka_unit_test(random_appends_and_consumptions))
