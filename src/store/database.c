#include "store/database.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"

enum { SCHEMA_VERSION = 1, APPLICATION = 0x73736572 /* "sser" */ };

static const char *const schema =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, text TEXT, number INTEGER) WITHOUT ROWID;"
    "CREATE TABLE channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  evicted INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE events (channel INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    "  time INTEGER NOT NULL, flags INTEGER NOT NULL, retry INTEGER NOT NULL, id TEXT, name TEXT,"
    "  key TEXT, meta TEXT, data TEXT NOT NULL, idempotency TEXT, PRIMARY KEY (channel, sequence))"
    "  WITHOUT ROWID;"
    "CREATE INDEX events_by_key ON events (channel, key) WHERE key IS NOT NULL;"
    "CREATE INDEX events_by_id ON events (id) WHERE flags & 4;"
    "CREATE INDEX events_by_time ON events (channel, time);"
    "CREATE INDEX events_by_idempotency ON events (idempotency) WHERE idempotency IS NOT NULL;";

static const char *const texts[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",
    [STATEMENT_APPEND] = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [STATEMENT_SUPERSEDE] = "DELETE FROM events WHERE channel = ?1 AND key = ?2 AND sequence < ?3",
    [STATEMENT_CHANNEL] = "INSERT OR IGNORE INTO channels (id, name) VALUES (?1, ?2)",
    [STATEMENT_SET] = "INSERT OR REPLACE INTO meta VALUES (?1, ?2, ?3)",
    [STATEMENT_TRIM_COUNT] = "SELECT sequence FROM events WHERE channel = ?1"
                             " ORDER BY sequence DESC LIMIT 1 OFFSET ?2",
    [STATEMENT_TRIM_AGE] = "SELECT max(sequence) FROM events WHERE channel = ?1 AND time < ?2",
    [STATEMENT_TRIM_TO] = "DELETE FROM events WHERE channel = ?1 AND sequence <= ?2",
    [STATEMENT_BYTES] = "SELECT sum(length(data)) FROM events WHERE channel = ?1",
    [STATEMENT_EVICTED] = "UPDATE channels SET evicted = ?2 WHERE id = ?1",
    [STATEMENT_FIND_IDEMPOTENCY] = "SELECT max(sequence) FROM events"
                                   " WHERE idempotency = ?2 AND time >= ?1",
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

static int64_t pragma(struct database *database, const char *sql, int *code)
{
    sqlite3_stmt *statement;
    int64_t value = 0;
    *code = sqlite3_prepare_v2(database->sqlite, sql, -1, &statement, NULL);
    if (*code != SQLITE_OK)
        return 0;
    *code = sqlite3_step(statement);
    if (*code == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    if (*code == SQLITE_ROW || *code == SQLITE_DONE)
        *code = SQLITE_OK;
    sqlite3_finalize(statement);
    return value;
}

/* "ok", or what is wrong with the pages of the file. */
static bool is_sound(struct database *database)
{
    sqlite3_stmt *statement;
    bool sound = false;
    if (sqlite3_prepare_v2(database->sqlite, "PRAGMA quick_check(1)", -1, &statement, NULL) !=
        SQLITE_OK)
        return false;
    if (sqlite3_step(statement) == SQLITE_ROW)
        sound = strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
    sqlite3_finalize(statement);
    return sound;
}

static int check_version(struct database *database, const char *path, char *message, size_t size)
{
    int code;
    int64_t version = pragma(database, "PRAGMA user_version", &code);
    if (code != SQLITE_OK)
        return fail(database, code, path, message, size);
    int64_t application = pragma(database, "PRAGMA application_id", &code);
    int64_t tables = pragma(database, "SELECT count(*) FROM sqlite_master", &code);
    if (code != SQLITE_OK)
        return fail(database, code, path, message, size);
    if (tables > 0 && application != APPLICATION) {
        snprintf(message, size, "%s is a database of another program", path);
        return -1;
    }
    if (version > SCHEMA_VERSION) {
        snprintf(
            message, size,
            "%s was written by a newer sse-router (schema %lld, this one knows %d): upgrade, or "
            "use another file",
            path, (long long)version, SCHEMA_VERSION);
        return -1;
    }
    if (tables > 0 && !is_sound(database))
        return fail(database, SQLITE_CORRUPT, path, message, size);
    return tables > 0 ? 0 : 1;
}

static int make_schema(struct database *database)
{
    char text[128];
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             APPLICATION, SCHEMA_VERSION);
    int code = sqlite3_exec(database->sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(database->sqlite, schema, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(database->sqlite, text, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(database->sqlite, "COMMIT", NULL, NULL, NULL);
    return code;
}

static int prepare(struct database *database, bool writer)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        if (!writer && i != STATEMENT_FIND_IDEMPOTENCY)
            continue;
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
    int code = sqlite3_exec(database->sqlite,
                            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                            "PRAGMA wal_autocheckpoint = 4000;",
                            NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return fail(database, code, path, message, size);
    int fresh = check_version(database, path, message, size);
    if (fresh < 0)
        return fresh;
    if (fresh > 0 && (code = make_schema(database)) != SQLITE_OK)
        return fail(database, code, path, message, size);
    return 0;
}

int database_open(struct database *database, const char *path, bool writer, char *message,
                  size_t size)
{
    *database = (struct database){0};
    int flags = writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    int code = sqlite3_open_v2(path, &database->sqlite, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return fail(database, code, path, message, size);
    sqlite3_busy_timeout(database->sqlite, 5000);
    sqlite3_extended_result_codes(database->sqlite, 0);
    if (writer && open_writer(database, path, message, size) != 0)
        return -1;
    code = prepare(database, writer);
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

static int finish(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

static void bind_numbers(sqlite3_stmt *statement, int count, va_list numbers)
{
    for (int i = 1; i <= count; i++)
        sqlite3_bind_int64(statement, i, va_arg(numbers, int64_t));
}

int database_run(struct database *database, enum statement statement, int count, ...)
{
    va_list numbers;
    va_start(numbers, count);
    bind_numbers(database->statements[statement], count, numbers);
    va_end(numbers);
    return finish(database->statements[statement]);
}

int64_t database_number(struct database *database, enum statement statement, int count, ...)
{
    sqlite3_stmt *prepared = database->statements[statement];
    int64_t value = 0;
    va_list numbers;
    va_start(numbers, count);
    bind_numbers(prepared, count, numbers);
    va_end(numbers);
    if (sqlite3_step(prepared) == SQLITE_ROW)
        value = sqlite3_column_int64(prepared, 0);
    sqlite3_reset(prepared);
    return value;
}

/* An empty slice is NULL: the column is absent. */
static void bind_text(sqlite3_stmt *statement, int index, struct slice text)
{
    if (text.length > 0)
        sqlite3_bind_text(statement, index, text.data, (int)text.length, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, index);
}

static int supersede(struct database *database, uint32_t channel, const struct frame *frame)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_SUPERSEDE];
    sqlite3_bind_int64(statement, 1, channel);
    bind_text(statement, 2, frame_part(frame, frame->key));
    sqlite3_bind_int64(statement, 3, (int64_t)frame->sequence);
    return finish(statement);
}

int database_append(struct database *database, uint32_t channel, const struct frame *frame,
                    struct slice idempotency, bool keyed)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_APPEND];
    struct buffer data = {0};
    frame_data(frame, &data);
    sqlite3_bind_int64(statement, 1, channel);
    sqlite3_bind_int64(statement, 2, (int64_t)frame->sequence);
    sqlite3_bind_int64(statement, 3, frame->time);
    sqlite3_bind_int64(statement, 4, frame->flags);
    sqlite3_bind_int64(statement, 5, frame->retry);
    bind_text(statement, 6, frame_part(frame, frame->id));
    bind_text(statement, 7, frame_part(frame, frame->name));
    bind_text(statement, 8, frame_part(frame, frame->key));
    bind_text(statement, 9, frame_part(frame, frame->meta));
    sqlite3_bind_text(statement, 10, data.data == NULL ? "" : data.data, (int)data.length,
                      SQLITE_STATIC);
    bind_text(statement, 11, idempotency);
    int code = finish(statement);
    buffer_deinit(&data);
    if (code == SQLITE_OK && keyed && frame->key.length > 0)
        code = supersede(database, channel, frame);
    return code;
}

int database_add_channel(struct database *database, uint32_t channel, struct slice name)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_CHANNEL];
    sqlite3_bind_int64(statement, 1, channel);
    bind_text(statement, 2, name);
    return finish(statement);
}

int database_set(struct database *database, const char *name, const char *text, int64_t number)
{
    sqlite3_stmt *statement = database->statements[STATEMENT_SET];
    bind_text(statement, 1, slice_text(name));
    bind_text(statement, 2, slice_text(text));
    sqlite3_bind_int64(statement, 3, number);
    return finish(statement);
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
    bind_text(statement, 1, slice_text(name));
    if (sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 1);
        number = sqlite3_column_int64(statement, 0);
        if (out != NULL && text != NULL)
            snprintf(out, size, "%s", text);
    }
    sqlite3_finalize(statement);
    return number;
}

