#include "support/unit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "models/world.h"

static struct channel_options with_history(uint32_t history)
{
    return (struct channel_options){.history = history};
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

/* Channels */

TEST(a_channel_is_opened_once)
{
    struct world world;
    struct channel *first, *second;
    struct channel_options options = with_history(5), others = with_history(7);
    world_init(&world);
    assert_null(hub_find(&world.hub, slice_text("a")));
    assert_int_equal(hub_open(&world.hub, slice_text("a"), &options, &first), 0);
    assert_int_equal(hub_open(&world.hub, slice_text("a"), &others, &second), 0);
    assert_ptr_equal(first, second);
    assert_int_equal(first->options.history, 5);
    assert_ptr_equal(hub_find(&world.hub, slice_text("a")), first);
    check(&world);
    world_deinit(&world);
}

TEST(channels_are_limited_and_their_ids_used_again)
{
    struct world world;
    struct channel *channels[200], *another;
    struct channel_options options = with_history(5);
    char name[16];
    world_init(&world);
    world.hub.limits.channels = 200;
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "c%d", i);
        assert_int_equal(hub_open(&world.hub, slice_text(name), &options, &channels[i]), 0);
        assert_int_equal(channels[i]->id, i);
    }
    assert_int_equal(hub_open(&world.hub, slice_text("more"), &options, &another),
                     ERROR_CHANNEL_LIMIT);
    check(&world);
    hub_release(&world.hub, channels[70]);
    hub_release(&world.hub, channels[3]);
    assert_int_equal(hub_open(&world.hub, slice_text("more"), &options, &another), 0);
    assert_int_equal(another->id, 3);
    assert_int_equal(hub_open(&world.hub, slice_text("yet more"), &options, &another), 0);
    assert_int_equal(another->id, 70);
    check(&world);
    world_deinit(&world);
}

TEST(a_channel_stays_while_somebody_uses_it)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 5);
    hub_release(&world.hub, channel);
    assert_ptr_equal(hub_find(&world.hub, slice_text("a")), channel);
    struct subscription *subscription = world_subscribe(&world, channel, NULL, WORLD_ALL);
    channel->declared = false;
    hub_release(&world.hub, channel);
    assert_ptr_equal(hub_find(&world.hub, slice_text("a")), channel);
    world_publish(&world, channel, NULL, "x");
    hub_unsubscribe(&world.hub, subscription);
    assert_ptr_equal(hub_find(&world.hub, slice_text("a")), channel);
    channel->options.max_age = 1;
    hub_configure(&world.hub, channel, &(struct channel_options){.history = 5, .max_age = 1000},
                  world.now);
    assert_int_equal(hub_expire(&world.hub, world.now + 999), 1);
    assert_int_equal(hub_expire(&world.hub, world.now + 1000), -1);
    assert_null(hub_find(&world.hub, slice_text("a")));
    check(&world);
    world_deinit(&world);
}

TEST(closing_ends_streams_and_lets_the_events_age)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 5);
    struct subscription *subscription = world_subscribe(&world, channel, NULL, WORLD_ALL);
    world_publish(&world, channel, NULL, "x");
    hub_close(&world.hub, channel);
    assert_int_equal(world.ended, 1);
    check(&world);
    hub_unsubscribe(&world.hub, subscription);
    assert_int_equal(hub_expire(&world.hub, world.now + HUB_CLOSED_AGE - 1), 1);
    assert_non_null(hub_find(&world.hub, slice_text("a")));
    hub_expire(&world.hub, world.now + HUB_CLOSED_AGE);
    assert_null(hub_find(&world.hub, slice_text("a")));
    channel = world_channel(&world, "empty", 5);
    hub_close(&world.hub, channel);
    assert_null(hub_find(&world.hub, slice_text("empty")));
    check(&world);
    world_deinit(&world);
}

/* Publishing */

static int publish_source(struct world *world, struct channel *channel, const char *id,
                          const char *name, const char *data)
{
    struct frame_source source = {.id = slice_of(id, id == NULL ? 0 : strlen(id)),
                                  .name = slice_text(name),
                                  .data = slice_text(data),
                                  .retry = -1};
    return world_publish_source(world, channel, &source);
}

static struct slice last_id(const struct channel *channel)
{
    const struct frame *frame = log_at(&channel->log, channel->log.count - 1)->frame;
    return frame_part(frame, frame->id);
}

TEST(events_get_one_sequence_over_all_channels)
{
    struct world world;
    world_init(&world);
    struct channel *a = world_channel(&world, "a", 5), *b = world_channel(&world, "b", 5);
    assert_int_equal(world_publish(&world, a, NULL, "x"), 1);
    assert_int_equal(world_publish(&world, b, NULL, "x"), 2);
    assert_int_equal(world_publish(&world, a, NULL, "x"), 3);
    assert_text(last_id(a), "epoch-3");
    assert_text(last_id(b), "epoch-2");
    assert_int_equal(world.hub.appended, 3);
    assert_int_equal(a->published, 2);
    assert_int_equal(world.hub.counters.published, 3);
    check(&world);
    world_deinit(&world);
}

