#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log_line.h"
#include "base/map.h"
#include "base/memory.h"
#include "store/database.h"

enum {
    BATCH = 4096,    /* events of one transaction at most */
    WAITING = 65536, /* events that wait for the writer until who hands over more waits too */
    TRIM_SHARE = 10, /* a channel is trimmed when it is over its history by a tenth ... */
    TRIM_LEAST = 64, /* ... and by this many events at least */
};

struct store_channel {
    struct slice name; /* owned */
    uint32_t id;
    struct store_retention retention;
    atomic_uint_fast64_t evicted;
    uint64_t appended; /* since it was last trimmed; the writer's */
};

enum record_kind { RECORD_EVENT, RECORD_CHANNEL, RECORD_RESERVE, RECORD_EPOCH };

/* What the writer is to write. */
struct record {
    struct record *next;
    enum record_kind kind;
    struct store_channel *channel;
    struct frame *frame;
    uint64_t sequence;
    struct slice idempotency; /* owned */
};

struct result {
    struct result *next;
    struct store_result result;
};

struct store {
    char *path;
    int lock; /* descriptor of the lock file */
    struct database writer;
    struct database reader;
    char epoch[32];
    uint64_t sequence;
    struct map channels_by_name;
    struct store_channel **channels; /* by id - 1 */
    uint32_t channel_count;

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    pthread_cond_t done;
    struct record *first, *last; /* handed over */
    unsigned waiting;
    bool writing;
    bool closing;
    bool failing; /* the writer's */
    struct result *first_result, *last_result;
    store_ready_fn ready;
    void *context;
};

static int64_t now_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Retention on disk; the writer's thread */

static int trim_to(struct store *store, struct store_channel *channel, uint64_t sequence)
{
    if (sequence <= atomic_load(&channel->evicted))
        return SQLITE_OK;
    int code =
        database_run(&store->writer, STATEMENT_TRIM_TO, 2, (int64_t)channel->id, (int64_t)sequence);
    if (code == SQLITE_OK)
        code = database_run(&store->writer, STATEMENT_EVICTED, 2, (int64_t)channel->id,
                            (int64_t)sequence);
    if (code == SQLITE_OK)
        atomic_store(&channel->evicted, sequence);
    return code;
}

static int trim_bytes(struct store *store, struct store_channel *channel)
{
    uint64_t limit = channel->retention.max_bytes;
    int64_t bytes = database_number(&store->writer, STATEMENT_BYTES, 1, (int64_t)channel->id);
    if (limit == 0 || bytes <= 0 || (uint64_t)bytes <= limit)
        return SQLITE_OK;
    /* The share of events that stands for the excess, by their mean size. */
    int64_t keep = (int64_t)((double)channel->retention.history * (double)limit / (double)bytes);
    return trim_to(store, channel,
                   (uint64_t)database_number(&store->writer, STATEMENT_TRIM_COUNT, 2,
                                             (int64_t)channel->id, keep));
}

static int trim(struct store *store, struct store_channel *channel)
{
    const struct store_retention *retention = &channel->retention;
    int64_t id = channel->id;
    int code = SQLITE_OK;
    channel->appended = 0;
    if (retention->history > 0 && !retention->keyed)
        code = trim_to(store, channel,
                       (uint64_t)database_number(&store->writer, STATEMENT_TRIM_COUNT, 2, id,
                                                 (int64_t)retention->history));
    if (code == SQLITE_OK && retention->max_age > 0)
        code = trim_to(store, channel,
                       (uint64_t)database_number(&store->writer, STATEMENT_TRIM_AGE, 2, id,
                                                 now_milliseconds() - (int64_t)retention->max_age));
    if (code == SQLITE_OK && retention->history > 0)
        code = trim_bytes(store, channel);
    return code;
}

static int trim_when_due(struct store *store, struct store_channel *channel)
{
    uint64_t slack = channel->retention.history / TRIM_SHARE;
    if (++channel->appended < (slack < TRIM_LEAST ? TRIM_LEAST : slack))
        return SQLITE_OK;
    return trim(store, channel);
}

/* Writing; the writer's thread */

