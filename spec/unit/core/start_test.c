/* Where streams start: start_parse and subscription_resolve. */
#include "support/unit.h"

#include <stdio.h>

#include "models/start.h"
#include "models/world.h"
#include "support/random.h"

/* The grammar */

static struct start parsed(const char *text)
{
    struct start start;
    assert_true(start_parse(slice_text(text), 1000000000, &start));
    return start;
}

TEST(starts_have_names)
{
    assert_int_equal(parsed("latest").kind, START_LATEST);
    assert_int_equal(parsed("earliest").kind, START_EARLIEST);
    assert_int_equal(parsed("last=20").kind, START_LAST);
    assert_int_equal(parsed("last=20").number, 20);
    assert_int_equal(parsed("last=0").number, 0);
    assert_int_equal(parsed("last=007").number, 7);
}

TEST(durations_have_units)
{
    static const struct {
        const char *text;
        int64_t before;
    } cases[] = {{"since=500ms", 500},  {"since=90", 90000},
                 {"since=90s", 90000},  {"since=10m", 600000},
                 {"since=1h", 3600000}, {"since=7d", 604800000},
                 {"since=0", 0},        {"since=999999999ms", 999999999}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct start start = parsed(cases[i].text);
        assert_int_equal(start.kind, START_SINCE);
        assert_int_equal(start.number, 1000000000 - cases[i].before);
    }
}

TEST(all_else_is_an_id)
{
    static const char *const texts[] = {"",      "epoch-17", "LATEST", "latest ", "last",
                                        "since", "42",       "last 5", "a=b"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct start start = parsed(texts[i]);
        assert_int_equal(start.kind, START_ID);
        assert_text(start.id, texts[i]);
    }
}

TEST(malformed_numbers_and_durations_are_told)
{
    static const char *const texts[] = {"last=",    "last=x",
                                        "last=-1",  "last=1.5",
                                        "last= 1",  "last=99999999999999999999",
                                        "since=",   "since=m",
                                        "since=-1", "since=1.5h",
                                        "since=1w", "since=1 h",
                                        "since=1M", "since=1mss",
                                        "since=+1", "since=1000000000d"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct start start;
        if (start_parse(slice_text(texts[i]), 0, &start))
            fail_msg("%s", texts[i]);
        assert_int_equal(start.kind, START_ID);
        assert_text(start.id, texts[i]);
    }
}

TEST(random_starts)
{
    static const char *const parts[] = {"last=", "since=", "latest", "earliest", "1",  "9999999",
                                        "m",     "s",      "d",      "-",        "ms", "0"};
    struct random random = random_start(14);
    for (unsigned i = 0; i < random_rounds(5000); i++) {
        char text[64] = "";
        for (uint32_t count = random_below(&random, 5); count > 0; count--)
            strcat(text, parts[random_below(&random, 12)]);
        expect_start_holds(slice_text(text));
    }
}

/* The cursor */

static struct start_result resolve(struct world *world, struct subscription *subscription,
                                   const char *text)
{
    struct start start;
    struct start_result result;
    start_parse(slice_text(text), world->now, &start);
    subscription_resolve(&world->hub, subscription, &start, &result);
    return result;
}

static void assert_start(struct world *world, struct subscription *subscription, const char *text,
                         uint64_t cursor)
{
    struct start_result result = resolve(world, subscription, text);
    if (result.cursor != cursor || result.reset != RESET_NONE)
        fail_msg("%s: %d, %s", text, (int)result.cursor, reset_reason_name(result.reset));
    assert_int_equal(result.latest, world->hub.appended);
}

static void assert_reset(struct world *world, struct subscription *subscription, const char *text,
                         enum reset_reason reason)
{
    struct start_result result = resolve(world, subscription, text);
    if (result.reset != reason)
        fail_msg("%s: %s", text, reset_reason_name(result.reset));
    assert_int_equal(result.cursor, 0);
}

/* Channel a has 1, 3, 5, 7, 9, of which it keeps the last three; b has 2, 4, 6, 8, 10. */
static struct subscription *two_channels(struct world *world, int reference)
{
    world_init(world);
    struct channel *a = world_channel(world, "a", 3), *b = world_channel(world, "b", 10);
    for (int i = 1; i <= 10; i++) {
        char data[4];
        snprintf(data, sizeof data, "%d", i);
        world->now += 1000;
        world_publish(world, i % 2 == 1 ? a : b, i == 6 ? "six" : NULL, data);
    }
    return world_subscribe(world, a, b, reference);
}

TEST(latest_and_earliest)
{
    struct world world;
    struct subscription *subscription = two_channels(&world, 0);
    assert_start(&world, subscription, "latest", 10);
    assert_start(&world, subscription, "earliest", 0);
    assert_int_equal(resolve(&world, subscription, "latest").oldest, 2);
    world_deinit(&world);
}

