#include "store/database.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/frame.h"

enum {
    SCHEMA_VERSION = 1,
    APPLICATION = 0x73736572, /* "sser" */
    BUSY_TIMEOUT = 2000,      /* milliseconds; somebody else may look into the file */
    CHECKPOINT_PAGES = 4000,  /* of the log that is then carried over into the file */
};

_Static_assert(FRAME_TOMBSTONE == 2 && FRAME_OWN_ID == 4, "the schema knows these flags");

static const char *const schema =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, text TEXT, number INTEGER) WITHOUT ROWID;"
    "CREATE TABLE channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  evicted INTEGER NOT NULL DEFAULT 0, count INTEGER NOT NULL DEFAULT 0,"
    "  bytes INTEGER NOT NULL DEFAULT 0, tombstones INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE events (channel INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    "  time INTEGER NOT NULL, flags INTEGER NOT NULL, retry INTEGER NOT NULL, id TEXT, name TEXT,"
    "  key TEXT, meta TEXT, data TEXT NOT NULL, PRIMARY KEY (channel, sequence)) WITHOUT ROWID;"
    "CREATE INDEX events_by_time ON events (channel, time);"
    "CREATE INDEX events_by_key ON events (channel, key) WHERE key IS NOT NULL;"
    "CREATE INDEX events_by_id ON events (id) WHERE flags & 4;"
    "CREATE INDEX tombstones ON events (channel, sequence) WHERE flags & 2;"
    "CREATE TABLE answers (key TEXT PRIMARY KEY, time INTEGER NOT NULL, id TEXT NOT NULL,"
    "  subscribers INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX answers_by_time ON answers (time);";

#define DROP(condition)                                                                            \
    "DELETE FROM events WHERE channel = ?1 AND " condition                                         \
    " RETURNING length(CAST(data AS BLOB)), flags"
#define EXPIRED                                                                                    \
    "SELECT sequence FROM events WHERE channel = ?1 AND time < ?2"                                 \
    " ORDER BY time DESC, sequence DESC LIMIT 1"

static const char *const texts[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",
    [STATEMENT_SET] = "INSERT OR REPLACE INTO meta VALUES (?1, ?2, ?3)",
    [STATEMENT_ADD_CHANNEL] = "INSERT OR IGNORE INTO channels (id, name) VALUES (?1, ?2)",
    [STATEMENT_LOAD_CHANNEL] =
        "SELECT evicted, count, bytes, tombstones FROM channels WHERE id = ?1",
    [STATEMENT_SAVE_CHANNEL] = "UPDATE channels SET evicted = ?2, count = ?3, bytes = ?4,"
                               " tombstones = ?5 WHERE id = ?1",
    [STATEMENT_APPEND] = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [STATEMENT_REMEMBER] = "INSERT OR REPLACE INTO answers VALUES (?1, ?2, ?3, ?4)",
    [STATEMENT_FORGET] = "DELETE FROM answers WHERE time < ?1",
    [STATEMENT_DROP_KEY] = DROP("sequence < ?2 AND key = ?3"),
    [STATEMENT_DROP_OLD] = DROP("sequence <= ?2"),
    [STATEMENT_DROP_TOMBSTONES] = DROP("sequence <= ?2 AND flags & 2"),
    [STATEMENT_NTH] = "SELECT sequence FROM events WHERE channel = ?1"
                      " ORDER BY sequence LIMIT 1 OFFSET ?2",
    [STATEMENT_NTH_TOMBSTONE] = "SELECT sequence FROM events WHERE channel = ?1 AND flags & 2"
                                " ORDER BY sequence LIMIT 1 OFFSET ?2",
    [STATEMENT_SIZES] = "SELECT sequence, length(CAST(data AS BLOB)) FROM events WHERE channel = ?1"
                        " ORDER BY sequence",
    [STATEMENT_OLDEST] =
        "SELECT sequence, time FROM events WHERE channel = ?1 ORDER BY sequence LIMIT 1",
    [STATEMENT_WRITER_EXPIRED] = EXPIRED,
    [STATEMENT_EXPIRED] = EXPIRED,
    [STATEMENT_SINCE] = "SELECT sequence FROM events WHERE channel = ?1 AND time >= ?2"
                        " ORDER BY time, sequence LIMIT 1",
    [STATEMENT_FIRST] = "SELECT sequence FROM events WHERE channel = ?1 AND sequence > ?2"
                        " ORDER BY sequence LIMIT 1",
    [STATEMENT_FIND_KEY] = "SELECT sequence FROM events WHERE channel = ?1 AND key = ?2"
                           " AND NOT flags & 2 LIMIT 1",
    [STATEMENT_FIND_ID] = "SELECT channel, sequence FROM events WHERE flags & 4 AND id = ?1"
                          " ORDER BY sequence DESC",
    [STATEMENT_FIND_ANSWER] = "SELECT id, subscribers FROM answers WHERE key = ?1 AND time >= ?2",
};

/* Opening */

static int fail(struct database *database, int code, const char *path, char *message, size_t size)
{
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        snprintf(message, size,
                 "%s is damaged or no SQLite database: %s. Restore a copy, or move it "
                 "away to begin a new log",
                 path, sqlite3_errstr(code));
    else
        snprintf(message, size, "cannot open %s: %s", path,
                 database->sqlite != NULL ? sqlite3_errmsg(database->sqlite)
                                          : sqlite3_errstr(code));
    return -1;
}