/* Reading */

static struct slice column(sqlite3_stmt *statement, int index)
{
    const char *text = (const char *)sqlite3_column_text(statement, index);
    return text == NULL ? slice_of("", 0)
                        : slice_of(text, (size_t)sqlite3_column_bytes(statement, index));
}

/* A row of: channel, sequence, time, flags, retry, id, name, key, meta, data. */
static struct frame *frame_of_row(sqlite3_stmt *statement)
{
    struct frame_source source = {
        .sequence = (uint64_t)sqlite3_column_int64(statement, 1),
        .time = sqlite3_column_int64(statement, 2),
        .flags = (uint32_t)sqlite3_column_int64(statement, 3),
        .retry = sqlite3_column_int64(statement, 4),
        .id = column(statement, 5),
        .name = column(statement, 6),
        .key = column(statement, 7),
        .meta = column(statement, 8),
        .data = column(statement, 9),
    };
    if (source.id.length == 0)
        source.id.data = NULL;
    return frame_new(&source);
}

static void append_list(struct buffer *sql, const uint32_t *channels, unsigned count)
{
    buffer_append_text(sql, "channel IN (");
    for (unsigned i = 0; i < count; i++)
        buffer_append_format(sql, "%s%u", i == 0 ? "" : ",", channels[i]);
    buffer_append_text(sql, ")");
}