TEST(the_last_events_of_all_channels_together)
{
    struct world world;
    struct subscription *subscription = two_channels(&world, 0);
    assert_start(&world, subscription, "last=0", 10);
    assert_start(&world, subscription, "last=1", 9);
    assert_start(&world, subscription, "last=4", 6);
    assert_start(&world, subscription, "last=7", 3);
    assert_start(&world, subscription, "last=8", 1);
    assert_start(&world, subscription, "last=100", 1);
    assert_int_equal(resolve(&world, subscription, "last=10").wanted, 2);
    world_deinit(&world);
}

TEST(the_last_events_that_the_filter_lets_through)
{
    struct world world;
    struct subscription *subscription = two_channels(&world, 3);
    assert_start(&world, subscription, "last=1", 8);
    assert_start(&world, subscription, "last=2", 5);
    assert_start(&world, subscription, "last=9", 5);
    world_deinit(&world);
}

TEST(the_last_events_of_a_name)
{
    struct world world;
    two_channels(&world, 0);
    struct channel *b = hub_find(&world.hub, slice_text("b"));
    struct slice name = slice_text("six"), plain = slice_text("message");
    struct subscription *six = hub_subscribe(
        &world.hub, &(struct subscription_source){
                        .channels = &b, .channel_count = 1, .names = &name, .name_count = 1});
    assert_start(&world, six, "last=1", 5);
    assert_start(&world, six, "last=2", 5);
    struct subscription *unnamed = hub_subscribe(
        &world.hub, &(struct subscription_source){
                        .channels = &b, .channel_count = 1, .names = &plain, .name_count = 1});
    assert_start(&world, unnamed, "last=3", 3);
    world_deinit(&world);
}

TEST(events_since_some_time)
{
    struct world world;
    struct subscription *subscription = two_channels(&world, 0);
    assert_start(&world, subscription, "since=0", 9);
    assert_start(&world, subscription, "since=2500ms", 7);
    assert_start(&world, subscription, "since=3", 6);
    assert_start(&world, subscription, "since=1d", 1);
    world.now += 5000;
    assert_start(&world, subscription, "since=1s", 10);
    world_deinit(&world);
}

TEST(after_an_id_of_ours)
{
    struct world world;
    struct subscription *subscription = two_channels(&world, 0);
    assert_start(&world, subscription, "epoch-10", 10);
    assert_start(&world, subscription, "epoch-6", 6);
    assert_start(&world, subscription, "epoch-3", 3);
    assert_reset(&world, subscription, "epoch-2", RESET_EVICTED);
    assert_reset(&world, subscription, "epoch-0", RESET_EVICTED);
    assert_reset(&world, subscription, "epoch-11", RESET_UNKNOWN);
    assert_reset(&world, subscription, "epoch-999999999999", RESET_UNKNOWN);
    world_deinit(&world);
}

TEST(after_an_id_that_is_not_ours)
{
    struct world world;
    struct subscription *subscription = two_channels(&world, 0);
    assert_reset(&world, subscription, "older-5", RESET_EPOCH);
    assert_reset(&world, subscription, "epoc-5", RESET_EPOCH);
    assert_reset(&world, subscription, "epochs-5", RESET_EPOCH);
    assert_reset(&world, subscription, "epoch", RESET_UNKNOWN);
    assert_reset(&world, subscription, "epoch-", RESET_UNKNOWN);
    assert_reset(&world, subscription, "epoch-5x", RESET_UNKNOWN);
    assert_reset(&world, subscription, "-5", RESET_UNKNOWN);
    assert_reset(&world, subscription, "epoch-99999999999999999999999", RESET_UNKNOWN);
    assert_reset(&world, subscription, "", RESET_UNKNOWN);
    assert_reset(&world, subscription, "last=x", RESET_UNKNOWN);
    world_deinit(&world);
}

static void publish_id(struct world *world, struct channel *channel, const char *id)
{
    struct frame_source source = {
        .id = slice_text(id), .data = slice_text("x"), .retry = -1, .time = world->now};
    assert_int_equal(world_publish_source(world, channel, &source), 0);
}

TEST(after_an_id_of_the_scripts_own)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 3);
    struct subscription *subscription = world_subscribe(&world, channel, NULL, 0);
    static const char *const ids[] = {"41", "order-42", "43", "43"};
    for (int i = 0; i < 4; i++)
        publish_id(&world, channel, ids[i]);
    assert_start(&world, subscription, "order-42", 2);
    assert_start(&world, subscription, "43", 4);
    assert_reset(&world, subscription, "41", RESET_UNKNOWN);
    assert_reset(&world, subscription, "order-41", RESET_EPOCH);
    publish_id(&world, channel, "44");
    publish_id(&world, channel, "45");
    assert_reset(&world, subscription, "order-42", RESET_EPOCH);
    assert_start(&world, subscription, "44", 5);
    world_deinit(&world);
}