TEST(an_own_id_stays)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 5);
    assert_int_equal(publish_source(&world, channel, "order/42", "", "x"), 0);
    assert_text(last_id(channel), "order/42");
    assert_true(log_at(&channel->log, 0)->frame->flags & FRAME_OWN_ID);
    world_publish(&world, channel, NULL, "x");
    assert_text(last_id(channel), "epoch-2");
    world_deinit(&world);
}

TEST(a_channel_without_history_sends_no_ids)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 0);
    world_publish(&world, channel, NULL, "x");
    assert_int_equal(last_id(channel).length, 0);
    publish_many(&world, channel, HUB_BACKLOG + 10);
    assert_int_equal(log_length(&channel->log), HUB_BACKLOG);
    check(&world);
    world_deinit(&world);
}

TEST(bad_events_are_refused_and_take_no_sequence)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 5);
    char *large = malloc(world.hub.limits.event_bytes + 2);
    memset(large, 'x', world.hub.limits.event_bytes + 1);
    large[world.hub.limits.event_bytes + 1] = '\0';
    assert_int_equal(publish_source(&world, channel, NULL, "", large), ERROR_EVENT_TOO_LARGE);
    large[world.hub.limits.event_bytes] = '\0';
    assert_int_equal(publish_source(&world, channel, NULL, "", large), 0);
    free(large);
    assert_int_equal(publish_source(&world, channel, NULL, "a\nb", "x"), ERROR_LINE_BREAK);
    assert_int_equal(publish_source(&world, channel, "\r", "a", "x"), ERROR_LINE_BREAK);
    assert_int_equal(publish_source(&world, channel, NULL, "", "\xff"), ERROR_UTF8);
    assert_int_equal(publish_source(&world, channel, " a", "", "x"), ERROR_EVENT_ID);
    assert_int_equal(publish_source(&world, channel, "latest", "", "x"), ERROR_START_ID);
    assert_int_equal(world.hub.sequence, 1);
    assert_int_equal(world_publish(&world, channel, NULL, "x"), 2);
    check(&world);
    world_deinit(&world);
}

TEST(publishing_in_one_step_fills_in_the_source)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 5);
    struct frame *frame;
    struct frame_source source = {.data = slice_text("x"), .retry = -1};
    assert_int_equal(hub_publish(&world.hub, channel, &source, NULL, &frame), 0);
    assert_int_equal(source.sequence, 1);
    assert_text(frame_part(frame, frame->id), "epoch-1");
    assert_ptr_equal(log_at(&channel->log, 0)->frame, frame);
    frame_unref(frame);
    source = (struct frame_source){.data = slice_text("y"), .retry = -1};
    assert_int_equal(hub_publish(&world.hub, channel, &source, NULL, NULL), 0);
    check(&world);
    world_deinit(&world);
}

TEST(a_source_can_be_published_again)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 5);
    struct frame_source source = {.data = slice_text("x"), .retry = -1};
    for (int i = 0; i < 3; i++)
        assert_int_equal(world_publish_source(&world, channel, &source), 0);
    assert_text(last_id(channel), "epoch-3");
    assert_int_equal(source.flags, 0);
    world_deinit(&world);
}

TEST(the_life_of_a_log_continues)
{
    struct world world;
    world_init(&world);
    hub_continue(&world.hub, "older", 100);
    assert_text(frame_part(world.replica.epoch, world.replica.epoch->payload), "older");
    struct channel *channel = world_channel(&world, "a", 5);
    struct frame *frame = frame_new(&(struct frame_source){
        .id = slice_text("older-90"), .data = slice_text("x"), .retry = -1, .sequence = 90});
    hub_restore(&world.hub, channel, frame);
    frame_unref(frame);
    assert_int_equal(world_publish(&world, channel, NULL, "x"), 101);
    assert_text(last_id(channel), "older-101");
    assert_int_equal(oldest(channel), 90);
    expect_hub_is_sound(&world.hub);
    world_deinit(&world);
}

TEST(epochs_are_short_and_plain)
{
    char epoch[HUB_EPOCH_MAX + 1];
    hub_make_epoch(epoch);
    assert_in_range(strlen(epoch), 1, HUB_EPOCH_MAX);
    for (const char *byte = epoch; *byte != '\0'; byte++)
        assert_true(islower((unsigned char)*byte) || isdigit((unsigned char)*byte));
}

RUN_TESTS(cmocka_unit_test(a_channel_is_opened_once),
          cmocka_unit_test(channels_are_limited_and_their_ids_used_again),
          cmocka_unit_test(a_channel_stays_while_somebody_uses_it),
          cmocka_unit_test(closing_ends_streams_and_lets_the_events_age),
          cmocka_unit_test(events_get_one_sequence_over_all_channels),
          cmocka_unit_test(an_own_id_stays),
          cmocka_unit_test(a_channel_without_history_sends_no_ids),
          cmocka_unit_test(bad_events_are_refused_and_take_no_sequence),
          cmocka_unit_test(publishing_in_one_step_fills_in_the_source),
          cmocka_unit_test(a_source_can_be_published_again),
          cmocka_unit_test(the_life_of_a_log_continues),
          cmocka_unit_test(epochs_are_short_and_plain))
