#include "support/unit.h"

#include <stdlib.h>

#include "base/memory.h"
#include "core/change.h"

static unsigned references_of(struct frame *frame)
{
    return atomic_load(&frame->references);
}

TEST(a_copy_has_its_own_reference_to_a_frame)
{
    static const uint8_t kinds[] = {CHANGE_APPEND, CHANGE_EPOCH, CHANGE_CHANNEL_OPEN,
                                    CHANGE_VARIANT};
    for (size_t i = 0; i < sizeof kinds; i++) {
        struct frame *frame = frame_of_text(slice_text("x"), 1);
        struct change change = {.kind = kinds[i], .channel = 3, .sequence = 1, .frame = frame};
        struct change copy = change_copy(&change);
        assert_int_equal(references_of(frame), 2);
        assert_int_equal(copy.channel, 3);
        assert_ptr_equal(copy.frame, frame);
        change_deinit(&copy);
        assert_int_equal(references_of(frame), 1);
        change_deinit(&change);
    }
}

TEST(a_channel_without_a_name_for_resets_carries_nothing)
{
    struct change change = {.kind = CHANGE_CHANNEL_OPEN, .channel = 1};
    struct change copy = change_copy(&change);
    assert_null(copy.frame);
    change_deinit(&copy);
    change_deinit(&change);
}

TEST(verdicts_of_all_lengths_are_copied)
{
    uint64_t words[3] = {1, 2, 3};
    for (uint32_t count = 0; count <= 3; count++) {
        struct frame *frame = frame_of_text(slice_text("x"), 1);
        struct change change = {.kind = CHANGE_APPEND, .frame = frame, .words = count};
        if (count > 1)
            change.verdicts = words;
        else
            change.verdict = words[0];
        struct change copy = change_copy(&change);
        assert_int_equal(copy.words, count);
        if (count > 1)
            assert_ptr_not_equal(change_verdicts(&copy), words);
        assert_memory_equal(change_verdicts(&copy), words, count * sizeof words[0]);
        change_deinit(&copy);
        frame_unref(frame);
    }
}

/* `names` is NULL-terminated. */
static struct definition *new_definition(const char *const *names)
{
    struct definition *definition = memory_zero(1, sizeof *definition);
    atomic_init(&definition->references, 1);
    while (names[definition->name_count] != NULL)
        definition->name_count++;
    definition->names = memory_zero(definition->name_count + 1, sizeof *definition->names);
    for (uint32_t i = 0; i < definition->name_count; i++)
        definition->names[i] = slice_text(memory_copy(names[i], strlen(names[i])));
    return definition;
}

static bool wants(const struct definition *definition, const char *name)
{
    struct frame *frame = frame_new(&(struct frame_source){.name = slice_text(name)});
    bool result = definition_wants(definition, frame);
    frame_unref(frame);
    return result;
}

TEST(a_subscription_without_names_wants_all)
{
    struct definition *definition = new_definition((const char *const[]){NULL});
    assert_true(wants(definition, ""));
    assert_true(wants(definition, "fact"));
    definition_unref(definition);
}

TEST(names_let_through_what_they_name)
{
    struct definition *definition = new_definition((const char *const[]){"fact", "message", NULL});
    assert_true(wants(definition, "fact"));
    assert_true(wants(definition, "message"));
    assert_true(wants(definition, ""));
    assert_false(wants(definition, "facts"));
    assert_false(wants(definition, "fac"));
    definition_unref(definition);
    definition = new_definition((const char *const[]){"fact", NULL});
    assert_false(wants(definition, ""));
    assert_false(wants(definition, "message"));
    definition_unref(definition);
}

TEST(a_definition_lives_as_long_as_its_changes)
{
    struct definition *definition = new_definition((const char *const[]){"a", NULL});
    struct change change = {.kind = CHANGE_SUBSCRIPTION_OPEN, .definition = definition};
    struct change copy = change_copy(&change);
    change_deinit(&change);
    assert_true(wants(copy.definition, "a"));
    change_deinit(&copy);
}

RUN_TESTS(cmocka_unit_test(a_copy_has_its_own_reference_to_a_frame),
          cmocka_unit_test(a_channel_without_a_name_for_resets_carries_nothing),
          cmocka_unit_test(verdicts_of_all_lengths_are_copied),
          cmocka_unit_test(a_subscription_without_names_wants_all),
          cmocka_unit_test(names_let_through_what_they_name),
          cmocka_unit_test(a_definition_lives_as_long_as_its_changes))
