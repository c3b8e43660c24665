#include "support/unit.h"

#include <stdlib.h>

#include "core/log.h"
#include "models/log.h"
#include "support/random.h"

static void append(struct log *log, uint64_t sequence, const char *id)
{
    struct frame *frame = frame_new(&(struct frame_source){
        .id = slice_text(id), .data = slice_text("x"), .retry = -1, .sequence = sequence});
    log_append(log, frame, NULL, 0);
    frame_unref(frame);
}

static void append_many(struct log *log, uint64_t first, uint64_t last)
{
    for (uint64_t sequence = first; sequence <= last; sequence++)
        append(log, sequence, "a");
}

TEST(an_empty_log_has_nothing)
{
    struct log log;
    log_init(&log);
    assert_int_equal(log_length(&log), 0);
    assert_int_equal(log_last(&log), 0);
    assert_int_equal(log_after(&log, 0), 0);
    assert_null(log_find_id(&log, slice_text("a")));
    log_supersede(&log, 0);
    log_supersede(&log, 7);
    assert_int_equal(log.evicted, 0);
    log_deinit(&log);
}

TEST(a_cursor_finds_its_place)
{
    struct log log = {0};
    for (uint64_t sequence = 10; sequence <= 50; sequence += 10)
        append(&log, sequence, "a");
    assert_int_equal(log_after(&log, 0), 0);
    assert_int_equal(log_after(&log, 9), 0);
    assert_int_equal(log_after(&log, 10), 1);
    assert_int_equal(log_after(&log, 39), 3);
    assert_int_equal(log_after(&log, 40), 4);
    assert_int_equal(log_after(&log, 50), 5);
    assert_int_equal(log_after(&log, UINT64_MAX), 5);
    log_deinit(&log);
}

TEST(evicting_remembers_what_is_gone)
{
    struct log log = {0};
    append_many(&log, 1, 5);
    log_evict(&log, 2);
    assert_int_equal(log_length(&log), 3);
    assert_int_equal(log_at(&log, 0)->sequence, 3);
    assert_int_equal(log.evicted, 2);
    log_evict(&log, 1);
    assert_int_equal(log.evicted, 2);
    log_evict(&log, 9);
    assert_int_equal(log_length(&log), 0);
    assert_int_equal(log.evicted, 9);
    assert_int_equal(log.bytes, 0);
    log_deinit(&log);
}

TEST(a_superseded_event_leaves_a_hole_that_is_never_first)
{
    struct log log = {0};
    append_many(&log, 1, 5);
    log_supersede(&log, 3);
    assert_int_equal(log_length(&log), 4);
    assert_int_equal(log.count, 5);
    log_supersede(&log, 3);
    assert_int_equal(log_length(&log), 4);
    log_supersede(&log, 1);
    assert_int_equal(log_at(&log, 0)->sequence, 2);
    log_evict(&log, 2);
    assert_int_equal(log_at(&log, 0)->sequence, 4);
    assert_int_equal(log.evicted, 2);
    log_deinit(&log);
}

TEST(an_event_without_an_id_is_not_found_by_an_empty_one)
{
    struct log log = {0};
    struct frame *frame =
        frame_new(&(struct frame_source){.data = slice_text("x"), .retry = -1, .sequence = 1});
    log_append(&log, frame, NULL, 0);
    frame_unref(frame);
    assert_null(log_find_id(&log, slice_text("")));
    append(&log, 2, "b");
    append(&log, 3, "b");
    assert_int_equal(log_find_id(&log, slice_text("b"))->sequence, 3);
    assert_null(log_find_id(&log, slice_text("bb")));
    log_deinit(&log);
}

TEST(verdicts_stay_with_their_events)
{
    struct log log = {0};
    append_many(&log, 1, 3);
    assert_false(log_verdict(&log, 1, 70));
    log_reserve_slot(&log, 70);
    log_set_verdict(&log, 1, 70, true);
    log_set_verdict(&log, 2, 3, true);
    append_many(&log, 4, 40);
    log_evict(&log, 1);
    assert_true(log_verdict(&log, 0, 70));
    assert_false(log_verdict(&log, 0, 3));
    assert_true(log_verdict(&log, 1, 3));
    assert_false(log_verdict(&log, 2, 3));
    log_reserve_slot(&log, 300);
    assert_true(log_verdict(&log, 0, 70));
    log_set_verdict(&log, 0, 70, false);
    assert_false(log_verdict(&log, 0, 70));
    log_deinit(&log);
}

TEST(room_for_verdicts_can_be_made_in_an_empty_log)
{
    struct log log = {0};
    uint64_t verdicts[2] = {1, 2};
    log_reserve_slot(&log, 100);
    struct frame *frame = frame_new(&(struct frame_source){.retry = -1, .sequence = 1});
    log_append(&log, frame, verdicts, 2);
    frame_unref(frame);
    assert_true(log_verdict(&log, 0, 0));
    assert_true(log_verdict(&log, 0, 65));
    assert_false(log_verdict(&log, 0, 64));
    log_deinit(&log);
}

TEST(a_log_that_was_large_gives_its_memory_back)
{
    struct log log = {0};
    append_many(&log, 1, 10000);
    assert_true(log.capacity >= 10000);
    log_evict(&log, 9990);
    assert_true(log.capacity <= 128);
    assert_int_equal(log_length(&log), 10);
    for (uint64_t sequence = 10001; sequence <= 20000; sequence++) {
        append(&log, sequence, "a");
        if (sequence % 100 != 0)
            log_supersede(&log, sequence);
    }
    assert_int_equal(log_length(&log), 110);
    assert_true(log.capacity <= 512);
    log_evict(&log, 20000);
    assert_true(log.capacity <= 16);
    log_deinit(&log);
}

/* Long programs of random bytes, some of which mostly append and some of which mostly remove. */
TEST(random_changes_match_an_array)
{
    struct random random = random_start(10);
    uint8_t bytes[1200];
    for (unsigned round = 0; round < random_rounds(150); round++) {
        random_fill(&random, bytes, sizeof bytes);
        expect_log_is_an_array(
            (struct program){bytes, 100 + random_below(&random, sizeof bytes - 100)});
    }
}

RUN_TESTS(cmocka_unit_test(an_empty_log_has_nothing), cmocka_unit_test(a_cursor_finds_its_place),
          cmocka_unit_test(evicting_remembers_what_is_gone),
          cmocka_unit_test(a_superseded_event_leaves_a_hole_that_is_never_first),
          cmocka_unit_test(an_event_without_an_id_is_not_found_by_an_empty_one),
          cmocka_unit_test(verdicts_stay_with_their_events),
          cmocka_unit_test(room_for_verdicts_can_be_made_in_an_empty_log),
          cmocka_unit_test(a_log_that_was_large_gives_its_memory_back),
          cmocka_unit_test(random_changes_match_an_array))
