#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "models/delivery.h"
#include "models/world.h"
#include "support/random.h"

enum { FRAMES = 16 };

/* The sequences of the next frames as one decimal number of two digits each: 1, 12 is 112. */
static long long read_frames(struct subscriber *subscriber, uint32_t max)
{
    struct frame *frames[FRAMES];
    long long number = 0;
    uint32_t count = subscriber_collect(subscriber, &subscriber->cursor, frames, max);
    for (uint32_t i = 0; i < count; i++)
        number = number * 100 + (long long)frames[i]->sequence;
    return number;
}

static long long read_news(struct audience *audience, uint32_t max)
{
    struct frame *frames[FRAMES];
    long long number = 0;
    uint32_t count = audience_collect_news(audience, frames, max);
    for (uint32_t i = 0; i < count; i++)
        number = number * 100 + (long long)frames[i]->sequence;
    return number;
}

static void publish_many(struct world *world, struct channel *channel, int count)
{
    for (int i = 0; i < count; i++)
        world_publish(world, channel, NULL, "x");
}

TEST(a_reader_of_one_channel_gets_what_is_after_its_cursor)
{
    struct world world;
    struct subscriber reader;
    world_init(&world);
    struct channel *a = world_channel(&world, "a", 10), *b = world_channel(&world, "b", 10);
    struct audience *audience = world_audience(&world, world_subscribe(&world, a, NULL, 0));
    publish_many(&world, a, 4);
    publish_many(&world, b, 2);
    audience_add(audience, &reader, 1);
    assert_int_equal(read_frames(&reader, 2), 203);
    assert_int_equal(reader.cursor, 3);
    assert_int_equal(read_frames(&reader, 2), 4);
    assert_int_equal(reader.cursor, 6);
    assert_int_equal(read_frames(&reader, 2), 0);
    audience_remove(&reader);
    world_deinit(&world);
}

TEST(several_channels_are_merged_in_order)
{
    struct world world;
    struct subscriber reader;
    world_init(&world);
    struct channel *a = world_channel(&world, "a", 10), *b = world_channel(&world, "b", 10);
    struct audience *audience = world_audience(&world, world_subscribe(&world, a, b, 0));
    publish_many(&world, a, 2);
    publish_many(&world, b, 3);
    publish_many(&world, a, 1);
    audience_add(audience, &reader, 0);
    assert_int_equal(read_frames(&reader, 4), 1020304);
    assert_int_equal(reader.cursor, 4);
    assert_int_equal(read_frames(&reader, 4), 506);
    assert_int_equal(read_frames(&reader, 4), 0);
    audience_remove(&reader);
    world_deinit(&world);
}

TEST(more_channels_than_fit_on_the_stack)
{
    struct world world;
    struct subscriber reader;
    char name[8];
    world_init(&world);
    struct audience *audience = world_audience(&world, world_subscribe_pattern(&world, "*", 0));
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "c%d", i);
        world_channel(&world, name, 5);
    }
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "c%d", i * 37 % 100);
        publish_many(&world, hub_find(&world.hub, slice_text(name)), 1);
    }
    audience_add(audience, &reader, 3);
    assert_true(read_frames(&reader, 5) == 405060708);
    assert_int_equal(read_frames(&reader, 5), 9101112);
    audience_remove(&reader);
    world_deinit(&world);
}

TEST(filters_and_names_leave_out)
{
    struct world world;
    struct subscriber reader;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 10);
    struct audience *audience = world_audience(&world, world_subscribe(&world, channel, NULL, 2));
    static const char *const numbers[] = {"1", "2", "3", "4", "5"};
    for (int i = 0; i < 5; i++)
        world_publish(&world, channel, NULL, numbers[i]);
    audience_add(audience, &reader, 0);
    assert_int_equal(read_frames(&reader, 1), 2);
    assert_int_equal(read_frames(&reader, 5), 4);
    assert_int_equal(reader.cursor, 5);
    audience_remove(&reader);
    world_deinit(&world);
}

