/* The caller's side of the store; the other is writer.c. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/map.h"
#include "base/memory.h"
#include "store/events.h"
#include "store/writer.h"

struct store {
    char *path;
    int lock; /* the database file, locked against other routers */
    struct writer writer;
    struct database reader;
    char epoch[32];
    uint64_t sequence;
    struct map channels_by_name;
    struct store_channel **channels; /* by id - 1; NULL where the file has a gap */
    uint32_t channel_count;
};

/* Handing over */

const char *store_epoch(const struct store *store)
{
    return store->epoch;
}

void store_set_epoch(struct store *store, const char *epoch)
{
    size_t length = strlen(epoch);
    snprintf(store->epoch, sizeof store->epoch, "%s", epoch);
    writer_hand_over(&store->writer,
                     &(struct record){.kind = RECORD_EPOCH,
                                      .text = slice_of(memory_copy(epoch, length), length)});
}

uint64_t store_sequence(const struct store *store)
{
    return store->sequence;
}

void store_reserve(struct store *store, uint64_t sequence)
{
    writer_hand_over(&store->writer,
                     &(struct record){.kind = RECORD_RESERVE, .sequence = sequence});
}

static struct store_channel *add_channel(struct store *store, uint32_t id, struct slice name)
{
    struct store_channel *channel = memory_zero(1, sizeof *channel);
    channel->name = slice_of(memory_copy(name.data, name.length), name.length);
    channel->id = id;
    list_init(&channel->link);
    list_init(&channel->touched);
    if (id > store->channel_count) {
        store->channels = memory_grow(store->channels, id * sizeof(struct store_channel *));
        for (uint32_t i = store->channel_count; i < id; i++)
            store->channels[i] = NULL;
        store->channel_count = id;
    }
    store->channels[id - 1] = channel;
    map_put(&store->channels_by_name, channel->name, channel);
    return channel;
}

uint32_t store_channel(struct store *store, struct slice name,
                       const struct store_retention *retention, uint64_t begins, bool *known)
{
    struct store_channel *channel = map_get(&store->channels_by_name, name);
    *known = channel != NULL;
    if (channel == NULL)
        channel = add_channel(store, store->channel_count + 1, name);
    writer_hand_over(&store->writer, &(struct record){.kind = RECORD_CHANNEL,
                                                      .channel = channel,
                                                      .retention = *retention,
                                                      .sequence = begins});
    return channel->id;
}

void store_names(const struct store *store, void (*each)(void *context, struct slice name),
                 void *context)
{
    for (uint32_t i = 0; i < store->channel_count; i++) {
        if (store->channels[i] != NULL)
            each(context, store->channels[i]->name);
    }
}

uint64_t store_evicted(const struct store *store, uint32_t channel)
{
    return atomic_load(&store->channels[channel - 1]->evicted);
}

void store_append(struct store *store, uint32_t channel, struct frame *frame, bool awaited,
                  const struct store_answer *answer)
{
    struct record record = {.kind = RECORD_EVENT,
                            .channel = store->channels[channel - 1],
                            .frame = frame_ref(frame),
                            .awaited = awaited,
                            .subscribers = answer->subscribers};
    if (answer->key.length > 0)
        record.text =
            slice_of(memory_copy(answer->key.data, answer->key.length), answer->key.length);
    writer_hand_over(&store->writer, &record);
}

bool store_take_result(struct store *store, struct store_result *out)
{
    return writer_take_result(&store->writer, out);
}

bool store_wait(struct store *store)
{
    return writer_wait(&store->writer);
}

void store_failure(struct store *store, char *message, size_t size)
{
    writer_failure(&store->writer, message, size);
}

void store_count(const struct store *store, struct store_counters *out)
{
    const struct writer *writer = &store->writer;
    *out =
        (struct store_counters){writer->written, writer->refused, writer->evicted, writer->commits};
}

/* Reading */

int store_read(struct store *store, const uint32_t *channels, unsigned count, uint64_t after,
               uint64_t until, store_event_fn each, void *context)
{
    struct events_range range = {channels, count, after, until, false};
    return events_read(&store->reader, &range, each, context);
}

int store_read_back(struct store *store, const uint32_t *channels, unsigned count, uint64_t after,
                    uint64_t until, store_event_fn each, void *context)
{
    struct events_range range = {channels, count, after, until, true};
    return events_read(&store->reader, &range, each, context);
}

uint64_t store_oldest(struct store *store, uint32_t channel, uint64_t after)
{
    return (uint64_t)database_number(
        database_bind(&store->reader, STATEMENT_FIRST, "ii", (int64_t)channel, (int64_t)after));
}

uint64_t store_since(struct store *store, uint32_t channel, int64_t time)
{
    return (uint64_t)database_number(
        database_bind(&store->reader, STATEMENT_SINCE, "ii", (int64_t)channel, time));
}

