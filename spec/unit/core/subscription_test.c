#include "support/unit.h"

#include <stdio.h>

#include "models/world.h"

static void check(struct world *world)
{
    expect_hub_is_sound(&world->hub);
    expect_replica_follows(world);
}

/* One subscription for equal sources */

TEST(equal_sources_are_one_subscription)
{
    struct world world;
    world_init(&world);
    struct channel *a = world_channel(&world, "a", 5), *b = world_channel(&world, "b", 5);
    struct subscription *first = world_subscribe(&world, a, b, 2);
    struct subscription *second = world_subscribe(&world, a, b, 2);
    assert_ptr_equal(first, second);
    assert_int_equal(first->references, 2);
    assert_ptr_equal(hub_subscription(&world.hub, first->definition->id), first);
    hub_unsubscribe(&world.hub, first);
    assert_ptr_equal(world_subscribe(&world, a, b, 2), second);
    check(&world);
    world_deinit(&world);
}

TEST(sources_that_differ_are_different_subscriptions)
{
    struct world world;
    world_init(&world);
    struct channel *channels[] = {world_channel(&world, "a", 5), world_channel(&world, "b", 5)};
    struct slice one[] = {slice_text("x"), slice_text("y")};
    struct slice other[] = {slice_text("1:x"), slice_text("x1:y")};
    struct group *group = hub_new_group(&world.hub, slice_text("1:x;"), 1);
    struct subscription_source sources[] = {
        {.channels = channels, .channel_count = 1},
        {.channels = channels + 1, .channel_count = 1},
        {.channels = channels, .channel_count = 2},
        {.channels = channels, .channel_count = 1, .chunked = true},
        {.channels = channels, .channel_count = 1, .heartbeat = 15000},
        {.channels = channels, .channel_count = 1, .route = 1},
        {.channels = channels, .channel_count = 1, .group = group},
        {.channels = channels, .channel_count = 1, .names = one, .name_count = 1},
        {.channels = channels, .channel_count = 1, .names = one, .name_count = 2},
        {.channels = channels, .channel_count = 1, .names = other, .name_count = 1},
        {.channels = channels, .channel_count = 1, .names = other + 1, .name_count = 1},
        {.channels = channels, .channel_count = 1, .patterns = one, .pattern_count = 1},
        {.channels = channels, .channel_count = 1, .patterns = one, .pattern_count = 2},
        {.patterns = one, .pattern_count = 1, .names = one + 1, .name_count = 1},
        {.patterns = one, .pattern_count = 2},
    };
    enum { COUNT = sizeof sources / sizeof sources[0] };
    struct subscription *subscriptions[COUNT];
    for (int i = 0; i < COUNT; i++) {
        subscriptions[i] = hub_subscribe(&world.hub, &sources[i]);
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(subscriptions[i], subscriptions[j]);
    }
    check(&world);
    for (int i = 0; i < COUNT; i++) {
        assert_ptr_equal(hub_subscribe(&world.hub, &sources[i]), subscriptions[i]);
        hub_unsubscribe(&world.hub, subscriptions[i]);
        hub_unsubscribe(&world.hub, subscriptions[i]);
        check(&world);
    }
    assert_int_equal(world.forgotten, 1);
    world_deinit(&world);
}

TEST(ids_of_subscriptions_are_used_again)
{
    struct world world;
    struct subscription *subscriptions[100];
    char name[8];
    world_init(&world);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "c%d", i);
        subscriptions[i] = world_subscribe(&world, world_channel(&world, name, 5), NULL, 0);
        assert_int_equal(subscriptions[i]->definition->id, i);
    }
    hub_unsubscribe(&world.hub, subscriptions[80]);
    hub_unsubscribe(&world.hub, subscriptions[5]);
    assert_null(hub_subscription(&world.hub, 5));
    assert_null(hub_subscription(&world.hub, 100000));
    struct subscription *again =
        world_subscribe(&world, hub_find(&world.hub, slice_text("c80")), NULL, 0);
    assert_int_equal(again->definition->id, 5);
    check(&world);
    world_deinit(&world);
}