TEST(those_in_step_get_the_news)
{
    struct world world;
    struct subscriber readers[3];
    world_init(&world);
    struct channel *a = world_channel(&world, "a", 10), *b = world_channel(&world, "b", 10);
    struct audience *audience = world_audience(&world, world_subscribe(&world, a, b, 0));
    publish_many(&world, a, 2);
    audience_forget_news(audience);
    for (int i = 0; i < 3; i++) {
        audience_add(audience, &readers[i], 2);
        assert_false(subscriber_is_in_step(&readers[i]));
        audience_catch_up(&readers[i], 10 + i);
        assert_true(subscriber_is_in_step(&readers[i]));
    }
    assert_int_equal(audience->member_count, 3);
    publish_many(&world, b, 1);
    publish_many(&world, a, 1);
    assert_false(list_is_empty(&audience->dirty));
    assert_int_equal(read_news(audience, 8), 304);
    assert_int_equal(read_news(audience, 8), 0);
    assert_int_equal(audience->cursor, 4);
    audience_fall_behind(&readers[0], 3);
    assert_int_equal(audience->member_count, 2);
    assert_ptr_equal(audience->members[readers[2].index].subscriber, &readers[2]);
    assert_int_equal(audience->members[readers[2].index].descriptor, 12);
    assert_int_equal(read_frames(&readers[0], 8), 4);
    for (int i = 0; i < 3; i++)
        audience_remove(&readers[i]);
    audience_remove(&readers[0]);
    assert_int_equal(audience->member_count, 0);
    assert_true(list_is_empty(&audience->behind));
    world_deinit(&world);
}

/* The last channel takes the place of the one that goes, and its news with it. */
TEST(a_channel_that_goes_leaves_the_news_of_the_others)
{
    struct world world;
    struct subscriber reader;
    world_init(&world);
    struct audience *audience = world_audience(&world, world_subscribe_pattern(&world, "*", 0));
    audience_add(audience, &reader, 0);
    audience_catch_up(&reader, 1);
    struct channel *first = world_channel(&world, "first", 5);
    struct channel *middle = world_channel(&world, "middle", 5);
    struct channel *last = world_channel(&world, "last", 5);
    publish_many(&world, last, 1);
    publish_many(&world, middle, 1);
    hub_close(&world.hub, first);
    assert_int_equal(audience->channel_count, 2);
    publish_many(&world, last, 1);
    assert_int_equal(read_news(audience, 8), 10203);
    publish_many(&world, last, 1);
    publish_many(&world, middle, 1);
    assert_int_equal(read_news(audience, 8), 405);
    expect_replica_follows(&world);
    audience_remove(&reader);
    world_deinit(&world);
}

/* Against a table of who is where. */
TEST(random_members_come_and_go)
{
    enum { COUNT = 150 };
    struct random random = random_start(15);
    struct world world;
    struct subscriber *readers = calloc(COUNT, sizeof *readers);
    int *places = calloc(COUNT, sizeof *places);
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 10);
    struct audience *audience = world_audience(&world, world_subscribe(&world, channel, NULL, 0));
    for (unsigned step = 0; step < random_rounds(3000); step++) {
        uint32_t i = random_below(&random, COUNT);
        bool removes = random_below(&random, 100) < (step % 1500 < 750 ? 10 : 60);
        if (removes || places[i] == 2) {
            if (!removes)
                audience_fall_behind(&readers[i], 0);
            else
                audience_remove(&readers[i]);
            places[i] = removes ? 0 : 1;
        } else {
            if (places[i] == 0)
                audience_add(audience, &readers[i], 0);
            else
                audience_catch_up(&readers[i], (int)i);
            places[i]++;
        }
        uint32_t members = 0;
        for (uint32_t j = 0; j < COUNT; j++) {
            members += places[j] == 2;
            if (places[j] == 2)
                assert_ptr_equal(audience->members[readers[j].index].subscriber, &readers[j]);
        }
        assert_int_equal(audience->member_count, members);
    }
    for (uint32_t i = 0; i < COUNT; i++)
        audience_remove(&readers[i]);
    world_deinit(&world);
    free(readers);
    free(places);
}

