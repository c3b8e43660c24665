/* What the hub keeps, and what it lets go: by count, bytes, age, and key. */
#include "support/unit.h"

#include <stdio.h>

#include "models/world.h"

static struct channel_options with_history(uint32_t history)
{
    return (struct channel_options){.history = history};
}

static struct channel *open_with(struct world *world, const char *name,
                                 struct channel_options options)
{
    struct channel *channel;
    assert_int_equal(hub_open(&world->hub, slice_text(name), &options, &channel), 0);
    channel->declared = true;
    return channel;
}

static void publish_many(struct world *world, struct channel *channel, int count)
{
    for (int i = 0; i < count; i++)
        world_publish(world, channel, NULL, "x");
}

static uint64_t oldest(const struct channel *channel)
{
    return log_at(&channel->log, 0)->sequence;
}

static void check(struct world *world)
{
    expect_hub_is_sound(&world->hub);
    expect_replica_follows(world);
}

TEST(a_channel_keeps_its_last_events)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 3);
    publish_many(&world, channel, 3);
    assert_int_equal(channel->log.evicted, 0);
    publish_many(&world, channel, 4);
    assert_int_equal(log_length(&channel->log), 3);
    assert_int_equal(oldest(channel), 5);
    assert_int_equal(channel->log.evicted, 4);
    assert_int_equal(world.hub.counters.evicted_count, 4);
    check(&world);
    world_deinit(&world);
}

TEST(a_channel_keeps_no_more_bytes_than_it_may)
{
    struct world world;
    world_init(&world);
    struct channel *channel =
        open_with(&world, "a", (struct channel_options){.history = 100, .max_bytes = 1000});
    publish_many(&world, channel, 50);
    assert_true(channel->log.bytes <= 1000 && log_length(&channel->log) > 1);
    assert_int_equal(world.hub.counters.evicted_bytes, 50 - log_length(&channel->log));
    char large[1200];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    world_publish(&world, channel, NULL, large);
    assert_int_equal(log_length(&channel->log), 0);
    assert_int_equal(channel->log.evicted, 51);
    check(&world);
    world_deinit(&world);
}

TEST(all_logs_together_are_limited_and_the_biggest_pays)
{
    struct world world;
    world_init(&world);
    struct channel *small = world_channel(&world, "small", 1000);
    struct channel *big = world_channel(&world, "big", 1000);
    world.hub.limits.total_bytes = 20000;
    publish_many(&world, small, 5);
    publish_many(&world, big, 500);
    assert_int_equal(log_length(&small->log), 5);
    assert_true(world.hub.bytes <= 20000);
    assert_true(world.hub.counters.evicted_total > 0);
    publish_many(&world, small, 1);
    assert_int_equal(log_length(&small->log), 6);
    check(&world);
    world_deinit(&world);
}

TEST(a_channel_that_nobody_uses_goes_with_its_last_event)
{
    struct world world;
    struct channel *unused;
    struct channel_options options = with_history(10);
    world_init(&world);
    struct channel *big = world_channel(&world, "big", 10);
    hub_open(&world.hub, slice_text("unused"), &options, &unused);
    world_publish(&world, unused, NULL, "some text that makes it the bigger one");
    world.hub.limits.total_bytes = world.hub.bytes;
    world_publish(&world, big, NULL, "x");
    assert_null(hub_find(&world.hub, slice_text("unused")));
    assert_int_equal(log_length(&big->log), 1);
    check(&world);
    world_deinit(&world);
}

TEST(an_event_that_exceeds_all_limits_leaves_the_rest)
{
    struct world world;
    world_init(&world);
    struct channel *a = world_channel(&world, "a", 10), *b = world_channel(&world, "b", 10);
    publish_many(&world, a, 3);
    world.hub.limits.total_bytes = a->log.bytes + 50;
    world_publish(&world, b, NULL, "x");
    assert_true(world.hub.bytes <= world.hub.limits.total_bytes);
    check(&world);
    world_deinit(&world);
}

TEST(old_events_expire_in_their_order)
{
    struct world world;
    world_init(&world);
    struct channel *a =
        open_with(&world, "a", (struct channel_options){.history = 10, .max_age = 1000});
    struct channel *b =
        open_with(&world, "b", (struct channel_options){.history = 10, .max_age = 300});
    assert_int_equal(hub_expire(&world.hub, world.now), -1);
    int64_t start = world.now;
    world_publish(&world, a, NULL, "x");
    world.now = start + 100;
    world_publish(&world, a, NULL, "x");
    world_publish(&world, b, NULL, "x");
    assert_int_equal(hub_expire(&world.hub, start + 100), 300);
    assert_int_equal(hub_expire(&world.hub, start + 400), 600);
    assert_int_equal(log_length(&b->log), 0);
    assert_int_equal(hub_expire(&world.hub, start + 1099), 1);
    assert_int_equal(log_length(&a->log), 1);
    assert_int_equal(hub_expire(&world.hub, start + 5000), -1);
    assert_int_equal(log_length(&a->log), 0);
    assert_int_equal(world.hub.counters.evicted_age, 3);
    check(&world);
    world_deinit(&world);
}