TEST(channels_count_their_subscribers)
{
    struct world world;
    world_init(&world);
    struct channel *a = world_channel(&world, "a", 5), *b = world_channel(&world, "b", 5);
    struct subscription *both = world_subscribe(&world, a, b, 0);
    struct subscription *one = world_subscribe(&world, a, NULL, 0);
    hub_count_subscribers(&world.hub, both, 1);
    hub_count_subscribers(&world.hub, one, 2);
    assert_int_equal(a->subscribers, 3);
    assert_int_equal(b->subscribers, 1);
    hub_count_subscribers(&world.hub, both, -1);
    assert_int_equal(b->subscribers, 0);
    world_deinit(&world);
}

/* Patterns */

TEST(a_pattern_has_channels_that_are_there_and_that_come)
{
    struct world world;
    world_init(&world);
    world_channel(&world, "stock.a", 5);
    world_channel(&world, "other", 5);
    struct subscription *subscription = world_subscribe_pattern(&world, "stock.*", 0);
    assert_int_equal(subscription->channel_count, 1);
    struct channel *later = world_channel(&world, "stock.b", 5);
    assert_int_equal(subscription->channel_count, 2);
    check(&world);
    later->declared = false;
    hub_release(&world.hub, later);
    assert_null(hub_find(&world.hub, slice_text("stock.b")));
    assert_int_equal(subscription->channel_count, 1);
    check(&world);
    world_deinit(&world);
}

TEST(a_channel_that_matches_twice_is_there_once)
{
    struct world world;
    struct slice patterns[] = {slice_text("a.*"), slice_text("**")};
    world_init(&world);
    struct channel *channel = world_channel(&world, "a.b", 5);
    struct subscription *subscription = hub_subscribe(
        &world.hub,
        &(struct subscription_source){
            .channels = &channel, .channel_count = 1, .patterns = patterns, .pattern_count = 2});
    assert_int_equal(subscription->channel_count, 1);
    world_channel(&world, "a.c", 5);
    assert_int_equal(subscription->channel_count, 2);
    check(&world);
    hub_unsubscribe(&world.hub, subscription);
    check(&world);
    world_deinit(&world);
}

TEST(subscribers_of_a_pattern_count_in_channels_that_come_and_go)
{
    struct world world;
    world_init(&world);
    struct subscription *subscription = world_subscribe_pattern(&world, "a.*", 0);
    hub_count_subscribers(&world.hub, subscription, 1);
    hub_count_subscribers(&world.hub, subscription, 1);
    struct channel *channel = world_channel(&world, "a.b", 5);
    assert_int_equal(channel->subscribers, 2);
    hub_count_subscribers(&world.hub, subscription, -1);
    assert_int_equal(channel->subscribers, 1);
    struct subscription *named = world_subscribe(&world, channel, NULL, 0);
    hub_count_subscribers(&world.hub, named, 1);
    assert_int_equal(channel->subscribers, 2);
    hub_count_subscribers(&world.hub, subscription, -1);
    hub_unsubscribe(&world.hub, subscription);
    assert_int_equal(channel->subscribers, 1);
    world_deinit(&world);
}

/* Events that are put back have not been seen by a filter that waits for them. */
TEST(a_restored_channel_joins_a_filtered_pattern)
{
    struct world world;
    struct start_result result;
    world_init(&world);
    hub_continue(&world.hub, "epoch", 10);
    struct subscription *subscription = world_subscribe_pattern(&world, "a.*", 2);
    struct channel *channel = world_channel(&world, "a.b", 5);
    for (uint64_t sequence = 3; sequence <= 4; sequence++) {
        struct frame *frame =
            frame_new(&(struct frame_source){.id = slice_text("epoch-x"),
                                             .data = slice_text(sequence == 3 ? "3" : "4"),
                                             .retry = -1,
                                             .sequence = sequence});
        hub_restore(&world.hub, channel, frame);
        frame_unref(frame);
    }
    subscription_resolve(&world.hub, subscription, &(struct start){.kind = START_LAST, .number = 2},
                         &result);
    assert_int_equal(result.cursor, 3);
    expect_hub_is_sound(&world.hub);
    world_deinit(&world);
}

