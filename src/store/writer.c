#include "store/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log_line.h"
#include "base/memory.h"
#include "store/events.h"

enum {
    BATCH_RECORDS = 4096, /* of one transaction, at most */
    BATCH_BYTES = 16 << 20,
    WAITING_RECORDS = 65536, /* until who hands over more waits */
    WAITING_BYTES = 64 << 20,
    RETRY = 100,    /* milliseconds until facts that could not be written are tried again */
    SWEEP = 1000,   /* ... between looks for events that are too old */
    FORGET = 60000, /* ... between looks for answers that are */
};

static int64_t milliseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Records */

static void push(struct records *records, struct record *record)
{
    record->next = NULL;
    if (records->last == NULL)
        records->first = record;
    else
        records->last->next = record;
    records->last = record;
    records->count++;
    records->bytes += record->frame == NULL ? 0 : frame_memory(record->frame);
}

static struct record *shift(struct records *records)
{
    struct record *record = records->first;
    records->first = record->next;
    if (records->first == NULL)
        records->last = NULL;
    records->count--;
    records->bytes -= record->frame == NULL ? 0 : frame_memory(record->frame);
    return record;
}

static void record_free(struct record *record)
{
    frame_unref(record->frame);
    free((char *)record->text.data);
    free(record);
}

static void free_all(struct records *records)
{
    while (records->first != NULL)
        record_free(shift(records));
}

/* A transaction */

static void touch(struct writer *writer, struct store_channel *channel)
{
    if (list_is_empty(&channel->touched))
        list_append(&writer->touched, &channel->touched);
}

static int write_event(struct writer *writer, const struct record *record, int64_t now)
{
    size_t bytes;
    struct store_channel *channel = record->channel;
    struct database *database = &writer->database;
    touch(writer, channel);
    int code = events_append(database, channel->id, record->frame, &bytes);
    if (code == SQLITE_OK)
        code = retention_count(database, channel, record->frame, bytes);
    if (code != SQLITE_OK || record->text.length == 0)
        return code;
    return database_finish(database_bind(database, STATEMENT_REMEMBER, "sisi", record->text, now,
                                         frame_part(record->frame, record->frame->id),
                                         (int64_t)record->subscribers));
}

static int write_channel(struct writer *writer, const struct record *record)
{
    struct store_channel *channel = record->channel;
    channel->retention = record->retention;
    channel->oldest = INT64_MIN;
    retention_begin(channel, record->sequence);
    writer->sweeps = writer->sweeps || record->retention.max_age > 0;
    if (list_is_empty(&channel->link))
        list_append(&writer->channels, &channel->link);
    touch(writer, channel);
    return database_finish(database_bind(&writer->database, STATEMENT_ADD_CHANNEL, "is",
                                         (int64_t)channel->id, channel->name));
}

static int set(struct writer *writer, const char *name, struct slice text, uint64_t number)
{
    return database_finish(database_bind(&writer->database, STATEMENT_SET, "ssi", slice_text(name),
                                         text, (int64_t)number));
}

static int write_record(struct writer *writer, const struct record *record, int64_t now)
{
    switch (record->kind) {
    case RECORD_EVENT:
        return write_event(writer, record, now);
    case RECORD_CHANNEL:
        return write_channel(writer, record);
    case RECORD_RESERVE:
        return set(writer, "sequence", slice_of("", 0), record->sequence);
    default:
        return set(writer, "epoch", record->text, 0);
    }
}

static int write_all(struct writer *writer, const struct records *records, int64_t now)
{
    int code = SQLITE_OK;
    for (const struct record *record = records->first; record != NULL && code == SQLITE_OK;
         record = record->next)
        code = write_record(writer, record, now);
    return code;
}

static int retain(struct writer *writer, int64_t now)
{
    int code = SQLITE_OK;
    struct list *all = &writer->touched;
    for (struct list *node = all->next; node != all && code == SQLITE_OK; node = node->next)
        code = retention_apply(&writer->database, CONTAINER_OF(node, struct store_channel, touched),
                               now);
    if (code == SQLITE_OK && now >= writer->next_forget) {
        writer->next_forget = now + FORGET;
        code = database_finish(
            database_bind(&writer->database, STATEMENT_FORGET, "i", now - STORE_ANSWER_AGE));
    }
    return code;
}

