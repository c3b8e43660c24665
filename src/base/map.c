#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/memory.h"

static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void seed_fill(void)
{
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = (uint64_t)time(NULL) * 0x9e3779b97f4a7c15u;
}

static inline uint64_t mix(uint64_t value)
{
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    return value ^ (value >> 32);
}

uint64_t map_hash(const void *data, size_t length)
{
    pthread_once(&seed_once, seed_fill);
    const unsigned char *bytes = data;
    uint64_t hash = seed ^ length;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = mix(hash ^ word) + seed;
        bytes += 8;
        length -= 8;
    }
    uint64_t tail = 0;
    for (size_t i = 0; i < length; i++)
        tail |= (uint64_t)bytes[i] << (8 * i);
    return mix(hash ^ tail);
}

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_deinit(struct map *map)
{
    free(map->slots);
    *map = (struct map){0};
}

/* The slot that holds the key, or the free one where it would go. Needs a free slot. */
static struct map_slot *map_find(const struct map *map, struct slice key, uint64_t hash)
{
    size_t index = hash & (map->capacity - 1);
    while (map->slots[index].value != NULL &&
           !(map->slots[index].hash == hash && slice_equal(map->slots[index].key, key)))
        index = (index + 1) & (map->capacity - 1);
    return &map->slots[index];
}

void *map_get(const struct map *map, struct slice key)
{
    if (map->count == 0)
        return NULL;
    return map_find(map, key, map_hash(key.data, key.length))->value;
}

static void map_resize(struct map *map, size_t capacity)
{
    struct map old = *map;
    map->slots = memory_zero(capacity, sizeof *map->slots);
    map->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].value != NULL)
            *map_find(map, old.slots[i].key, old.slots[i].hash) = old.slots[i];
    }
    free(old.slots);
}

void map_put(struct map *map, struct slice key, void *value)
{
    if (map->count * 4 >= map->capacity * 3)
        map_resize(map, map->capacity == 0 ? 8 : map->capacity * 2);
    uint64_t hash = map_hash(key.data, key.length);
    *map_find(map, key, hash) = (struct map_slot){key, value, hash};
    map->count++;
}

/* Fills the hole by moving later entries of the same run forward, so look-ups need no tombstones.
 */
static void map_close_gap(struct map *map, size_t hole)
{
    size_t mask = map->capacity - 1;
    for (size_t i = (hole + 1) & mask; map->slots[i].value != NULL; i = (i + 1) & mask) {
        size_t home = map->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct map_slot){0};
}

void *map_remove(struct map *map, struct slice key)
{
    if (map->count == 0)
        return NULL;
    struct map_slot *slot = map_find(map, key, map_hash(key.data, key.length));
    void *value = slot->value;
    if (value == NULL)
        return NULL;
    map_close_gap(map, (size_t)(slot - map->slots));
    map->count--;
    if (map->capacity > 64 && map->count * 8 < map->capacity)
        map_resize(map, map->capacity / 4);
    return value;
}

bool map_next(const struct map *map, size_t *position, void **value)
{
    while (*position < map->capacity) {
        struct map_slot *slot = &map->slots[(*position)++];
        if (slot->value != NULL) {
            *value = slot->value;
            return true;
        }
    }
    return false;
}