TEST(a_partial_frame_belongs_to_its_reader)
{
    struct world world;
    struct subscriber reader;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 10);
    struct audience *audience = world_audience(&world, world_subscribe(&world, channel, NULL, 0));
    publish_many(&world, channel, 3);
    audience_add(audience, &reader, 1);
    assert_int_equal(subscriber_position(&reader), 1);
    struct frame *frame = log_at(&channel->log, 1)->frame;
    reader.partial = frame_ref(frame);
    assert_int_equal(subscriber_position(&reader), 2);
    audience_remove(&reader);
    assert_null(reader.partial);
    world_deinit(&world);
}

TEST(evictions_wait_for_those_in_step)
{
    struct world world;
    struct subscriber reader;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 2);
    struct audience *audience = world_audience(&world, world_subscribe(&world, channel, NULL, 0));
    audience_add(audience, &reader, 0);
    audience_catch_up(&reader, 1);
    publish_many(&world, channel, 6);
    assert_true(read_news(audience, 8) == 10203040506);
    expect_replica_follows(&world);
    audience_remove(&reader);
    world_deinit(&world);
}

TEST(dropped_tombstones_wait_for_those_in_step_too)
{
    struct world world;
    struct subscriber in_step, behind;
    struct channel *channel;
    char key[8];
    struct channel_options options = {.history = 2, .keyed = true};
    world_init(&world);
    hub_open(&world.hub, slice_text("keyed"), &options, &channel);
    struct audience *audience = world_audience(&world, world_subscribe(&world, channel, NULL, 0));
    audience_add(audience, &in_step, 0);
    audience_catch_up(&in_step, 1);
    audience_add(audience, &behind, 0);
    for (int i = 0; i < 6; i++) {
        snprintf(key, sizeof key, "k%d", i);
        world_publish_key(&world, channel, key, NULL);
    }
    assert_true(read_news(audience, 8) == 10203040506);
    assert_null(subscriber_lag(&behind));
    expect_replica_follows(&world);
    assert_non_null(subscriber_lag(&behind));
    audience_remove(&in_step);
    audience_remove(&behind);
    world_deinit(&world);
}

TEST(a_reader_skips_in_the_channels_that_it_is_too_slow_for_and_in_no_other)
{
    struct world world;
    struct subscriber reader;
    world_init(&world);
    struct channel *a = world_channel(&world, "a", 2), *b = world_channel(&world, "b", 10);
    struct channel *c = world_channel(&world, "c", 1);
    struct audience *audience = world_audience(&world, world_subscribe(&world, a, b, 0));
    struct audience *all = world_audience(&world, world_subscribe(&world, a, c, 0));
    audience_add(audience, &reader, 0);
    for (int i = 0; i < 3; i++) {
        publish_many(&world, a, 2);
        publish_many(&world, b, 1);
    }
    expect_replica_follows(&world);
    assert_true(subscriber_skip(&reader, subscriber_lag(&reader)));
    assert_null(subscriber_lag(&reader));
    assert_int_equal(read_frames(&reader, 1), 3);
    publish_many(&world, a, 2);
    expect_replica_follows(&world);
    assert_false(subscriber_skip(&reader, subscriber_lag(&reader)));
    audience_move(audience, &reader);
    assert_null(subscriber_lag(&reader));
    assert_int_equal(read_frames(&reader, 8), 60911);
    publish_many(&world, a, 3);
    expect_replica_follows(&world);
    assert_true(subscriber_skip(&reader, subscriber_lag(&reader)));
    assert_int_equal(read_frames(&reader, 8), 14);
    audience_move(all, &reader);
    publish_many(&world, a, 3);
    publish_many(&world, c, 2);
    expect_replica_follows(&world);
    assert_true(subscriber_skip(&reader, subscriber_lag(&reader)));
    assert_true(subscriber_skip(&reader, subscriber_lag(&reader)));
    assert_null(subscriber_lag(&reader));
    assert_int_equal(read_frames(&reader, 8), 1719);
    audience_catch_up(&reader, 1);
    audience_remove(&reader);
    world_deinit(&world);
}