TEST(other_options_evict_what_they_exclude)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 10);
    publish_many(&world, channel, 10);
    hub_configure(&world.hub, channel, &(struct channel_options){.history = 4, .on_lag = LAG_SKIP},
                  world.now);
    assert_int_equal(log_length(&channel->log), 4);
    check(&world);
    hub_configure(&world.hub, channel, &(struct channel_options){.history = 4, .max_age = 50},
                  world.now + 100);
    assert_int_equal(log_length(&channel->log), 0);
    check(&world);
    world_deinit(&world);
}

/* Keys */

static struct channel *keyed_channel(struct world *world, uint32_t history)
{
    return open_with(world, "keyed", (struct channel_options){.history = history, .keyed = true});
}

TEST(a_key_keeps_its_latest_event)
{
    struct world world;
    world_init(&world);
    struct channel *channel = keyed_channel(&world, 2);
    for (int i = 0; i < 10; i++) {
        world_publish_key(&world, channel, "a", "1");
        world_publish_key(&world, channel, "b", "2");
        world_publish_key(&world, channel, "c", "3");
    }
    assert_int_equal(log_length(&channel->log), 3);
    assert_int_equal(channel->log.evicted, 0);
    assert_int_equal(world.hub.counters.superseded, 27);
    assert_int_equal(channel_find_key(channel, slice_text("b"))->sequence, 29);
    check(&world);
    world_deinit(&world);
}

TEST(a_tombstone_takes_the_place_of_its_key)
{
    struct world world;
    world_init(&world);
    struct channel *channel = keyed_channel(&world, 2);
    world_publish_key(&world, channel, "a", "1");
    world_publish_key(&world, channel, "a", NULL);
    assert_int_equal(log_length(&channel->log), 1);
    assert_int_equal(channel->tombstones, 1);
    world_publish_key(&world, channel, "a", NULL);
    assert_int_equal(log_length(&channel->log), 1);
    world_publish_key(&world, channel, "a", "2");
    assert_int_equal(log_length(&channel->log), 1);
    assert_int_equal(channel->tombstones, 0);
    check(&world);
    world_deinit(&world);
}

/* Keys that come and go for ever must not fill the memory; who misses a deletion learns that it
 * missed something. */
TEST(tombstones_are_kept_like_history)
{
    struct world world;
    char key[8];
    world_init(&world);
    struct channel *channel = keyed_channel(&world, 3);
    world_publish_key(&world, channel, "stays", "1");
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "k%d", i);
        world_publish_key(&world, channel, key, "1");
        world_publish_key(&world, channel, key, NULL);
    }
    assert_int_equal(log_length(&channel->log), 4);
    assert_int_equal(channel->tombstones, 3);
    assert_int_equal(world.hub.counters.tombstones, 17);
    assert_int_equal(channel->log.evicted, 1 + 17 * 2);
    assert_non_null(channel_find_key(channel, slice_text("stays")));
    check(&world);
    world_deinit(&world);
}

TEST(keys_mean_nothing_without_a_keyed_channel)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 2);
    for (int i = 0; i < 10; i++)
        world_publish_key(&world, channel, "k", i % 3 == 0 ? "1" : NULL);
    assert_int_equal(log_length(&channel->log), 2);
    check(&world);
    world_deinit(&world);
}

TEST(a_channel_may_become_keyed_and_plain_again)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 4);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 10; i++)
            world_publish_key(&world, channel, i % 2 == 0 ? "a" : "b", i % 3 == 0 ? NULL : "1");
        check(&world);
        struct channel_options options = {.history = 4, .keyed = round % 2 == 0};
        hub_configure(&world.hub, channel, &options, world.now);
        check(&world);
    }
    world_deinit(&world);
}

RUN_TESTS(cmocka_unit_test(a_channel_keeps_its_last_events),
          cmocka_unit_test(a_channel_keeps_no_more_bytes_than_it_may),
          cmocka_unit_test(all_logs_together_are_limited_and_the_biggest_pays),
          cmocka_unit_test(a_channel_that_nobody_uses_goes_with_its_last_event),
          cmocka_unit_test(an_event_that_exceeds_all_limits_leaves_the_rest),
          cmocka_unit_test(old_events_expire_in_their_order),
          cmocka_unit_test(other_options_evict_what_they_exclude),
          cmocka_unit_test(a_key_keeps_its_latest_event),
          cmocka_unit_test(a_tombstone_takes_the_place_of_its_key),
          cmocka_unit_test(tombstones_are_kept_like_history),
          cmocka_unit_test(keys_mean_nothing_without_a_keyed_channel),
          cmocka_unit_test(a_channel_may_become_keyed_and_plain_again))
