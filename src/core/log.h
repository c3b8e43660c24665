#ifndef SSE_CORE_LOG_H
#define SSE_CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"

/* The retained events of one channel, oldest first, in order of sequence: a ring of references to
 * frames. An entry whose event was superseded (keyed channels) stays as a hole, never the first,
 * until the ring is compacted. Positions count from 0, the oldest; they change with every call that
 * removes.
 *
 * Beside each entry stand the verdicts of the channel's filter groups, one bit per group's slot. */
struct log_entry {
    struct frame *frame; /* NULL for a hole */
    uint64_t sequence;
    struct log_variant *variants; /* what filter groups made of the event */
};

/* A filter group may let a changed event through: its subscribers get this frame instead. */
struct log_variant {
    struct log_variant *next;
    uint32_t slot;
    struct frame *frame;
};

struct log {
    struct log_entry *entries;
    uint64_t *verdicts; /* capacity x verdict_words, or NULL */
    uint32_t capacity;  /* 0 or a power of two */
    uint32_t head;
    uint32_t count; /* entries, holes included */
    uint32_t holes;
    uint32_t verdict_words;
    uint64_t evicted; /* the highest sequence that retention took; 0 for none */
    size_t bytes;     /* memory of the frames, variants included */
};

void log_init(struct log *log);
void log_deinit(struct log *log);

/* Takes a reference of its own. `verdicts` has `words` words; further slots read as false. The
 * frame's sequence must be higher than all before. */
void log_append(struct log *log, struct frame *frame, const uint64_t *verdicts, uint32_t words);

/* Takes the list, for the newest entry. */
void log_append_variants(struct log *log, struct log_variant *variants);
/* Adds to a list. References the frame. */
void log_variant_push(struct log_variant **list, uint32_t slot, struct frame *frame);
void log_variants_free(struct log_variant *list);
/* The frame that a filter group's subscribers get of the entry, or NULL for none. Slot -1: no
 * filter. */
struct frame *log_frame(const struct log *log, uint32_t position, int32_t slot);

/* Drops every entry up to and including `sequence` and remembers that they are gone. */
void log_evict(struct log *log, uint64_t sequence);

/* Makes a hole of the entry with that sequence, if there is one. */
void log_supersede(struct log *log, uint64_t sequence);
/* The same for an event that nothing newer replaces: remembers that it is gone. */
void log_forget(struct log *log, uint64_t sequence);

static inline struct log_entry *log_at(const struct log *log, uint32_t position)
{
    return &log->entries[(log->head + position) & (log->capacity - 1)];
}

/* The entries that are no holes. */
static inline uint32_t log_length(const struct log *log)
{
    return log->count - log->holes;
}

/* The highest sequence in the log, 0 when it is empty. */
static inline uint64_t log_last(const struct log *log)
{
    return log->count == 0 ? 0 : log_at(log, log->count - 1)->sequence;
}

/* The position of the first entry with a higher sequence; log->count when there is none. */
uint32_t log_after(const struct log *log, uint64_t sequence);

/* The newest entry that bears that id (wire form), or NULL. Nothing bears an empty one. */
struct log_entry *log_find_id(const struct log *log, struct slice id);

/* Makes room for verdicts of that slot. Positions change. */
void log_reserve_slot(struct log *log, uint32_t slot);
bool log_verdict(const struct log *log, uint32_t position, uint32_t slot);
/* The slot must be reserved. What the group made of the event before is forgotten. */
void log_set_verdict(struct log *log, uint32_t position, uint32_t slot, bool verdict);
/* Another group has the slot: what the one before made of the events is forgotten. */
void log_clear_slot(struct log *log, uint32_t slot);
/* A changed event for the slot's group. References the frame. */
void log_set_variant(struct log *log, uint32_t position, uint32_t slot, struct frame *frame);

#endif