static int write_record(struct store *store, const struct record *record)
{
    struct store_channel *channel = record->channel;
    int code;
    switch (record->kind) {
    case RECORD_EVENT:
        code = database_append(&store->writer, channel->id, record->frame, record->idempotency,
                               channel->retention.keyed);
        return code == SQLITE_OK ? trim_when_due(store, channel) : code;
    case RECORD_CHANNEL:
        code = database_add_channel(&store->writer, channel->id, channel->name);
        return code == SQLITE_OK ? trim(store, channel) : code;
    case RECORD_RESERVE:
        return database_set(&store->writer, "sequence", "", (int64_t)record->sequence);
    default:
        return database_set(&store->writer, "epoch", record->idempotency.data, 0);
    }
}

static int write_all(struct store *store, const struct record *records)
{
    int code = database_run(&store->writer, STATEMENT_BEGIN, 0);
    if (code != SQLITE_OK)
        return code;
    for (const struct record *record = records; record != NULL && code == SQLITE_OK;
         record = record->next)
        code = write_record(store, record);
    if (code == SQLITE_OK)
        code = database_run(&store->writer, STATEMENT_COMMIT, 0);
    if (code != SQLITE_OK && !sqlite3_get_autocommit(store->writer.sqlite))
        database_run(&store->writer, STATEMENT_ROLLBACK, 0);
    return code;
}

static struct result *decide(struct store *store, const struct record *records, int code)
{
    struct result *result = memory_zero(1, sizeof *result);
    for (const struct record *record = records; record != NULL; record = record->next) {
        if (record->kind != RECORD_EVENT)
            continue;
        if (result->result.first == 0)
            result->result.first = record->frame->sequence;
        result->result.sequence = record->frame->sequence;
    }
    result->result.error = code;
    if (code != SQLITE_OK)
        snprintf(result->result.message, sizeof result->result.message, "%s",
                 sqlite3_errmsg(store->writer.sqlite));
    return result;
}

static void free_records(struct record *record)
{
    while (record != NULL) {
        struct record *next = record->next;
        frame_unref(record->frame);
        free((char *)record->idempotency.data);
        free(record);
        record = next;
    }
}

/* What is no event must not be lost with a transaction that failed: it goes back in front. Returns
 * the records that are done with. */
static struct record *keep_facts(struct store *store, struct record *records)
{
    struct record *done = NULL, *kept = NULL, **end = &kept;
    while (records != NULL) {
        struct record *next = records->next;
        if (records->kind == RECORD_EVENT) {
            records->next = done;
            done = records;
        } else {
            records->next = NULL;
            *end = records;
            end = &records->next;
            store->waiting++;
        }
        records = next;
    }
    if (kept != NULL) {
        *end = store->first;
        store->last = store->first != NULL ? store->last : CONTAINER_OF(end, struct record, next);
        store->first = kept;
    }
    return done;
}

static struct record *take_batch(struct store *store)
{
    struct record *first = store->first, *last = first;
    unsigned count = 1;
    while (last->next != NULL && count < BATCH) {
        last = last->next;
        count++;
    }
    store->first = last->next;
    if (store->first == NULL)
        store->last = NULL;
    last->next = NULL;
    store->waiting -= count;
    store->writing = true;
    return first;
}

static void post_result(struct store *store, struct result *result)
{
    if (store->first_result == NULL)
        store->first_result = result;
    else
        store->last_result->next = result;
    store->last_result = result;
}

static bool has_events(const struct record *records)
{
    for (; records != NULL; records = records->next) {
        if (records->kind == RECORD_EVENT)
            return true;
    }
    return false;
}

/* One line when the disk fails, and one when it works again. */
static void note_health(struct store *store, int code, const char *message)
{
    if (code != SQLITE_OK && !store->failing)
        log_line(LOG_ERROR, "cannot write to %s: %s; publishers are refused until it works again",
                 store->path, message);
    else if (code == SQLITE_OK && store->failing)
        log_line(LOG_INFO, "writing to %s works again", store->path);
    store->failing = code != SQLITE_OK;
}

