#include "core/log.h"

#include <stdlib.h>

#include "base/memory.h"

void log_init(struct log *log)
{
    *log = (struct log){0};
}

void log_deinit(struct log *log)
{
    for (uint32_t i = 0; i < log->count; i++) {
        frame_unref(log_at(log, i)->frame);
        log_variants_free(log_at(log, i)->variants);
    }
    free(log->entries);
    free(log->verdicts);
    *log = (struct log){0};
}

static uint64_t *verdicts_at(const struct log *log, uint32_t position)
{
    size_t index = (log->head + position) & (log->capacity - 1);
    return log->verdicts + index * log->verdict_words;
}

/* Copies the live entries into rings of the given size. Holes go. */
static void rebuild(struct log *log, uint32_t capacity, uint32_t words)
{
    struct log old = *log;
    log->entries = capacity == 0 ? NULL : memory_new(capacity * sizeof *log->entries);
    log->verdicts = words == 0 || capacity == 0
                        ? NULL
                        : memory_zero((size_t)capacity * words, sizeof *log->verdicts);
    log->capacity = capacity;
    log->verdict_words = words;
    log->head = log->count = log->holes = 0;
    uint32_t shared = old.verdict_words < words ? old.verdict_words : words;
    for (uint32_t i = 0; i < old.count; i++) {
        if (log_at(&old, i)->frame == NULL)
            continue;
        log->entries[log->count] = *log_at(&old, i);
        if (shared > 0)
            memcpy(verdicts_at(log, log->count), verdicts_at(&old, i), shared * sizeof(uint64_t));
        log->count++;
    }
    free(old.entries);
    free(old.verdicts);
}

static uint32_t capacity_for(uint32_t count)
{
    uint32_t capacity = 4;
    while (capacity < count)
        capacity *= 2;
    return capacity;
}

void log_append(struct log *log, struct frame *frame, const uint64_t *verdicts, uint32_t words)
{
    if (log->count == log->capacity || words > log->verdict_words) {
        uint32_t wanted = words > log->verdict_words ? words : log->verdict_words;
        rebuild(log, capacity_for(log_length(log) + 1), wanted);
    }
    *log_at(log, log->count) = (struct log_entry){frame_ref(frame), frame->sequence, NULL};
    log->count++;
    log->bytes += frame_memory(frame);
    if (log->verdict_words > 0) {
        uint64_t *own = verdicts_at(log, log->count - 1);
        memset(own, 0, log->verdict_words * sizeof *own);
        if (words > 0)
            memcpy(own, verdicts, words * sizeof *own);
    }
}

static size_t memory_of(const struct log_variant *variant)
{
    return sizeof *variant + frame_memory(variant->frame);
}

static void release_variants(struct log *log, struct log_entry *entry)
{
    for (const struct log_variant *one = entry->variants; one != NULL; one = one->next)
        log->bytes -= memory_of(one);
    log_variants_free(entry->variants);
    entry->variants = NULL;
}

static void release(struct log *log, struct log_entry *entry)
{
    if (entry->frame == NULL) {
        log->holes--;
        return;
    }
    log->bytes -= frame_memory(entry->frame);
    frame_unref(entry->frame);
    release_variants(log, entry);
    entry->frame = NULL;
}

static void drop_first(struct log *log)
{
    release(log, log_at(log, 0));
    log->head = (log->head + 1) & (log->capacity - 1);
    log->count--;
}

static void drop_first_holes(struct log *log)
{
    while (log->count > 0 && log_at(log, 0)->frame == NULL)
        drop_first(log);
}

/* A log that was large and is small now gives its memory back. */
static void shrink(struct log *log)
{
    uint32_t length = log_length(log);
    if (length == 0 && log->capacity > 16)
        rebuild(log, 0, log->verdict_words);
    else if (log->capacity > 64 && length * 8 < log->capacity)
        rebuild(log, capacity_for(length * 2), log->verdict_words);
}

void log_evict(struct log *log, uint64_t sequence)
{
    while (log->count > 0 && log_at(log, 0)->sequence <= sequence)
        drop_first(log);
    drop_first_holes(log);
    if (sequence > log->evicted)
        log->evicted = sequence;
    shrink(log);
}

