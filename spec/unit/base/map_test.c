#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "support/random.h"

/* A key with storage of its own; its address is its value in the map. */
struct key {
    char text[16];
    bool present;
};

static struct slice slice_of_key(const struct key *key)
{
    return slice_text(key->text);
}

static void put(struct map *map, struct key *key)
{
    map_put(map, slice_of_key(key), key);
    key->present = true;
}

static void take(struct map *map, struct key *key)
{
    void *expected = key->present ? key : NULL;
    assert_ptr_equal(map_remove(map, slice_of_key(key)), expected);
    key->present = false;
}

/* Every key is found or missing as it should be, and a walk meets each present one once. */
static void check(const struct map *map, const struct key *keys, size_t count)
{
    size_t present = 0, position = 0, walked = 0;
    void *value;
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(map_get(map, slice_of_key(&keys[i])), keys[i].present ? &keys[i] : NULL);
        present += keys[i].present;
    }
    assert_int_equal(map->count, present);
    while (map_next(map, &position, &value)) {
        assert_true(((struct key *)value)->present);
        walked++;
    }
    assert_int_equal(walked, present);
}

TEST(an_empty_map_has_nothing)
{
    struct map map;
    size_t position = 0;
    void *value;
    map_init(&map);
    assert_null(map_get(&map, slice_text("a")));
    assert_null(map_remove(&map, slice_text("a")));
    assert_false(map_next(&map, &position, &value));
    map_deinit(&map);
}

TEST(keys_are_bytes)
{
    struct map map = {0};
    int a, b, c;
    map_put(&map, slice_of("a\0b", 3), &a);
    map_put(&map, slice_of("a\0c", 3), &b);
    map_put(&map, slice_of(NULL, 0), &c);
    assert_ptr_equal(map_get(&map, slice_of("a\0b", 3)), &a);
    assert_ptr_equal(map_get(&map, slice_of("a\0c", 3)), &b);
    assert_ptr_equal(map_get(&map, slice_of("", 0)), &c);
    assert_null(map_get(&map, slice_of("a", 1)));
    assert_null(map_get(&map, slice_of("a\0", 2)));
    map_deinit(&map);
}

TEST(the_hash_takes_every_byte)
{
    char text[40];
    memset(text, 'a', sizeof text);
    for (size_t length = 1; length <= sizeof text; length++) {
        uint64_t plain = map_hash(text, length);
        assert_true(plain == map_hash(text, length));
        assert_true(plain != map_hash(text, length - 1));
        for (size_t i = 0; i < length; i++) {
            text[i] ^= 1;
            assert_true(plain != map_hash(text, length));
            text[i] ^= 1;
        }
    }
}

/* Keys whose home is one of the last slots of a map of 64: they make one run that wraps around. */
static size_t colliding_keys(struct key *keys, size_t count)
{
    size_t found = 0;
    for (unsigned i = 0; found < count; i++) {
        struct key *key = &keys[found];
        snprintf(key->text, sizeof key->text, "k%u", i);
        key->present = false;
        if ((map_hash(key->text, strlen(key->text)) & 63) >= 60)
            found++;
    }
    return found;
}

TEST(removal_from_a_long_run_keeps_the_others)
{
    enum { COUNT = 40 };
    struct random random = random_start(2);
    struct key keys[COUNT];
    colliding_keys(keys, COUNT);
    for (unsigned round = 0; round < random_rounds(50); round++) {
        struct map map = {0};
        for (size_t i = 0; i < COUNT; i++)
            put(&map, &keys[i]);
        assert_int_equal(map.capacity, 64);
        for (size_t left = COUNT; left > 0; left--) {
            size_t nth = random_below(&random, (uint32_t)left), i = 0;
            for (;; i++) {
                if (keys[i].present && nth-- == 0)
                    break;
            }
            take(&map, &keys[i]);
            check(&map, keys, COUNT);
        }
        map_deinit(&map);
    }
}

TEST(random_changes_match_a_table)
{
    enum { COUNT = 400 };
    struct random random = random_start(3);
    struct key *keys = calloc(COUNT, sizeof *keys);
    struct map map = {0};
    for (size_t i = 0; i < COUNT; i++)
        snprintf(keys[i].text, sizeof keys[i].text, "%zu", i * 7919);
    for (unsigned round = 0; round < random_rounds(40); round++) {
        /* The share of insertions differs from round to round, so the map grows and shrinks. */
        uint32_t share = random_below(&random, 100);
        for (int step = 0; step < 200; step++) {
            struct key *key = &keys[random_below(&random, COUNT)];
            if (random_below(&random, 100) >= share)
                take(&map, key);
            else if (!key->present)
                put(&map, key);
        }
        check(&map, keys, COUNT);
    }
    map_deinit(&map);
    free(keys);
}

TEST(a_map_that_was_large_gives_its_memory_back)
{
    enum { COUNT = 5000 };
    struct key *keys = calloc(COUNT, sizeof *keys);
    struct map map = {0};
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(keys[i].text, sizeof keys[i].text, "%zu", i);
        put(&map, &keys[i]);
    }
    size_t full = map.capacity;
    for (size_t i = 10; i < COUNT; i++)
        take(&map, &keys[i]);
    assert_true(map.capacity < full / 16);
    check(&map, keys, COUNT);
    map_deinit(&map);
    free(keys);
}

RUN_TESTS(cmocka_unit_test(an_empty_map_has_nothing), cmocka_unit_test(keys_are_bytes),
          cmocka_unit_test(the_hash_takes_every_byte),
          cmocka_unit_test(removal_from_a_long_run_keeps_the_others),
          cmocka_unit_test(random_changes_match_a_table),
          cmocka_unit_test(a_map_that_was_large_gives_its_memory_back))