static void *run_writer(void *argument)
{
    struct store *store = argument;
    pthread_mutex_lock(&store->mutex);
    for (;;) {
        while (store->first == NULL && !store->closing)
            pthread_cond_wait(&store->work, &store->mutex);
        if (store->first == NULL)
            break;
        struct record *records = take_batch(store);
        pthread_mutex_unlock(&store->mutex);
        int code = write_all(store, records);
        struct result *result = decide(store, records, code);
        bool events = has_events(records);
        note_health(store, code, result->result.message);
        pthread_mutex_lock(&store->mutex);
        if (code != SQLITE_OK && !store->closing)
            records = keep_facts(store, records);
        post_result(store, result);
        store->writing = false;
        pthread_cond_broadcast(&store->done);
        pthread_mutex_unlock(&store->mutex);
        free_records(records);
        store->ready(store->context);
        /* A disk that is full stays so for a while. */
        if (code != SQLITE_OK && !events)
            usleep(100000);
        pthread_mutex_lock(&store->mutex);
    }
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

/* Handing over; the script's thread */

static void hand_over(struct store *store, const struct record *source)
{
    struct record *record = memory_new(sizeof *record);
    *record = *source;
    record->next = NULL;
    pthread_mutex_lock(&store->mutex);
    while (store->waiting >= WAITING)
        pthread_cond_wait(&store->done, &store->mutex);
    if (store->last == NULL)
        store->first = record;
    else
        store->last->next = record;
    store->last = record;
    store->waiting++;
    pthread_cond_signal(&store->work);
    pthread_mutex_unlock(&store->mutex);
}

void store_append(struct store *store, uint32_t channel, struct frame *frame,
                  struct slice idempotency)
{
    struct record record = {
        .kind = RECORD_EVENT, .channel = store->channels[channel - 1], .frame = frame_ref(frame)};
    if (idempotency.length > 0)
        record.idempotency =
            slice_of(memory_copy(idempotency.data, idempotency.length), idempotency.length);
    hand_over(store, &record);
}

void store_reserve(struct store *store, uint64_t sequence)
{
    hand_over(store, &(struct record){.kind = RECORD_RESERVE, .sequence = sequence});
}

const char *store_epoch(const struct store *store)
{
    return store->epoch;
}

void store_set_epoch(struct store *store, const char *epoch)
{
    snprintf(store->epoch, sizeof store->epoch, "%s", epoch);
    hand_over(store, &(struct record){.kind = RECORD_EPOCH,
                                      .idempotency = slice_of(memory_copy(epoch, strlen(epoch)),
                                                              strlen(epoch))});
}

uint64_t store_sequence(const struct store *store)
{
    return store->sequence;
}

static struct store_channel *add_channel(struct store *store, uint32_t id, struct slice name)
{
    struct store_channel *channel = memory_zero(1, sizeof *channel);
    channel->name = slice_of(memory_copy(name.data, name.length), name.length);
    channel->id = id;
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
                       const struct store_retention *retention)
{
    struct store_channel *channel = map_get(&store->channels_by_name, name);
    if (channel == NULL)
        channel = add_channel(store, store->channel_count + 1, name);
    else
        store_wait(store); /* the writer reads the retention */
    channel->retention = *retention;
    hand_over(store, &(struct record){.kind = RECORD_CHANNEL, .channel = channel});
    return channel->id;
}

uint64_t store_evicted(struct store *store, uint32_t channel)
{
    return atomic_load(&store->channels[channel - 1]->evicted);
}

bool store_take_result(struct store *store, struct store_result *out)
{
    pthread_mutex_lock(&store->mutex);
    struct result *result = store->first_result;
    if (result != NULL) {
        store->first_result = result->next;
        *out = result->result;
    }
    pthread_mutex_unlock(&store->mutex);
    free(result);
    return result != NULL;
}

void store_wait(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    while (store->first != NULL || store->writing)
        pthread_cond_wait(&store->done, &store->mutex);
    pthread_mutex_unlock(&store->mutex);
}

/* Reading; the script's thread */

int store_read(struct store *store, const uint32_t *channels, unsigned count, uint64_t after,
               int limit, store_event_fn each, void *context)
{
    return database_read(&store->reader, channels, count, after, false, limit, each, context);
}

int store_read_back(struct store *store, const uint32_t *channels, unsigned count, uint64_t before,
                    int limit, store_event_fn each, void *context)
{
    return database_read(&store->reader, channels, count, before, true, limit, each, context);
}

uint64_t store_since(struct store *store, const uint32_t *channels, unsigned count, int64_t time)
{
    return (uint64_t)database_query(&store->reader, channels, count, "min(sequence)", "time >= ?1",
                                    time, slice_of("", 0));
}

uint64_t store_find_id(struct store *store, const uint32_t *channels, unsigned count,
                       struct slice id)
{
    return (uint64_t)database_query(&store->reader, channels, count, "max(sequence)",
                                    "flags & 4 AND id = ?1", 0, id);
}

uint64_t store_find_idempotency(struct store *store, struct slice key, int64_t time)
{
    sqlite3_stmt *statement = store->reader.statements[STATEMENT_FIND_IDEMPOTENCY];
    sqlite3_bind_text(statement, 2, key.data, (int)key.length, SQLITE_STATIC);
    return (uint64_t)database_number(&store->reader, STATEMENT_FIND_IDEMPOTENCY, 1, time);
}

/* Life */

static int take_lock(struct store *store, char *message, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s-lock", store->path);
    store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (store->lock < 0) {
        snprintf(message, size, "cannot open %s: %s", path, strerror(errno));
        return -1;
    }
    if (flock(store->lock, LOCK_EX | LOCK_NB) < 0) {
        snprintf(message, size, "%s is in use by another sse-router", store->path);
        return -1;
    }
    return 0;
}

static void load_channels(struct store *store)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(store->writer.sqlite,
                           "SELECT id, name, evicted FROM channels ORDER BY id", -1, &statement,
                           NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        struct slice name = slice_text((const char *)sqlite3_column_text(statement, 1));
        struct store_channel *channel =
            add_channel(store, (uint32_t)sqlite3_column_int64(statement, 0), name);
        atomic_store(&channel->evicted, (uint64_t)sqlite3_column_int64(statement, 2));
    }
    sqlite3_finalize(statement);
}