TEST(a_lag_is_what_was_lost_since_the_reader_came)
{
    struct world world;
    struct subscriber early, late, current;
    world_init(&world);
    struct channel *a = world_channel(&world, "a", 3), *b = world_channel(&world, "b", 10);
    struct audience *audience = world_audience(&world, world_subscribe(&world, a, b, 0));
    audience_add(audience, &early, 0);
    publish_many(&world, a, 3);
    assert_null(subscriber_lag(&early));
    publish_many(&world, a, 2);
    publish_many(&world, b, 1);
    expect_replica_follows(&world);
    assert_int_equal(subscriber_lag(&early)->id, a->id);
    audience_add(audience, &late, 0);
    audience_add(audience, &current, 3);
    assert_null(subscriber_lag(&late));
    assert_int_equal(read_frames(&late, 2), 304);
    publish_many(&world, a, 1);
    expect_replica_follows(&world);
    assert_null(subscriber_lag(&late));
    assert_null(subscriber_lag(&current));
    publish_many(&world, a, 2);
    expect_replica_follows(&world);
    assert_non_null(subscriber_lag(&late));
    audience_remove(&early);
    audience_remove(&late);
    audience_remove(&current);
    world_deinit(&world);
}

/* A filter may guard what its subscribers see. In one turn, an event is evicted, the filter that
 * let it through goes, and another one gets its slot: its readers must not find the event in the
 * replica. */
TEST(nobody_reads_what_another_filter_let_through)
{
    struct world world;
    struct subscriber reader;
    struct start_result result;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 1);
    struct subscription *open = world_subscribe(&world, channel, NULL, 1);
    world_publish(&world, channel, NULL, "7");
    expect_replica_follows(&world);
    world_publish(&world, channel, NULL, "8");
    hub_unsubscribe(&world.hub, open);
    struct subscription *guarded = world_subscribe(&world, channel, NULL, 2);
    subscription_resolve(&world.hub, guarded, &(struct start){.kind = START_EARLIEST}, &result);
    audience_add(world_audience(&world, guarded), &reader, result.cursor);
    assert_int_equal(read_frames(&reader, 8), 2);
    audience_remove(&reader);
    world_deinit(&world);
}

TEST(who_moves_to_another_audience_takes_its_losses_along)
{
    struct world world;
    struct subscriber behind, in_step;
    world_init(&world);
    struct channel *a = world_channel(&world, "a", 3), *b = world_channel(&world, "b", 5);
    struct audience *narrow = world_audience(&world, world_subscribe(&world, a, NULL, 0));
    struct audience *wide = world_audience(&world, world_subscribe(&world, a, b, 0));
    audience_add(narrow, &behind, 0);
    audience_add(narrow, &in_step, 0);
    audience_catch_up(&in_step, 1);
    publish_many(&world, a, 3);
    behind.partial = frame_ref(log_at(&a->log, 0)->frame);
    behind.written = 7;
    publish_many(&world, a, 2);
    assert_int_equal(read_news(narrow, 8), 102030405);
    audience_forget_news(wide);
    audience_move(wide, &behind);
    audience_move(wide, &in_step);
    assert_int_equal(behind.written, 7);
    assert_int_equal(subscriber_position(&behind), 1);
    expect_replica_follows(&world);
    assert_non_null(subscriber_lag(&behind));
    assert_null(subscriber_lag(&in_step));
    publish_many(&world, b, 1);
    assert_int_equal(read_frames(&in_step, 8), 6);
    assert_int_equal(narrow->member_count, 0);
    audience_remove(&behind);
    audience_remove(&in_step);
    world_deinit(&world);
}

