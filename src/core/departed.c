#include "core/departed.h"

#include <stdlib.h>

#include "base/memory.h"

enum { CAPACITY = 65536 };

struct departure {
    uint64_t evicted;
    char name[];
};

void departed_init(struct departed *departed)
{
    map_init(&departed->by_name);
}

/* Forgets all, and gives the highest sequence of theirs. */
static uint64_t forget_all(struct departed *departed)
{
    uint64_t highest = 0;
    size_t position = 0;
    void *value;
    while (map_next(&departed->by_name, &position, &value)) {
        struct departure *departure = value;
        highest = departure->evicted > highest ? departure->evicted : highest;
        free(departure);
    }
    map_deinit(&departed->by_name);
    return highest;
}

void departed_deinit(struct departed *departed)
{
    forget_all(departed);
}

uint64_t departed_note(struct departed *departed, struct slice name, uint64_t evicted)
{
    uint64_t highest = departed->by_name.count == CAPACITY ? forget_all(departed) : 0;
    struct departure *departure = memory_new(sizeof *departure + name.length);
    departure->evicted = evicted;
    memcpy(departure->name, name.data, name.length);
    map_put(&departed->by_name, slice_of(departure->name, name.length), departure);
    return highest;
}

uint64_t departed_take(struct departed *departed, struct slice name)
{
    struct departure *departure = map_remove(&departed->by_name, name);
    uint64_t evicted = departure == NULL ? 0 : departure->evicted;
    free(departure);
    return evicted;
}
