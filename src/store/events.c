#include "store/events.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/memory.h"

int events_append(struct database *database, uint32_t channel, const struct frame *frame,
                  size_t *bytes)
{
    struct buffer data = {0};
    frame_data(frame, &data);
    *bytes = data.length;
    int code = database_finish(database_bind(
        database, STATEMENT_APPEND, "iiiiinnnns", (int64_t)channel, (int64_t)frame->sequence,
        frame->time, (int64_t)frame->flags, frame->retry, frame_part(frame, frame->id),
        frame_part(frame, frame->name), frame_part(frame, frame->key),
        frame_part(frame, frame->meta), buffer_slice(&data)));
    buffer_deinit(&data);
    return code;
}

#define COLUMNS "channel, sequence, time, flags, retry, id, name, key, meta, data"

static struct frame *frame_of_row(sqlite3_stmt *statement)
{
    struct frame_source source = {
        .sequence = (uint64_t)sqlite3_column_int64(statement, 1),
        .time = sqlite3_column_int64(statement, 2),
        .flags = (uint32_t)sqlite3_column_int64(statement, 3),
        .retry = sqlite3_column_int64(statement, 4),
        .id = database_column(statement, 5),
        .name = database_column(statement, 6),
        .key = database_column(statement, 7),
        .meta = database_column(statement, 8),
        .data = database_column(statement, 9),
    };
    if (source.id.length == 0)
        source.id.data = NULL;
    return frame_new(&source);
}

/* One channel's events: each has a statement of its own, and the next one is taken from whichever
 * is first. A query over all channels at once would sort them all for each page. */
struct walk {
    const struct events_range *range;
    sqlite3_stmt **statements;
    uint64_t *sequences; /* of the row that each statement is at; 0 at its end */
};

static int step(struct walk *walk, unsigned index)
{
    int code = sqlite3_step(walk->statements[index]);
    walk->sequences[index] =
        code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(walk->statements[index], 1) : 0;
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int64_t bounded(uint64_t sequence)
{
    return sequence > INT64_MAX ? INT64_MAX : (int64_t)sequence;
}

static int open_walk(struct database *database, struct walk *walk)
{
    static const char *const texts[] = {
        "SELECT " COLUMNS " FROM events WHERE channel = ?1 AND sequence > ?2 AND sequence <= ?3"
        " ORDER BY sequence",
        "SELECT " COLUMNS " FROM events WHERE channel = ?1 AND sequence > ?2 AND sequence <= ?3"
        " ORDER BY sequence DESC"};
    const struct events_range *range = walk->range;
    int code = SQLITE_OK;
    walk->statements = memory_zero(range->count + 1, sizeof(sqlite3_stmt *));
    walk->sequences = memory_zero(range->count + 1, sizeof *walk->sequences);
    for (unsigned i = 0; i < range->count && code == SQLITE_OK; i++) {
        code = sqlite3_prepare_v2(database->sqlite, texts[range->backwards], -1,
                                  &walk->statements[i], NULL);
        if (code != SQLITE_OK)
            return code;
        sqlite3_bind_int64(walk->statements[i], 1, range->channels[i]);
        sqlite3_bind_int64(walk->statements[i], 2, bounded(range->after));
        sqlite3_bind_int64(walk->statements[i], 3, bounded(range->until));
        code = step(walk, i);
    }
    return code;
}

static void close_walk(struct walk *walk)
{
    for (unsigned i = 0; i < walk->range->count; i++)
        sqlite3_finalize(walk->statements[i]);
    free(walk->statements);
    free(walk->sequences);
}

/* The index of the statement whose event is next; the count when all are at their end. */
static unsigned next_of(const struct walk *walk)
{
    unsigned next = walk->range->count;
    for (unsigned i = 0; i < walk->range->count; i++) {
        uint64_t sequence = walk->sequences[i];
        if (sequence == 0)
            continue;
        if (next == walk->range->count ||
            (walk->range->backwards ? sequence > walk->sequences[next]
                                    : sequence < walk->sequences[next]))
            next = i;
    }
    return next;
}

int events_read(struct database *database, const struct events_range *range, store_event_fn each,
                void *context)
{
    struct walk walk = {.range = range};
    /* One snapshot for all the channels. */
    int code = sqlite3_exec(database->sqlite, "BEGIN", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = open_walk(database, &walk);
    unsigned next;
    while (code == SQLITE_OK && (next = next_of(&walk)) < range->count) {
        if (!each(context, range->channels[next], frame_of_row(walk.statements[next])))
            break;
        code = step(&walk, next);
    }
    if (walk.statements != NULL)
        close_walk(&walk);
    if (!sqlite3_get_autocommit(database->sqlite))
        sqlite3_exec(database->sqlite, "COMMIT", NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : -EIO;
}
