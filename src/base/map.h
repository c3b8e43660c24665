#ifndef SSE_BASE_MAP_H
#define SSE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* A hash map from byte strings to pointers: open addressing with linear probing. The hash is seeded
 * at random for each process, so outsiders cannot choose names that collide. Keys are borrowed:
 * they must live as long as their entry (usually they are a member of the value). NULL is no value.
 */
struct map_slot {
    struct slice key;
    void *value;
    uint64_t hash;
};

struct map {
    struct map_slot *slots;
    size_t capacity; /* 0 or a power of two */
    size_t count;
};

void map_init(struct map *map);
void map_deinit(struct map *map);
void *map_get(const struct map *map, struct slice key);
/* The key must not be in the map yet. */
void map_put(struct map *map, struct slice key, void *value);
/* Returns the value that was removed, or NULL. */
void *map_remove(struct map *map, struct slice key);
/* Walks the entries: start with *position = 0; false at the end. The map must not change meanwhile.
 */
bool map_next(const struct map *map, size_t *position, void **value);

/* The seeded hash of some bytes. */
uint64_t map_hash(const void *data, size_t length);

#endif