/* The highest sequence that any event has, should the fact in meta be older. */
static uint64_t highest_sequence(struct store *store)
{
    sqlite3_stmt *statement;
    int64_t highest = database_get(&store->writer, "sequence", NULL, 0);
    for (uint32_t i = 0; i < store->channel_count; i++) {
        if (store->channels[i] == NULL ||
            sqlite3_prepare_v2(store->writer.sqlite,
                               "SELECT max(sequence) FROM events WHERE channel = ?1", -1,
                               &statement, NULL) != SQLITE_OK)
            continue;
        sqlite3_bind_int64(statement, 1, store->channels[i]->id);
        if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int64(statement, 0) > highest)
            highest = sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
    }
    return (uint64_t)highest;
}

static void free_store(struct store *store)
{
    database_close(&store->reader);
    database_close(&store->writer);
    if (store->lock >= 0)
        close(store->lock);
    for (uint32_t i = 0; i < store->channel_count; i++) {
        if (store->channels[i] == NULL)
            continue;
        free((char *)store->channels[i]->name.data);
        free(store->channels[i]);
    }
    struct store_result ignored;
    while (store_take_result(store, &ignored))
        continue;
    map_deinit(&store->channels_by_name);
    pthread_mutex_destroy(&store->mutex);
    pthread_cond_destroy(&store->work);
    pthread_cond_destroy(&store->done);
    free(store->channels);
    free(store->path);
    free(store);
}

int store_open(struct store **out, const char *path, store_ready_fn ready, void *context,
               char *message, size_t size)
{
    struct store *store = memory_zero(1, sizeof *store);
    store->path = memory_copy(path, strlen(path));
    store->lock = -1;
    store->ready = ready;
    store->context = context;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_cond_init(&store->work, NULL);
    pthread_cond_init(&store->done, NULL);
    if (take_lock(store, message, size) != 0 ||
        database_open(&store->writer, path, true, message, size) != 0 ||
        database_open(&store->reader, path, false, message, size) != 0) {
        free_store(store);
        return -EIO;
    }
    database_get(&store->writer, "epoch", store->epoch, sizeof store->epoch);
    load_channels(store);
    store->sequence = highest_sequence(store);
    if (pthread_create(&store->thread, NULL, run_writer, store) != 0) {
        snprintf(message, size, "cannot start the writer of %s", path);
        free_store(store);
        return -EAGAIN;
    }
    *out = store;
    return 0;
}

void store_close(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->closing = true;
    pthread_cond_signal(&store->work);
    pthread_mutex_unlock(&store->mutex);
    pthread_join(store->thread, NULL);
    free_store(store);
}
