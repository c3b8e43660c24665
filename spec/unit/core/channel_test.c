#include "support/unit.h"

#include "core/channel.h"

static struct channel *new_channel(bool keyed)
{
    struct channel_options options = {.history = 10, .keyed = keyed};
    return channel_new(slice_text("stock"), 3, &options);
}

static struct frame *append(struct channel *channel, uint64_t sequence, const char *key,
                            uint32_t flags)
{
    static const uint64_t verdicts[8];
    struct frame *frame = frame_new(&(struct frame_source){.data = slice_text("x"),
                                                           .key = slice_text(key),
                                                           .retry = -1,
                                                           .sequence = sequence,
                                                           .flags = flags});
    channel_append(channel, frame, verdicts);
    frame_unref(frame);
    return frame;
}

TEST(a_new_channel_is_empty)
{
    struct channel *channel = new_channel(false);
    assert_text(channel->name, "stock");
    assert_int_equal(channel->id, 3);
    assert_int_equal(log_length(&channel->log), 0);
    assert_null(channel_find_key(channel, slice_text("a")));
    assert_int_equal(channel_forget_key(channel, slice_text("a")), 0);
    assert_int_equal(channel_verdict_words(channel), 0);
    channel_free(channel);
}

TEST(the_newest_event_of_a_key_bears_it)
{
    struct channel *channel = new_channel(true);
    struct frame *first = append(channel, 1, "a", 0);
    assert_ptr_equal(channel_find_key(channel, slice_text("a")), first);
    assert_int_equal(channel_forget_key(channel, slice_text("a")), 1);
    assert_null(channel_find_key(channel, slice_text("a")));
    struct frame *second = append(channel, 2, "a", 0);
    assert_ptr_equal(channel_find_key(channel, slice_text("a")), second);
    assert_int_equal(log_length(&channel->log), 1);
    channel_free(channel);
}

TEST(eviction_takes_the_key_along)
{
    struct channel *channel = new_channel(true);
    append(channel, 1, "a", 0);
    append(channel, 2, "b", 0);
    append(channel, 3, "", 0);
    channel_forget_key(channel, slice_text("a"));
    assert_int_equal(channel_evict_oldest(channel), 2);
    assert_null(channel_find_key(channel, slice_text("b")));
    assert_int_equal(channel_evict_oldest(channel), 3);
    assert_int_equal(channel->keys.count, 0);
    channel_free(channel);
}

/* Keys mean nothing there, so the same one may come again and again. */
TEST(a_channel_that_is_not_keyed_has_no_keys)
{
    struct channel *channel = new_channel(false);
    for (uint64_t sequence = 1; sequence <= 5; sequence++)
        append(channel, sequence, "a", 0);
    assert_null(channel_find_key(channel, slice_text("a")));
    assert_int_equal(channel->keys.count, 0);
    assert_int_equal(log_length(&channel->log), 5);
    channel_free(channel);
}

TEST(the_oldest_tombstone_is_dropped)
{
    struct channel *channel = new_channel(true);
    append(channel, 1, "a", 0);
    append(channel, 2, "b", FRAME_TOMBSTONE);
    append(channel, 3, "c", FRAME_TOMBSTONE);
    assert_int_equal(channel->tombstones, 2);
    assert_int_equal(channel_forget_tombstone(channel), 2);
    assert_int_equal(channel->tombstones, 1);
    assert_null(channel_find_key(channel, slice_text("b")));
    assert_int_equal(channel->log.evicted, 2);
    assert_int_equal(log_length(&channel->log), 2);
    channel_forget_key(channel, slice_text("c"));
    assert_int_equal(channel->tombstones, 0);
    channel_free(channel);
}

/* Only those count that delete a key: the others are events like any other. */
TEST(a_tombstone_without_a_key_to_delete_is_not_counted)
{
    struct channel *channel = new_channel(false);
    append(channel, 1, "a", FRAME_TOMBSTONE);
    append(channel, 2, "a", FRAME_TOMBSTONE);
    assert_int_equal(channel->tombstones, 0);
    channel->options.keyed = true;
    append(channel, 3, "", FRAME_TOMBSTONE);
    append(channel, 4, "a", FRAME_TOMBSTONE);
    assert_int_equal(channel->tombstones, 1);
    assert_int_equal(channel_forget_tombstone(channel), 4);
    while (log_length(&channel->log) > 0)
        channel_evict_oldest(channel);
    assert_int_equal(channel->tombstones, 0);
    channel_free(channel);
}

TEST(groups_have_slots_that_are_used_again)
{
    struct channel *channel = new_channel(false);
    struct group groups[3] = {{.reference = 1}, {.reference = 2}, {.reference = 3}};
    assert_int_equal(channel_attach(channel, &groups[0], 5), 0);
    assert_int_equal(channel_attach(channel, &groups[1], 6), 1);
    assert_int_equal(channel_attach(channel, &groups[0], 7), 0);
    assert_int_equal(channel->groups[0].judged_from, 5);
    assert_int_equal(channel->groups[1].judged_from, 6);
    channel_detach(channel, 0);
    assert_ptr_equal(channel->groups[0].group, &groups[0]);
    channel_detach(channel, 0);
    assert_null(channel->groups[0].group);
    assert_int_equal(channel_attach(channel, &groups[2], 8), 0);
    assert_int_equal(channel->groups[0].judged_from, 8);
    channel_detach(channel, 1);
    assert_int_equal(channel->group_count, 1);
    channel_detach(channel, 0);
    assert_int_equal(channel->group_count, 0);
    channel_free(channel);
}

TEST(each_64_groups_need_a_word_of_verdicts)
{
    struct channel *channel = new_channel(false);
    struct group groups[130] = {{.reference = 0}};
    for (uint32_t i = 0; i < 130; i++) {
        assert_int_equal(channel_attach(channel, &groups[i], 0), i);
        assert_int_equal(channel_verdict_words(channel), i / 64 + 1);
    }
    for (uint32_t i = 0; i < 129; i++)
        channel_detach(channel, i);
    assert_int_equal(channel_verdict_words(channel), 3);
    channel_detach(channel, 129);
    assert_int_equal(channel_verdict_words(channel), 0);
    channel_free(channel);
}

RUN_TESTS(cmocka_unit_test(a_new_channel_is_empty),
          cmocka_unit_test(the_newest_event_of_a_key_bears_it),
          cmocka_unit_test(eviction_takes_the_key_along),
          cmocka_unit_test(a_channel_that_is_not_keyed_has_no_keys),
          cmocka_unit_test(the_oldest_tombstone_is_dropped),
          cmocka_unit_test(a_tombstone_without_a_key_to_delete_is_not_counted),
          cmocka_unit_test(groups_have_slots_that_are_used_again),
          cmocka_unit_test(each_64_groups_need_a_word_of_verdicts))
