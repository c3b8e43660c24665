#ifndef SSE_STORE_DATABASE_H
#define SSE_STORE_DATABASE_H

#include <sqlite3.h>

#include "store/store.h"

/* The SQLite side of a store: its schema and statements. A database is one connection, for one
 * thread at a time. */

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_APPEND,
    STATEMENT_SUPERSEDE,
    STATEMENT_CHANNEL,
    STATEMENT_SET,
    STATEMENT_TRIM_COUNT,
    STATEMENT_TRIM_AGE,
    STATEMENT_TRIM_TO,
    STATEMENT_BYTES,
    STATEMENT_EVICTED,
    STATEMENT_FIND_IDEMPOTENCY,
    STATEMENT_COUNT,
};

struct database {
    sqlite3 *sqlite;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

/* Opens the file; `writer` makes it and its schema when it is new. 0, or a code and a message. */
int database_open(struct database *database, const char *path, bool writer, char *message,
                  size_t size);
void database_close(struct database *database);

/* Runs a prepared statement that gives no rows, with integer arguments. 0 or an SQLite code. */
int database_run(struct database *database, enum statement statement, int count, ...);
/* The first column of the first row of a prepared statement with integer arguments; 0 for none. */
int64_t database_number(struct database *database, enum statement statement, int count, ...);

int database_append(struct database *database, uint32_t channel, const struct frame *frame,
                    struct slice idempotency, bool keyed);
int database_add_channel(struct database *database, uint32_t channel, struct slice name);
int database_set(struct database *database, const char *name, const char *text, int64_t number);
/* A fact of the table meta. Text is copied into `out` (may be NULL) of `size` bytes. */
int64_t database_get(struct database *database, const char *name, char *out, size_t size);

/* Events of the channels beyond a sequence, in order or backwards. */
int database_read(struct database *database, const uint32_t *channels, unsigned count,
                  uint64_t bound, bool backwards, int limit, store_event_fn each, void *context);
/* A number that `expression` (SQL over events) gives for the channels' events that satisfy
 * `condition`, in which ?1 is `number` or `text`. */
int64_t database_query(struct database *database, const uint32_t *channels, unsigned count,
                       const char *expression, const char *condition, int64_t number,
                       struct slice text);

#endif