TEST(restored_events_replace_those_of_their_key)
{
    struct world world;
    struct channel *channel;
    struct channel_options options = {.history = 5, .keyed = true};
    world_init(&world);
    hub_continue(&world.hub, "epoch", 10);
    hub_open(&world.hub, slice_text("keyed"), &options, &channel);
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        struct frame *frame = frame_new(&(struct frame_source){
            .key = slice_text("k"), .data = slice_text("x"), .retry = -1, .sequence = sequence});
        hub_restore(&world.hub, channel, frame);
        frame_unref(frame);
    }
    assert_int_equal(log_length(&channel->log), 1);
    expect_hub_is_sound(&world.hub);
    world_deinit(&world);
}

/* Filters */

TEST(a_new_group_judges_what_is_there_once)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 10);
    static const char *const numbers[] = {"1", "2", "3", "4"};
    for (int i = 0; i < 4; i++)
        world_publish(&world, channel, NULL, numbers[i]);
    struct subscription *subscription = world_subscribe(&world, channel, NULL, 2);
    assert_int_equal(world.judgements, 0);
    hub_judge(&world.hub, subscription, 2);
    assert_int_equal(world.judgements, 2);
    hub_judge(&world.hub, subscription, 0);
    assert_int_equal(world.judgements, 4);
    hub_judge(&world.hub, subscription, 0);
    assert_int_equal(world.judgements, 4);
    world_publish(&world, channel, NULL, "6");
    assert_int_equal(world.judgements, 5);
    hub_judge(&world.hub, subscription, 0);
    assert_int_equal(world.judgements, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(log_verdict(&channel->log, i, 0), i == 1 || i == 3 || i == 4);
    check(&world);
    world_deinit(&world);
}

TEST(subscriptions_with_the_same_filter_share_its_judgements)
{
    struct world world;
    world_init(&world);
    struct channel *a = world_channel(&world, "a", 10), *b = world_channel(&world, "b", 10);
    world_publish(&world, a, NULL, "1");
    struct subscription *first = world_subscribe(&world, a, NULL, 3);
    hub_judge(&world.hub, first, 0);
    struct subscription *second = world_subscribe(&world, a, b, 3);
    hub_judge(&world.hub, second, 0);
    assert_int_equal(world.judgements, 1);
    world_publish(&world, a, NULL, "2");
    assert_int_equal(world.judgements, 2);
    hub_unsubscribe(&world.hub, first);
    assert_int_equal(world.forgotten, 0);
    hub_unsubscribe(&world.hub, second);
    assert_int_equal(world.forgotten, 1);
    assert_int_equal(a->group_count, 0);
    check(&world);
    world_deinit(&world);
}

/* The slot of a group that has gone still has its verdicts on old events. */
TEST(a_group_in_a_used_slot_judges_anew)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 10);
    struct subscription *even = world_subscribe(&world, channel, NULL, 2);
    world_publish(&world, channel, NULL, "2");
    world_publish(&world, channel, NULL, "3");
    hub_unsubscribe(&world.hub, even);
    struct subscription *threes = world_subscribe(&world, channel, NULL, 3);
    hub_judge(&world.hub, threes, 0);
    assert_false(log_verdict(&channel->log, 0, 0));
    assert_true(log_verdict(&channel->log, 1, 0));
    check(&world);
    world_deinit(&world);
}