void log_supersede(struct log *log, uint64_t sequence)
{
    uint32_t position = sequence == 0 ? 0 : log_after(log, sequence - 1);
    if (position == log->count)
        return;
    struct log_entry *entry = log_at(log, position);
    if (entry->sequence != sequence || entry->frame == NULL)
        return;
    release(log, entry);
    log->holes++;
    drop_first_holes(log);
    if (log->holes > 16 && log->holes * 2 > log->count)
        rebuild(log, capacity_for(log_length(log)), log->verdict_words);
}

void log_forget(struct log *log, uint64_t sequence)
{
    log_supersede(log, sequence);
    if (sequence > log->evicted)
        log->evicted = sequence;
}

uint32_t log_after(const struct log *log, uint64_t sequence)
{
    uint32_t low = 0, high = log->count;
    /* Readers are nearly always at the end. */
    if (high == 0 || log_at(log, high - 1)->sequence <= sequence)
        return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (log_at(log, middle)->sequence <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct log_entry *log_find_id(const struct log *log, struct slice id)
{
    for (uint32_t i = log->count; i > 0; i--) {
        struct log_entry *entry = log_at(log, i - 1);
        const struct frame *frame = entry->frame;
        if (frame != NULL && frame->id.length > 0 && slice_equal(frame_part(frame, frame->id), id))
            return entry;
    }
    return NULL;
}

void log_reserve_slot(struct log *log, uint32_t slot)
{
    if (slot / 64 >= log->verdict_words)
        rebuild(log, log->capacity, slot / 64 + 1);
}

bool log_verdict(const struct log *log, uint32_t position, uint32_t slot)
{
    if (slot / 64 >= log->verdict_words)
        return false;
    return (verdicts_at(log, position)[slot / 64] >> (slot % 64)) & 1;
}

static void drop_variant(struct log *log, struct log_entry *entry, uint32_t slot)
{
    for (struct log_variant **link = &entry->variants; *link != NULL; link = &(*link)->next) {
        if ((*link)->slot == slot) {
            struct log_variant *old = *link;
            *link = old->next;
            old->next = NULL;
            log->bytes -= memory_of(old);
            log_variants_free(old);
            return;
        }
    }
}

void log_set_verdict(struct log *log, uint32_t position, uint32_t slot, bool verdict)
{
    uint64_t bit = (uint64_t)1 << (slot % 64);
    uint64_t *word = &verdicts_at(log, position)[slot / 64];
    *word = verdict ? *word | bit : *word & ~bit;
    drop_variant(log, log_at(log, position), slot);
}

void log_clear_slot(struct log *log, uint32_t slot)
{
    for (uint32_t i = 0; slot / 64 < log->verdict_words && i < log->count; i++)
        log_set_verdict(log, i, slot, false);
}

void log_set_variant(struct log *log, uint32_t position, uint32_t slot, struct frame *frame)
{
    struct log_entry *entry = log_at(log, position);
    drop_variant(log, entry, slot);
    log_variant_push(&entry->variants, slot, frame);
    log->bytes += memory_of(entry->variants);
}

void log_variant_push(struct log_variant **list, uint32_t slot, struct frame *frame)
{
    struct log_variant *variant = memory_new(sizeof *variant);
    *variant = (struct log_variant){*list, slot, frame_ref(frame)};
    *list = variant;
}

void log_variants_free(struct log_variant *list)
{
    while (list != NULL) {
        struct log_variant *next = list->next;
        frame_unref(list->frame);
        free(list);
        list = next;
    }
}

void log_append_variants(struct log *log, struct log_variant *variants)
{
    log_at(log, log->count - 1)->variants = variants;
    for (; variants != NULL; variants = variants->next)
        log->bytes += memory_of(variants);
}

struct frame *log_frame(const struct log *log, uint32_t position, int32_t slot)
{
    const struct log_entry *entry = log_at(log, position);
    if (entry->frame == NULL || slot < 0)
        return entry->frame;
    if (!log_verdict(log, position, (uint32_t)slot))
        return NULL;
    for (const struct log_variant *variant = entry->variants; variant != NULL;
         variant = variant->next) {
        if (variant->slot == (uint32_t)slot)
            return variant->frame;
    }
    return entry->frame;
}
