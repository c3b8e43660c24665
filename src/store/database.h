#ifndef SSE_STORE_DATABASE_H
#define SSE_STORE_DATABASE_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* One connection to the database, for one thread at a time: its schema and its statements. */

enum database_role { DATABASE_WRITER, DATABASE_READER };

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_SET,          /* name, text, number: a fact of the table meta */
    STATEMENT_ADD_CHANNEL,  /* channel, name */
    STATEMENT_LOAD_CHANNEL, /* channel -> evicted, count, bytes, tombstones */
    STATEMENT_SAVE_CHANNEL, /* channel, evicted, count, bytes, tombstones */
    STATEMENT_APPEND,       /* the event's columns */
    STATEMENT_REMEMBER,     /* key, time, id, subscribers: an answer */
    STATEMENT_FORGET,       /* time: answers before it */
    /* These give the bytes and flags of each event that they take. */
    STATEMENT_DROP_KEY,        /* channel, sequence, key: those before the sequence */
    STATEMENT_DROP_OLD,        /* channel, sequence: those up to it */
    STATEMENT_DROP_TOMBSTONES, /* channel, sequence: those up to it */
    /* Sequences. */
    STATEMENT_NTH,           /* channel, n: of the n-th oldest event, from 0 */
    STATEMENT_NTH_TOMBSTONE, /* channel, n */
    STATEMENT_SIZES,         /* channel -> sequence, bytes of each event, oldest first */
    STATEMENT_OLDEST,        /* channel -> sequence, time of the oldest event */
    STATEMENT_WRITER_EXPIRED,
    /* The reader's. */
    STATEMENT_EXPIRED,     /* channel, time: the newest event before that time */
    STATEMENT_SINCE,       /* channel, time: the oldest event since that time */
    STATEMENT_FIRST,       /* channel, sequence: the oldest event after it */
    STATEMENT_FIND_KEY,    /* channel, key: its event, when that is no tombstone */
    STATEMENT_FIND_ID,     /* id -> channel, sequence of each event, newest first */
    STATEMENT_FIND_ANSWER, /* key, time -> id, subscribers */
    STATEMENT_COUNT,
};

struct database {
    sqlite3 *sqlite;
    sqlite3_stmt *statements[STATEMENT_COUNT]; /* those of the role */
};

/* Opens the file; a writer makes it and its schema when it is new. 0, or a negative number and a
 * sentence in `message`. */
int database_open(struct database *database, const char *path, enum database_role role,
                  char *message, size_t size);
void database_close(struct database *database);

/* Binds the arguments that `types` names: 'i' an int64_t, 's' a struct slice, 'n' a struct slice
 * that is NULL when empty. Text is borrowed until the statement is reset. */
sqlite3_stmt *database_bind(struct database *database, enum statement statement, const char *types,
                            ...);
/* Runs a bound statement to its end, and resets it. 0 or an SQLite code. */
int database_finish(sqlite3_stmt *statement);
/* The same for one without arguments. */
int database_run(struct database *database, enum statement statement);
/* The first column of the first row of a bound statement, 0 for none; resets it. */
int64_t database_number(sqlite3_stmt *statement);

/* A fact of the table meta. Text is copied into `out` (may be NULL) of `size` bytes. */
int64_t database_get(struct database *database, const char *name, char *out, size_t size);

struct slice database_column(sqlite3_stmt *statement, int index);

#endif