static void settle_touched(struct writer *writer, bool committed)
{
    while (!list_is_empty(&writer->touched)) {
        struct store_channel *channel =
            CONTAINER_OF(writer->touched.next, struct store_channel, touched);
        list_remove(&channel->touched);
        if (committed)
            writer->evicted += retention_commit(channel);
        else
            retention_rollback(channel);
    }
}

/* 0, or an SQLite code with writer->message. */
static int transact(struct writer *writer, const struct records *records)
{
    struct database *database = &writer->database;
    int64_t now = milliseconds(CLOCK_REALTIME);
    int code = database_run(database, STATEMENT_BEGIN);
    if (code == SQLITE_OK)
        code = write_all(writer, &writer->facts, now);
    if (code == SQLITE_OK)
        code = write_all(writer, records, now);
    if (code == SQLITE_OK)
        code = retain(writer, now);
    if (code == SQLITE_OK)
        code = database_run(database, STATEMENT_COMMIT);
    if (code == SQLITE_OK)
        writer->commits++;
    else
        snprintf(writer->message, sizeof writer->message, "%s", sqlite3_errmsg(database->sqlite));
    if (!sqlite3_get_autocommit(database->sqlite))
        database_run(database, STATEMENT_ROLLBACK);
    settle_touched(writer, code == SQLITE_OK);
    return code;
}

/* One line when the disk fails, and one when it works again. */
static void note_health(struct writer *writer, int code)
{
    if (code != SQLITE_OK && !writer->failing)
        log_line(LOG_ERROR, "cannot write to %s: %s; publishers are refused until it works again",
                 writer->path, writer->message);
    else if (code == SQLITE_OK && writer->failing)
        log_line(LOG_INFO, "writing to %s works again", writer->path);
    writer->failing = code != SQLITE_OK;
}

/* Results */

/* NULL when there were no events to decide. */
static struct result *decide(struct writer *writer, const struct records *records, int code)
{
    struct store_result decided = {.error = code};
    uint64_t events = 0;
    for (const struct record *record = records->first; record != NULL; record = record->next) {
        if (record->kind != RECORD_EVENT)
            continue;
        if (events++ == 0)
            decided.first = record->frame->sequence;
        decided.sequence = record->frame->sequence;
    }
    if (code == SQLITE_OK)
        writer->written += events;
    else
        writer->refused += events;
    if (events == 0)
        return NULL;
    snprintf(decided.message, sizeof decided.message, "%s",
             code == SQLITE_OK ? "" : writer->message);
    struct result *result = memory_new(sizeof *result);
    *result = (struct result){NULL, decided};
    return result;
}

static void post(struct writer *writer, struct result *result)
{
    if (writer->first_result == NULL)
        writer->first_result = result;
    else
        writer->last_result->next = result;
    writer->last_result = result;
}

/* What is no event must not be lost with a transaction that failed. Events that nobody waits for
 * are in memory already; a reader who looks for them on disk must find that they are missing. */
static void keep_facts(struct writer *writer, struct records *records)
{
    while (records->first != NULL) {
        struct record *record = shift(records);
        if (record->kind == RECORD_EVENT && !record->awaited)
            retention_lose(record->channel, record->frame->sequence);
        if (record->kind == RECORD_EVENT)
            record_free(record);
        else
            push(&writer->facts, record);
    }
}

/* Writes the records, and tells those who wait for them. Takes the records. */
static void write_batch(struct writer *writer, struct records *records)
{
    uint64_t count = records->count;
    int code = transact(writer, records);
    note_health(writer, code);
    struct result *result = decide(writer, records, code);
    if (code == SQLITE_OK)
        free_all(&writer->facts);
    else
        keep_facts(writer, records);
    pthread_mutex_lock(&writer->mutex);
    if (result != NULL)
        post(writer, result);
    writer->tried += count;
    writer->incomplete = writer->facts.count > 0;
    memcpy(writer->failure, writer->message, sizeof writer->failure);
    pthread_cond_broadcast(&writer->done);
    pthread_mutex_unlock(&writer->mutex);
    free_all(records);
    if (result != NULL)
        writer->ready(writer->context);
}

/* The thread */

static void take_batch(struct writer *writer, struct records *batch)
{
    while (writer->waiting.first != NULL && batch->count < BATCH_RECORDS &&
           batch->bytes < BATCH_BYTES)
        push(batch, shift(&writer->waiting));
}

