#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buffer.h"
#include "core/pattern.h"
#include "support/random.h"

TEST(patterns_have_a_segment_of_stars)
{
    static const char *const patterns[] = {"*", "**", "a.*", "*.a", "a.**.b", "a.*.b"};
    static const char *const names[] = {"", "a", "a.b", "a*", "a.b*", "***", "a..b", "."};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        assert_true(pattern_is_pattern(slice_text(patterns[i])));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_false(pattern_is_pattern(slice_text(names[i])));
    assert_false(pattern_is_pattern(slice_of(NULL, 0)));
}

static void count(void *context, void *value)
{
    (void)value;
    ++*(int *)context;
}

/* How often the tree calls for that name when it holds that pattern. */
static int tree_matches(const char *pattern, const char *name)
{
    struct pattern_tree tree;
    int calls = 0;
    pattern_tree_init(&tree);
    pattern_tree_add(&tree, slice_text(pattern), &calls);
    pattern_tree_match(&tree, slice_text(name), count, &calls);
    pattern_tree_deinit(&tree);
    return calls;
}

static void assert_matches(const char *pattern, const char *name, bool expected)
{
    if (pattern_matches(slice_text(pattern), slice_text(name)) != expected)
        fail_msg("%s %s", pattern, name);
    if (tree_matches(pattern, name) != expected)
        fail_msg("tree: %s %s: %d times", pattern, name, tree_matches(pattern, name));
}

TEST(segments_match_segments)
{
    assert_matches("a.b", "a.b", true);
    assert_matches("a.b", "a", false);
    assert_matches("a.b", "a.b.c", false);
    assert_matches("a.*", "a.b", true);
    assert_matches("a.*", "a", false);
    assert_matches("a.*", "a.b.c", false);
    assert_matches("*.b", "a.b", true);
    assert_matches("*", "a", true);
    assert_matches("*", "a.b", false);
    assert_matches("a*", "ab", false);
    assert_matches("a*", "a*", true);
    assert_matches("a.*", "a.", true);
    assert_matches("a.b", "a..b", false);
    assert_matches("a.*.b", "a..b", true);
}

TEST(a_double_star_stands_for_one_segment_or_more)
{
    assert_matches("a.**", "a", false);
    assert_matches("a.**", "a.b", true);
    assert_matches("a.**", "a.b.c.d", true);
    assert_matches("**", "a.b", true);
    assert_matches("**.b", "a.b", true);
    assert_matches("**.b", "b", false);
    assert_matches("**.b", "b.b.b", true);
    assert_matches("a.**.c", "a.c", false);
    assert_matches("a.**.c", "a.b.c", true);
    assert_matches("a.**.c", "a.c.c.c", true);
    assert_matches("a.**.c", "a.b.c.d", false);
}

TEST(several_double_stars_match_once)
{
    assert_matches("**.**", "a", false);
    assert_matches("**.**", "a.b", true);
    assert_matches("**.**", "a.b.c.d", true);
    assert_matches("**.a.**.a.**", "x.a.a.a.a.y", true);
    assert_matches("**.*.**", "a.b.c.d", true);
    assert_matches("**.*.**", "a.b", false);
}

TEST(names_that_look_like_patterns_are_names)
{
    assert_matches("a.*", "a.*", true);
    assert_matches("a.b", "a.*", false);
    assert_matches("**", "*", true);
}

TEST(the_routers_own_names_are_matched_by_no_star)
{
    assert_matches("**", "|a.b", false);
    assert_matches("*.b", "|a.b", false);
    assert_matches("|a.*", "|a.b", false);
    assert_matches("|a.b", "|a.b", true);
}

/* Names and patterns may come from clients: they must not take the script's thread long. */
TEST(no_pattern_takes_long)
{
    struct buffer pattern = {0}, name = {0};
    for (int i = 0; i < 60; i++) {
        buffer_append_text(&pattern, i % 2 == 0 ? "**." : "a.");
        buffer_append_text(&name, "a.");
    }
    for (int i = 0; i < 60; i++)
        buffer_append_text(&name, "a.");
    buffer_append_text(&pattern, "b");
    buffer_append_text(&name, "c");
    buffer_append_byte(&pattern, '\0');
    buffer_append_byte(&name, '\0');
    clock_t start = clock();
    assert_matches(pattern.data, name.data, false);
    assert_true(clock() - start < CLOCKS_PER_SEC);
    buffer_deinit(&pattern);
    buffer_deinit(&name);
}