TEST(a_changed_event_is_the_groups_own)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 10);
    world_publish(&world, channel, NULL, "2");
    struct subscription *changed = world_subscribe(&world, channel, NULL, -2);
    struct subscription *plain = world_subscribe(&world, channel, NULL, 2);
    hub_judge(&world.hub, changed, 0);
    hub_judge(&world.hub, plain, 0);
    world_publish(&world, channel, NULL, "4");
    for (uint32_t i = 0; i < 2; i++) {
        struct frame *original = log_at(&channel->log, i)->frame;
        assert_ptr_equal(log_frame(&channel->log, i, plain->channels[0].slot), original);
        assert_ptr_equal(log_frame(&channel->log, i, -1), original);
        struct frame *other = log_frame(&channel->log, i, changed->channels[0].slot);
        assert_ptr_not_equal(other, original);
        assert_int_equal(other->sequence, original->sequence);
    }
    check(&world);
    world_deinit(&world);
}

/* Filters may have arguments that clients choose: what they make of events counts as memory. */
TEST(changed_events_count_as_memory_of_the_log)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 100);
    for (int i = 0; i < 20; i++)
        world_publish(&world, channel, NULL, "60");
    size_t plain = channel->log.bytes;
    struct subscription *subscription = world_subscribe(&world, channel, NULL, -2);
    hub_judge(&world.hub, subscription, 0);
    assert_true(channel->log.bytes > 2 * plain);
    check(&world);
    hub_unsubscribe(&world.hub, subscription);
    world_subscribe(&world, channel, NULL, 2);
    assert_int_equal(channel->log.bytes, plain);
    check(&world);
    world.hub.limits.total_bytes = world.hub.bytes * 3;
    for (int i = 1; i < 10; i++)
        hub_judge(&world.hub, world_subscribe(&world, channel, NULL, -i), 0);
    check(&world);
    assert_true(log_length(&channel->log) < 20);
    world_deinit(&world);
}

TEST(more_groups_than_a_word_has_bits)
{
    struct world world;
    struct subscription *subscriptions[140];
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 10);
    world_publish(&world, channel, NULL, "420");
    for (int i = 0; i < 140; i++) {
        subscriptions[i] = world_subscribe(&world, channel, NULL, i + 1);
        hub_judge(&world.hub, subscriptions[i], 0);
    }
    world_publish(&world, channel, NULL, "840");
    for (uint32_t i = 0; i < 140; i++) {
        assert_int_equal(log_verdict(&channel->log, 0, i), 420 % (i + 1) == 0);
        assert_int_equal(log_verdict(&channel->log, 1, i), 840 % (i + 1) == 0);
    }
    check(&world);
    for (int i = 0; i < 140; i += 2)
        hub_unsubscribe(&world.hub, subscriptions[i]);
    world_publish(&world, channel, NULL, "420");
    check(&world);
    world_deinit(&world);
}

RUN_TESTS(cmocka_unit_test(equal_sources_are_one_subscription),
          cmocka_unit_test(sources_that_differ_are_different_subscriptions),
          cmocka_unit_test(ids_of_subscriptions_are_used_again),
          cmocka_unit_test(channels_count_their_subscribers),
          cmocka_unit_test(a_pattern_has_channels_that_are_there_and_that_come),
          cmocka_unit_test(a_channel_that_matches_twice_is_there_once),
          cmocka_unit_test(subscribers_of_a_pattern_count_in_channels_that_come_and_go),
          cmocka_unit_test(a_restored_channel_joins_a_filtered_pattern),
          cmocka_unit_test(restored_events_replace_those_of_their_key),
          cmocka_unit_test(a_new_group_judges_what_is_there_once),
          cmocka_unit_test(subscriptions_with_the_same_filter_share_its_judgements),
          cmocka_unit_test(a_group_in_a_used_slot_judges_anew),
          cmocka_unit_test(a_changed_event_is_the_groups_own),
          cmocka_unit_test(changed_events_count_as_memory_of_the_log),
          cmocka_unit_test(more_groups_than_a_word_has_bits))