static int prepare_text(struct database *database, struct buffer *sql, sqlite3_stmt **statement)
{
    buffer_append_byte(sql, '\0');
    int code = sqlite3_prepare_v2(database->sqlite, sql->data, -1, statement, NULL);
    buffer_deinit(sql);
    return code;
}

int database_read(struct database *database, const uint32_t *channels, unsigned count,
                  uint64_t bound, bool backwards, int limit, store_event_fn each, void *context)
{
    struct buffer sql = {0};
    sqlite3_stmt *statement;
    int found = 0;
    buffer_append_text(&sql,
                       "SELECT channel, sequence, time, flags, retry, id, name, key, meta, data"
                       " FROM events WHERE ");
    append_list(&sql, channels, count);
    buffer_append_text(&sql, backwards ? " AND sequence < ?1 ORDER BY sequence DESC LIMIT ?2"
                                       : " AND sequence > ?1 ORDER BY sequence LIMIT ?2");
    if (prepare_text(database, &sql, &statement) != SQLITE_OK)
        return -1;
    sqlite3_bind_int64(statement, 1, bound > INT64_MAX ? INT64_MAX : (int64_t)bound);
    sqlite3_bind_int64(statement, 2, limit);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        each(context, (uint32_t)sqlite3_column_int64(statement, 0), frame_of_row(statement));
        found++;
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? found : -1;
}

int64_t database_query(struct database *database, const uint32_t *channels, unsigned count,
                       const char *expression, const char *condition, int64_t number,
                       struct slice text)
{
    struct buffer sql = {0};
    sqlite3_stmt *statement;
    int64_t value = 0;
    buffer_append_format(&sql, "SELECT %s FROM events WHERE %s AND ", expression, condition);
    append_list(&sql, channels, count);
    if (prepare_text(database, &sql, &statement) != SQLITE_OK)
        return 0;
    if (text.length > 0)
        bind_text(statement, 1, text);
    else
        sqlite3_bind_int64(statement, 1, number);
    if (sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}