/* The number that the statement gives. 0 or an SQLite code. */
static int ask(struct database *database, const char *sql, int64_t *out)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(database->sqlite, sql, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Whether the pages of the file fit together. */
static bool is_sound(struct database *database)
{
    sqlite3_stmt *statement;
    bool sound = false;
    if (sqlite3_prepare_v2(database->sqlite, "PRAGMA quick_check(1)", -1, &statement, NULL) !=
        SQLITE_OK)
        return false;
    if (sqlite3_step(statement) == SQLITE_ROW)
        sound = slice_equal(database_column(statement, 0), slice_text("ok"));
    sqlite3_finalize(statement);
    return sound;
}

/* Looks, without changing anything, whether the file is ours. 1 when it is still empty, 0 when it
 * can be used. */
static int check_file(struct database *database, const char *path, char *message, size_t size)
{
    int64_t version = 0, application = 0, tables = 0;
    int code = ask(database, "PRAGMA user_version", &version);
    if (code == SQLITE_OK)
        code = ask(database, "PRAGMA application_id", &application);
    if (code == SQLITE_OK)
        code = ask(database, "SELECT count(*) FROM sqlite_master", &tables);
    if (code != SQLITE_OK)
        return fail(database, code, path, message, size);
    if (tables == 0)
        return 1;
    if (application != APPLICATION) {
        snprintf(message, size, "%s is a database of another program", path);
        return -1;
    }
    if (version > SCHEMA_VERSION) {
        snprintf(message, size,
                 "%s was written by a newer sse-router (schema %lld, this one knows %d): upgrade, "
                 "or use another file",
                 path, (long long)version, SCHEMA_VERSION);
        return -1;
    }
    return is_sound(database) ? 0 : fail(database, SQLITE_CORRUPT, path, message, size);
}

static int make_schema(struct database *database)
{
    char text[128];
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             APPLICATION, SCHEMA_VERSION);
    int code = sqlite3_exec(database->sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(database->sqlite, schema, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(database->sqlite, text, NULL, NULL, NULL);
    return code;
}

static int prepare(struct database *database, enum database_role role)
{
    bool writer = role == DATABASE_WRITER;
    int first = writer ? 0 : STATEMENT_EXPIRED;
    int end = writer ? STATEMENT_EXPIRED : STATEMENT_COUNT;
    for (int i = first; i < end; i++) {
        int code = sqlite3_prepare_v3(database->sqlite, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &database->statements[i], NULL);
        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}

/* WAL lets readers go on while the writer writes; FULL makes each commit one fsync of the log. */
static int open_writer(struct database *database, const char *path, char *message, size_t size)
{
    char text[128];
    int fresh = check_file(database, path, message, size);
    if (fresh < 0)
        return fresh;
    snprintf(text, sizeof text,
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = %d",
             CHECKPOINT_PAGES);
    int code = sqlite3_exec(database->sqlite, text, NULL, NULL, NULL);
    if (code == SQLITE_OK && fresh > 0)
        code = make_schema(database);
    return code == SQLITE_OK ? 0 : fail(database, code, path, message, size);
}

int database_open(struct database *database, const char *path, enum database_role role,
                  char *message, size_t size)
{
    bool writer = role == DATABASE_WRITER;
    *database = (struct database){0};
    int flags = writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    int code = sqlite3_open_v2(path, &database->sqlite, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return fail(database, code, path, message, size);
    sqlite3_busy_timeout(database->sqlite, BUSY_TIMEOUT);
    if (writer && open_writer(database, path, message, size) != 0)
        return -1;
    code = prepare(database, role);
    return code == SQLITE_OK ? 0 : fail(database, code, path, message, size);
}

void database_close(struct database *database)
{
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(database->statements[i]);
    sqlite3_close(database->sqlite);
    *database = (struct database){0};
}

/* Statements */

static void bind_text(sqlite3_stmt *statement, int index, struct slice text, bool nullable)
{
    if (nullable && text.length == 0)
        sqlite3_bind_null(statement, index);
    else
        sqlite3_bind_text(statement, index, text.data == NULL ? "" : text.data, (int)text.length,
                          SQLITE_STATIC);
}

sqlite3_stmt *database_bind(struct database *database, enum statement statement, const char *types,
                            ...)
{
    sqlite3_stmt *prepared = database->statements[statement];
    va_list arguments;
    va_start(arguments, types);
    for (int i = 1; types[i - 1] != '\0'; i++) {
        if (types[i - 1] == 'i')
            sqlite3_bind_int64(prepared, i, va_arg(arguments, int64_t));
        else
            bind_text(prepared, i, va_arg(arguments, struct slice), types[i - 1] == 'n');
    }
    va_end(arguments);
    return prepared;
}

int database_finish(sqlite3_stmt *statement)
{
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        continue;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int database_run(struct database *database, enum statement statement)
{
    return database_finish(database->statements[statement]);
}

int64_t database_number(sqlite3_stmt *statement)
{
    int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return value;
}

int64_t database_get(struct database *database, const char *name, char *out, size_t size)
{
    sqlite3_stmt *statement;
    int64_t number = 0;
    if (out != NULL)
        out[0] = '\0';
    if (sqlite3_prepare_v2(database->sqlite, "SELECT number, text FROM meta WHERE name = ?1", -1,
                           &statement, NULL) != SQLITE_OK)
        return 0;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        struct slice text = database_column(statement, 1);
        number = sqlite3_column_int64(statement, 0);
        if (out != NULL)
            snprintf(out, size, "%.*s", (int)text.length, text.data);
    }
    sqlite3_finalize(statement);
    return number;
}

struct slice database_column(sqlite3_stmt *statement, int index)
{
    const char *text = (const char *)sqlite3_column_text(statement, index);
    return text == NULL ? slice_of("", 0)
                        : slice_of(text, (size_t)sqlite3_column_bytes(statement, index));
}