/* A channel that a pattern had, and that nobody else uses, goes with its last event. */
TEST(a_channel_that_goes_is_a_lag_for_who_had_not_read_it)
{
    struct world world;
    struct subscriber early, late;
    struct channel *channel;
    struct channel_options options = {.history = 5, .max_age = 100};
    world_init(&world);
    struct audience *audience = world_audience(&world, world_subscribe_pattern(&world, "*", 0));
    hub_open(&world.hub, slice_text("a"), &options, &channel);
    audience_add(audience, &early, 0);
    publish_many(&world, channel, 3);
    expect_replica_follows(&world);
    assert_null(subscriber_lag(&early));
    audience_add(audience, &late, 3);
    hub_expire(&world.hub, world.now + 100);
    expect_replica_follows(&world);
    assert_int_equal(audience->channel_count, 0);
    assert_non_null(subscriber_lag(&early));
    assert_text(frame_part(subscriber_lag(&early)->names, subscriber_lag(&early)->names->key), "a");
    assert_null(subscriber_lag(&late));
    audience_remove(&early);
    audience_add(audience, &early, 0);
    assert_null(subscriber_lag(&early));
    audience_remove(&early);
    audience_remove(&late);
    world_deinit(&world);
}

/* What was published before it came is not for it, so it does not miss it either. */
TEST(a_channel_without_history_loses_nothing_for_who_came_later)
{
    struct world world;
    struct subscriber reader;
    world_init(&world);
    struct channel *kept = world_channel(&world, "kept", 1000);
    struct channel *bare = world_channel(&world, "bare", 0);
    struct audience *audience = world_audience(&world, world_subscribe(&world, kept, bare, 0));
    publish_many(&world, kept, 2);
    publish_many(&world, bare, HUB_BACKLOG);
    audience_add(audience, &reader, 1);
    publish_many(&world, bare, 3);
    expect_replica_follows(&world);
    assert_null(subscriber_lag(&reader));
    assert_int_equal(read_frames(&reader, 1), 2);
    publish_many(&world, bare, HUB_BACKLOG);
    expect_replica_follows(&world);
    assert_non_null(subscriber_lag(&reader));
    audience_remove(&reader);
    world_deinit(&world);
}

TEST(random_changes_reach_the_replica_and_its_readers)
{
    struct random random = random_start(16);
    uint8_t bytes[3000];
    for (unsigned round = 0; round < random_rounds(40); round++) {
        random_fill(&random, bytes, sizeof bytes);
        expect_delivery((struct program){bytes, 100 + random_below(&random, sizeof bytes - 100)});
    }
}

RUN_TESTS(cmocka_unit_test(a_reader_of_one_channel_gets_what_is_after_its_cursor),
          cmocka_unit_test(several_channels_are_merged_in_order),
          cmocka_unit_test(more_channels_than_fit_on_the_stack),
          cmocka_unit_test(filters_and_names_leave_out),
          cmocka_unit_test(those_in_step_get_the_news),
          cmocka_unit_test(a_channel_that_goes_leaves_the_news_of_the_others),
          cmocka_unit_test(random_members_come_and_go),
          cmocka_unit_test(a_partial_frame_belongs_to_its_reader),
          cmocka_unit_test(evictions_wait_for_those_in_step),
          cmocka_unit_test(dropped_tombstones_wait_for_those_in_step_too),
          cmocka_unit_test(a_reader_skips_in_the_channels_that_it_is_too_slow_for_and_in_no_other),
          cmocka_unit_test(a_lag_is_what_was_lost_since_the_reader_came),
          cmocka_unit_test(who_moves_to_another_audience_takes_its_losses_along),
          cmocka_unit_test(a_channel_that_goes_is_a_lag_for_who_had_not_read_it),
          cmocka_unit_test(nobody_reads_what_another_filter_let_through),
          cmocka_unit_test(a_channel_without_history_loses_nothing_for_who_came_later),
          cmocka_unit_test(random_changes_reach_the_replica_and_its_readers))