/* Puts channels with events that are too old among the touched. */
static bool find_due(struct writer *writer, int64_t now)
{
    if (now < writer->next_sweep)
        return false;
    writer->next_sweep = now + SWEEP;
    int64_t time = milliseconds(CLOCK_REALTIME);
    struct list *all = &writer->channels;
    for (struct list *node = all->next; node != all; node = node->next) {
        struct store_channel *channel = CONTAINER_OF(node, struct store_channel, link);
        if (retention_is_due(channel, time))
            touch(writer, channel);
    }
    return !list_is_empty(&writer->touched);
}

/* Waits for records, or until there is something else to do. Under the mutex. */
static void wait_for_work(struct writer *writer)
{
    bool idle = writer->facts.count == 0 && !writer->sweeps;
    int64_t due = milliseconds(CLOCK_MONOTONIC) + (writer->facts.count > 0 ? RETRY : SWEEP);
    struct timespec deadline = {due / 1000, due % 1000 * 1000000};
    while (writer->waiting.first == NULL && !writer->closing) {
        if (idle)
            pthread_cond_wait(&writer->work, &writer->mutex);
        else if (pthread_cond_timedwait(&writer->work, &writer->mutex, &deadline) == ETIMEDOUT)
            return;
    }
}

static void *run(void *argument)
{
    struct writer *writer = argument;
    bool last = false;
    while (!last) {
        struct records batch = {0};
        pthread_mutex_lock(&writer->mutex);
        wait_for_work(writer);
        take_batch(writer, &batch);
        last = writer->closing && writer->waiting.first == NULL;
        pthread_mutex_unlock(&writer->mutex);
        bool due = find_due(writer, milliseconds(CLOCK_MONOTONIC));
        if (batch.count > 0 || writer->facts.count > 0 || due)
            write_batch(writer, &batch);
    }
    free_all(&writer->facts);
    return NULL;
}

/* The other side */

void writer_hand_over(struct writer *writer, const struct record *source)
{
    struct record *record = memory_new(sizeof *record);
    *record = *source;
    pthread_mutex_lock(&writer->mutex);
    while (writer->waiting.count >= WAITING_RECORDS || writer->waiting.bytes >= WAITING_BYTES)
        pthread_cond_wait(&writer->done, &writer->mutex);
    push(&writer->waiting, record);
    writer->handed_over++;
    pthread_cond_signal(&writer->work);
    pthread_mutex_unlock(&writer->mutex);
}

bool writer_wait(struct writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    uint64_t goal = writer->handed_over;
    while (writer->tried < goal)
        pthread_cond_wait(&writer->done, &writer->mutex);
    bool complete = !writer->incomplete;
    pthread_mutex_unlock(&writer->mutex);
    return complete;
}

void writer_failure(struct writer *writer, char *message, size_t size)
{
    pthread_mutex_lock(&writer->mutex);
    snprintf(message, size, "%s", writer->failure);
    pthread_mutex_unlock(&writer->mutex);
}

bool writer_take_result(struct writer *writer, struct store_result *out)
{
    pthread_mutex_lock(&writer->mutex);
    struct result *result = writer->first_result;
    if (result != NULL) {
        writer->first_result = result->next;
        *out = result->result;
    }
    pthread_mutex_unlock(&writer->mutex);
    free(result);
    return result != NULL;
}

int writer_start(struct writer *writer, const char *path, store_ready_fn ready, void *context)
{
    pthread_condattr_t monotonic;
    writer->path = path;
    writer->ready = ready;
    writer->context = context;
    list_init(&writer->channels);
    list_init(&writer->touched);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&writer->done, NULL);
    writer->started = pthread_create(&writer->thread, NULL, run, writer) == 0;
    return writer->started ? 0 : -EAGAIN;
}

void writer_stop(struct writer *writer)
{
    struct store_result ignored;
    if (!writer->started)
        return;
    pthread_mutex_lock(&writer->mutex);
    writer->closing = true;
    pthread_cond_signal(&writer->work);
    pthread_mutex_unlock(&writer->mutex);
    pthread_join(writer->thread, NULL);
    while (writer_take_result(writer, &ignored))
        continue;
    pthread_mutex_destroy(&writer->mutex);
    pthread_cond_destroy(&writer->work);
    pthread_cond_destroy(&writer->done);
}