/* What nobody was promised is no loss. */
TEST(a_channel_without_history_starts_at_its_end)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 0);
    struct subscription *subscription = world_subscribe(&world, channel, NULL, 0);
    for (int i = 0; i < 5; i++)
        world_publish(&world, channel, NULL, "x");
    static const char *const texts[] = {"latest", "earliest", "last=3", "since=1h", "x", "old-3"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_start(&world, subscription, texts[i], 5);
    struct channel *kept = world_channel(&world, "kept", 5);
    struct subscription *both = world_subscribe(&world, channel, kept, 0);
    world_publish(&world, kept, NULL, "x");
    assert_start(&world, both, "last=3", 5);
    assert_start(&world, both, "epoch-2", 2);
    world_deinit(&world);
}

TEST(a_channel_that_comes_back_knows_what_it_lost)
{
    struct world world;
    struct channel *channel;
    struct channel_options options = {.history = 5, .max_age = 100};
    world_init(&world);
    hub_open(&world.hub, slice_text("a"), &options, &channel);
    for (int i = 0; i < 3; i++)
        world_publish(&world, channel, NULL, "x");
    hub_expire(&world.hub, world.now + 100);
    assert_null(hub_find(&world.hub, slice_text("a")));
    hub_open(&world.hub, slice_text("a"), &options, &channel);
    struct subscription *subscription = world_subscribe(&world, channel, NULL, 0);
    assert_reset(&world, subscription, "epoch-2", RESET_EVICTED);
    assert_start(&world, subscription, "epoch-3", 3);
    world_deinit(&world);
}

TEST(a_superseded_event_is_no_loss)
{
    struct world world;
    struct channel *channel;
    struct channel_options options = {.history = 2, .keyed = true};
    world_init(&world);
    hub_open(&world.hub, slice_text("keyed"), &options, &channel);
    struct subscription *subscription = world_subscribe(&world, channel, NULL, 0);
    for (int i = 0; i < 9; i++)
        world_publish_key(&world, channel, "k", "1");
    assert_start(&world, subscription, "epoch-3", 3);
    for (int i = 0; i < 3; i++)
        world_publish_key(&world, channel, i == 0 ? "a" : i == 1 ? "b" : "c", NULL);
    assert_reset(&world, subscription, "epoch-3", RESET_EVICTED);
    assert_start(&world, subscription, "epoch-10", 10);
    world_deinit(&world);
}

TEST(an_empty_log)
{
    struct world world;
    world_init(&world);
    struct channel *channel = world_channel(&world, "a", 3);
    struct subscription *subscription = world_subscribe(&world, channel, NULL, 2);
    static const char *const texts[] = {"latest", "earliest", "last=3", "since=1h", "epoch-0"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_start(&world, subscription, texts[i], 0);
    assert_reset(&world, subscription, "epoch-1", RESET_UNKNOWN);
    assert_int_equal(resolve(&world, subscription, "latest").oldest, 0);
    world_deinit(&world);
}

TEST(reasons_have_names)
{
    assert_string_equal(reset_reason_name(RESET_NONE), "");
    assert_string_equal(reset_reason_name(RESET_EVICTED), "evicted");
    assert_string_equal(reset_reason_name(RESET_UNKNOWN), "unknown");
    assert_string_equal(reset_reason_name(RESET_EPOCH), "epoch");
    assert_string_equal(reset_reason_name(RESET_LAGGED), "lagged");
}

RUN_TESTS(cmocka_unit_test(starts_have_names), cmocka_unit_test(durations_have_units),
          cmocka_unit_test(all_else_is_an_id),
          cmocka_unit_test(malformed_numbers_and_durations_are_told),
          cmocka_unit_test(random_starts), cmocka_unit_test(latest_and_earliest),
          cmocka_unit_test(the_last_events_of_all_channels_together),
          cmocka_unit_test(the_last_events_that_the_filter_lets_through),
          cmocka_unit_test(the_last_events_of_a_name), cmocka_unit_test(events_since_some_time),
          cmocka_unit_test(after_an_id_of_ours), cmocka_unit_test(after_an_id_that_is_not_ours),
          cmocka_unit_test(after_an_id_of_the_scripts_own),
          cmocka_unit_test(a_channel_without_history_starts_at_its_end),
          cmocka_unit_test(a_channel_that_comes_back_knows_what_it_lost),
          cmocka_unit_test(a_superseded_event_is_no_loss), cmocka_unit_test(an_empty_log),
          cmocka_unit_test(reasons_have_names))
