#include "store/retention.h"

/* Deletes with a statement that gives the bytes and flags of each event it takes. */
static int drop(struct store_channel *channel, sqlite3_stmt *statement)
{
    struct store_totals *totals = &channel->totals;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        totals->count--;
        totals->bytes -= sqlite3_column_int64(statement, 0);
        totals->tombstones -= (sqlite3_column_int64(statement, 1) & FRAME_TOMBSTONE) != 0;
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int retention_count(struct database *database, struct store_channel *channel,
                    const struct frame *frame, size_t bytes)
{
    channel->totals.count++;
    channel->totals.bytes += (int64_t)bytes;
    channel->totals.tombstones += (frame->flags & FRAME_TOMBSTONE) != 0;
    if (channel->oldest > frame->time)
        channel->oldest = frame->time;
    if (!channel->retention.keyed || frame->key.length == 0)
        return SQLITE_OK;
    return drop(channel, database_bind(database, STATEMENT_DROP_KEY, "iis", (int64_t)channel->id,
                                       (int64_t)frame->sequence, frame_part(frame, frame->key)));
}

/* Readers hear of it before it is gone, so that none takes a gap for the whole. */
static void note_evicted(struct store_channel *channel, uint64_t sequence)
{
    if (sequence <= channel->totals.evicted)
        return;
    channel->totals.evicted = sequence;
    atomic_store(&channel->evicted, sequence);
}

void retention_begin(struct store_channel *channel, uint64_t sequence)
{
    note_evicted(channel, sequence);
}

void retention_lose(struct store_channel *channel, uint64_t sequence)
{
    note_evicted(channel, sequence);
    channel->committed.evicted = channel->totals.evicted;
}

/* `how` is one of the statements that drop events up to a sequence; 0 drops none. */
static int drop_to(struct database *database, struct store_channel *channel, enum statement how,
                   uint64_t sequence)
{
    if (sequence == 0)
        return SQLITE_OK;
    note_evicted(channel, sequence);
    return drop(channel,
                database_bind(database, how, "ii", (int64_t)channel->id, (int64_t)sequence));
}

/* The sequence of the last of the `excess` oldest events. */
static uint64_t nth(struct database *database, const struct store_channel *channel,
                    enum statement which, int64_t excess)
{
    if (excess <= 0)
        return 0;
    return (uint64_t)database_number(
        database_bind(database, which, "ii", (int64_t)channel->id, excess - 1));
}

/* Up to which event the oldest ones go, so that the rest has at most `limit` bytes. */
static uint64_t too_large(struct database *database, const struct store_channel *channel)
{
    int64_t bytes = channel->totals.bytes;
    int64_t limit = (int64_t)channel->retention.max_bytes;
    uint64_t sequence = 0;
    if (limit == 0 || bytes <= limit)
        return 0;
    sqlite3_stmt *statement = database_bind(database, STATEMENT_SIZES, "i", (int64_t)channel->id);
    while (bytes > limit && sqlite3_step(statement) == SQLITE_ROW) {
        sequence = (uint64_t)sqlite3_column_int64(statement, 0);
        bytes -= sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    return sequence;
}

static uint64_t too_old(struct database *database, const struct store_channel *channel, int64_t now)
{
    if (!retention_is_due(channel, now))
        return 0;
    return (uint64_t)database_number(database_bind(database, STATEMENT_WRITER_EXPIRED, "ii",
                                                   (int64_t)channel->id,
                                                   now - (int64_t)channel->retention.max_age));
}

static void find_oldest(struct database *database, struct store_channel *channel)
{
    sqlite3_stmt *statement = database_bind(database, STATEMENT_OLDEST, "i", (int64_t)channel->id);
    channel->oldest =
        sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 1) : INT64_MAX;
    sqlite3_reset(statement);
}

int retention_apply(struct database *database, struct store_channel *channel, int64_t now)
{
    const struct store_retention *retention = &channel->retention;
    const struct store_totals *totals = &channel->totals;
    int64_t before = totals->count;
    uint64_t last = 0;
    if (retention->keyed)
        last = nth(database, channel, STATEMENT_NTH_TOMBSTONE,
                   totals->tombstones - (int64_t)retention->tombstones);
    int code = drop_to(database, channel, STATEMENT_DROP_TOMBSTONES, last);
    if (code == SQLITE_OK && !retention->keyed && retention->history > 0) {
        last = nth(database, channel, STATEMENT_NTH, totals->count - (int64_t)retention->history);
        code = drop_to(database, channel, STATEMENT_DROP_OLD, last);
    }
    if (code == SQLITE_OK)
        code = drop_to(database, channel, STATEMENT_DROP_OLD, too_large(database, channel));
    if (code == SQLITE_OK)
        code = drop_to(database, channel, STATEMENT_DROP_OLD, too_old(database, channel, now));
    if (retention->max_age > 0)
        find_oldest(database, channel);
    channel->dropped += (uint64_t)(before - totals->count);
    if (code != SQLITE_OK)
        return code;
    return database_finish(database_bind(database, STATEMENT_SAVE_CHANNEL, "iiiii",
                                         (int64_t)channel->id, (int64_t)totals->evicted,
                                         totals->count, totals->bytes, totals->tombstones));
}

bool retention_is_due(const struct store_channel *channel, int64_t now)
{
    int64_t age = (int64_t)channel->retention.max_age;
    return age > 0 && channel->oldest < now - age;
}

uint64_t retention_commit(struct store_channel *channel)
{
    uint64_t dropped = channel->dropped;
    channel->dropped = 0;
    channel->committed = channel->totals;
    return dropped;
}

void retention_rollback(struct store_channel *channel)
{
    channel->totals = channel->committed;
    channel->oldest = INT64_MIN;
    channel->dropped = 0;
    atomic_store(&channel->evicted, channel->totals.evicted);
}
