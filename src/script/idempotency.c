#include "script/idempotency.h"

#include <stdlib.h>

#include "base/memory.h"
#include "store/store.h"

void idempotency_init(struct idempotency *table)
{
    *table = (struct idempotency){0};
    list_init(&table->entries);
}

void idempotency_remove(struct idempotency *table, struct idempotency_entry *entry)
{
    map_remove(&table->by_key, entry->key);
    list_remove(&entry->link);
    table->count--;
    free((char *)entry->key.data);
    free((char *)entry->id.data);
    free(entry);
}

static struct idempotency_entry *oldest(struct idempotency *table)
{
    return list_is_empty(&table->entries)
               ? NULL
               : CONTAINER_OF(table->entries.next, struct idempotency_entry, link);
}

void idempotency_deinit(struct idempotency *table)
{
    struct idempotency_entry *entry;
    while ((entry = oldest(table)) != NULL)
        idempotency_remove(table, entry);
    map_deinit(&table->by_key);
}

/* Entries that are on their way to the disk stay, whatever their age. */
static void forget_old(struct idempotency *table, int64_t now)
{
    struct idempotency_entry *entry;
    while ((entry = oldest(table)) != NULL && entry->pending == NULL &&
           (entry->time + STORE_ANSWER_AGE < now || table->count > IDEMPOTENCY_ENTRIES))
        idempotency_remove(table, entry);
}

struct idempotency_entry *idempotency_find(struct idempotency *table, struct slice key, int64_t now)
{
    forget_old(table, now);
    return map_get(&table->by_key, key);
}

struct idempotency_entry *idempotency_add(struct idempotency *table, struct slice key,
                                          struct slice id, int64_t now)
{
    struct idempotency_entry *entry = memory_zero(1, sizeof *entry);
    entry->key = slice_of(memory_copy(key.data, key.length), key.length);
    entry->id = slice_of(memory_copy(id.data, id.length), id.length);
    entry->time = now;
    map_put(&table->by_key, entry->key, entry);
    list_append(&table->entries, &entry->link);
    table->count++;
    forget_old(table, now);
    return entry;
}