uint64_t store_expired(struct store *store, uint32_t channel, int64_t time)
{
    return (uint64_t)database_number(
        database_bind(&store->reader, STATEMENT_EXPIRED, "ii", (int64_t)channel, time));
}

bool store_has_key(struct store *store, uint32_t channel, struct slice key)
{
    return database_number(
               database_bind(&store->reader, STATEMENT_FIND_KEY, "is", (int64_t)channel, key)) != 0;
}

uint64_t store_find_id(struct store *store, const uint32_t *channels, unsigned count,
                       struct slice id)
{
    sqlite3_stmt *statement = database_bind(&store->reader, STATEMENT_FIND_ID, "s", id);
    uint64_t found = 0;
    while (found == 0 && sqlite3_step(statement) == SQLITE_ROW) {
        for (unsigned i = 0; i < count; i++) {
            if (channels[i] == sqlite3_column_int64(statement, 0))
                found = (uint64_t)sqlite3_column_int64(statement, 1);
        }
    }
    sqlite3_reset(statement);
    return found;
}

bool store_find_answer(struct store *store, struct slice key, int64_t time, struct buffer *id,
                       uint32_t *subscribers)
{
    sqlite3_stmt *statement = database_bind(&store->reader, STATEMENT_FIND_ANSWER, "si", key, time);
    bool found = sqlite3_step(statement) == SQLITE_ROW;
    if (found) {
        buffer_append_slice(id, database_column(statement, 0));
        *subscribers = (uint32_t)sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    return found;
}

/* Life */

/* The lock is on the file itself, so that no other name of it can go past. It must stay open as
 * long as SQLite has the file: to close any descriptor of a file drops SQLite's own locks. */
static int take_lock(struct store *store, char *message, size_t size)
{
    store->lock = open(store->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (store->lock < 0)
        snprintf(message, size, "cannot open %s for writing: %s", store->path, strerror(errno));
    else if (flock(store->lock, LOCK_EX | LOCK_NB) < 0)
        snprintf(message, size, "%s is in use by another sse-router", store->path);
    else
        return 0;
    return -EBUSY;
}

/* Also finds the highest sequence that any event has, should the fact in meta be older. */
static int load_channels(struct store *store)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(
        store->writer.database.sqlite,
        "SELECT id, name, evicted, count, bytes, tombstones,"
        " (SELECT max(sequence) FROM events WHERE channel = id) FROM channels ORDER BY id",
        -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_channel *channel = add_channel(
            store, (uint32_t)sqlite3_column_int64(statement, 0), database_column(statement, 1));
        channel->totals = channel->committed = (struct store_totals){
            (uint64_t)sqlite3_column_int64(statement, 2), sqlite3_column_int64(statement, 3),
            sqlite3_column_int64(statement, 4), sqlite3_column_int64(statement, 5)};
        atomic_store(&channel->evicted, channel->totals.evicted);
        if ((uint64_t)sqlite3_column_int64(statement, 6) > store->sequence)
            store->sequence = (uint64_t)sqlite3_column_int64(statement, 6);
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? 0 : -EIO;
}

static void free_store(struct store *store)
{
    writer_stop(&store->writer);
    database_close(&store->reader);
    database_close(&store->writer.database);
    if (store->lock >= 0)
        close(store->lock);
    for (uint32_t i = 0; i < store->channel_count; i++) {
        if (store->channels[i] == NULL)
            continue;
        free((char *)store->channels[i]->name.data);
        free(store->channels[i]);
    }
    map_deinit(&store->channels_by_name);
    free(store->channels);
    free(store->path);
    free(store);
}

static int open_database(struct store *store, char *message, size_t size)
{
    struct database *database = &store->writer.database;
    if (take_lock(store, message, size) != 0 ||
        database_open(database, store->path, DATABASE_WRITER, message, size) != 0 ||
        database_open(&store->reader, store->path, DATABASE_READER, message, size) != 0)
        return -EIO;
    database_get(database, "epoch", store->epoch, sizeof store->epoch);
    store->sequence = (uint64_t)database_get(database, "sequence", NULL, 0);
    if (load_channels(store) == 0)
        return 0;
    snprintf(message, size, "cannot read %s: %s", store->path, sqlite3_errmsg(database->sqlite));
    return -EIO;
}

int store_open(struct store **out, const char *path, store_ready_fn ready, void *context,
               char *message, size_t size)
{
    struct store *store = memory_zero(1, sizeof *store);
    store->path = memory_copy(path, strlen(path));
    store->lock = -1;
    int code = open_database(store, message, size);
    if (code == 0) {
        code = writer_start(&store->writer, store->path, ready, context);
        if (code != 0)
            snprintf(message, size, "cannot start the writer of %s", path);
    }
    if (code != 0)
        free_store(store);
    else
        *out = store;
    return code;
}

void store_close(struct store *store)
{
    free_store(store);
}
