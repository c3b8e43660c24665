#ifndef SSE_SCRIPT_IDEMPOTENCY_H
#define SSE_SCRIPT_IDEMPOTENCY_H

#include "base/list.h"
#include "base/map.h"

/* What was answered to publications that bore an idempotency key, for a while: who repeats one gets
 * the first answer and publishes nothing. */

struct publication;

struct idempotency {
    struct map by_key;
    struct list entries; /* oldest first */
    uint32_t count;
};

struct idempotency_entry {
    struct list link;
    struct slice key; /* owned */
    struct slice id;  /* that the event was given; owned */
    int64_t time;     /* of the first publication, milliseconds */
    uint32_t subscribers;
    bool durable;
    struct publication *pending; /* while it is on its way into the log */
};

enum { IDEMPOTENCY_ENTRIES = 100000 };

void idempotency_init(struct idempotency *table);
void idempotency_deinit(struct idempotency *table);
/* The entry of that key, no older than STORE_ANSWER_AGE, or NULL. */
struct idempotency_entry *idempotency_find(struct idempotency *table, struct slice key,
                                           int64_t now);
/* A new entry; the oldest go when there are too many. The key must have none. Both are copied. */
struct idempotency_entry *idempotency_add(struct idempotency *table, struct slice key,
                                          struct slice id, int64_t now);
void idempotency_remove(struct idempotency *table, struct idempotency_entry *entry);

#endif