/* A regular expression in slow motion: positions of the name that the pattern's start can reach. */
static bool slowly_matches(const char *pattern, const char *name)
{
    const char *wanted_end = strchr(pattern, '.');
    const char *segment_end = strchr(name, '.');
    size_t wanted = wanted_end == NULL ? strlen(pattern) : (size_t)(wanted_end - pattern);
    size_t segment = segment_end == NULL ? strlen(name) : (size_t)(segment_end - name);
    bool stars = wanted == 2 && memcmp(pattern, "**", 2) == 0;
    bool same = wanted == segment && memcmp(pattern, name, wanted) == 0;
    if (!stars && !same && !(wanted == 1 && *pattern == '*'))
        return false;
    if (wanted_end == NULL && segment_end == NULL)
        return true;
    if (stars && segment_end != NULL && slowly_matches(pattern, segment_end + 1))
        return true;
    return wanted_end != NULL && segment_end != NULL &&
           slowly_matches(wanted_end + 1, segment_end + 1);
}

static void random_name(struct random *random, char *out, const char *const *segments,
                        uint32_t choices)
{
    uint32_t count = 1 + random_below(random, 5);
    *out = '\0';
    for (uint32_t i = 0; i < count; i++) {
        strcat(out, i == 0 ? "" : ".");
        strcat(out, segments[random_below(random, choices)]);
    }
}

static const char *const segments[] = {"a", "b", "", "*", "**"};

TEST(random_patterns_match_as_slowly)
{
    struct random random = random_start(12);
    for (unsigned i = 0; i < random_rounds(30000); i++) {
        char pattern[32], name[32];
        random_name(&random, pattern, segments, 5);
        random_name(&random, name, segments, 3);
        assert_matches(pattern, name, slowly_matches(pattern, name));
    }
}

enum { PATTERNS = 40 };

struct entry {
    char pattern[32];
    bool added;
    int calls;
};

static void call_entry(void *context, void *value)
{
    (void)context;
    ((struct entry *)value)->calls++;
}

TEST(a_tree_of_many_patterns_calls_those_that_match)
{
    struct random random = random_start(13);
    struct pattern_tree tree;
    struct entry *entries = calloc(PATTERNS, sizeof *entries);
    pattern_tree_init(&tree);
    for (int i = 0; i < PATTERNS; i++)
        random_name(&random, entries[i].pattern, segments, 5);
    for (unsigned round = 0; round < random_rounds(3000); round++) {
        char name[32];
        struct entry *entry = &entries[random_below(&random, PATTERNS)];
        if (entry->added)
            pattern_tree_remove(&tree, slice_text(entry->pattern), entry);
        else
            pattern_tree_add(&tree, slice_text(entry->pattern), entry);
        entry->added = !entry->added;
        random_name(&random, name, segments, 3);
        pattern_tree_match(&tree, slice_text(name), call_entry, NULL);
        for (int i = 0; i < PATTERNS; i++) {
            bool expected = entries[i].added && slowly_matches(entries[i].pattern, name);
            assert_int_equal(entries[i].calls, expected);
            entries[i].calls = 0;
        }
    }
    pattern_tree_deinit(&tree);
    free(entries);
}

RUN_TESTS(cmocka_unit_test(patterns_have_a_segment_of_stars),
          cmocka_unit_test(segments_match_segments),
          cmocka_unit_test(a_double_star_stands_for_one_segment_or_more),
          cmocka_unit_test(several_double_stars_match_once),
          cmocka_unit_test(names_that_look_like_patterns_are_names),
          cmocka_unit_test(the_routers_own_names_are_matched_by_no_star),
          cmocka_unit_test(random_patterns_match_as_slowly),
          cmocka_unit_test(a_tree_of_many_patterns_calls_those_that_match),
          cmocka_unit_test(no_pattern_takes_long))
