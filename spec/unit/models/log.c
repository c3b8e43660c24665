#include "models/log.h"

#include <stdio.h>

#include "core/log.h"
#include "models/expect.h"

/* Every 24th slot may have an event of its own. */
enum { EVENTS = 256, SLOTS = 192, WORDS = SLOTS / 64, STRIDE = 24, VARIANTS = SLOTS / STRIDE };

/* Every event that was ever appended, in order; those that are gone stay as such. */
struct model {
    struct {
        struct frame *frame; /* one reference is the model's */
        uint64_t sequence;
        bool retained;
        bool verdicts[SLOTS];
        struct frame *variants[VARIANTS]; /* a reference is the model's */
    } events[EVENTS];
    size_t count;
    uint64_t evicted;
    uint64_t sequence;
    struct log log;
};

/* Ids repeat, and some events have none. */
static struct frame *new_frame(struct program *program, uint64_t sequence)
{
    char id[8], data[100];
    uint32_t number = program_below(program, 10);
    uint32_t length = program_below(program, sizeof data);
    snprintf(id, sizeof id, "%u", (unsigned)number);
    memset(data, 'x', length);
    return frame_new(&(struct frame_source){.id = number == 0 ? slice_of(NULL, 0) : slice_text(id),
                                            .data = slice_of(data, length),
                                            .retry = -1,
                                            .sequence = sequence});
}

static void append(struct model *model, struct program *program)
{
    if (model->count == EVENTS)
        return;
    uint64_t verdicts[WORDS] = {0};
    uint32_t words = program_below(program, WORDS + 1);
    model->sequence += 1 + program_below(program, 3);
    size_t index = model->count++;
    model->events[index].frame = new_frame(program, model->sequence);
    model->events[index].sequence = model->sequence;
    model->events[index].retained = true;
    for (uint32_t slot = 0; slot < words * 64; slot++) {
        bool verdict =
            slot % 8 == 0 ? program_byte(program) & 1 : model->events[index].verdicts[slot - 1];
        model->events[index].verdicts[slot] = verdict;
        verdicts[slot / 64] |= (uint64_t)verdict << (slot % 64);
    }
    log_append(&model->log, model->events[index].frame, verdicts, words);
    struct log_variant *variants = NULL;
    if (program_byte(program) % 8 == 0) {
        uint32_t number = program_below(program, VARIANTS);
        model->events[index].variants[number] = new_frame(program, model->sequence);
        log_variant_push(&variants, number * STRIDE, model->events[index].variants[number]);
    }
    log_append_variants(&model->log, variants);
}

/* A sequence between 0 and one more than the last. */
static uint64_t some_sequence(const struct model *model, struct program *program)
{
    return program_below(program, (uint32_t)model->sequence + 2);
}

static void evict(struct model *model, uint64_t sequence)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->events[i].sequence <= sequence)
            model->events[i].retained = false;
    }
    if (sequence > model->evicted)
        model->evicted = sequence;
    log_evict(&model->log, sequence);
}

static void supersede(struct model *model, uint64_t sequence)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->events[i].sequence == sequence)
            model->events[i].retained = false;
    }
    log_supersede(&model->log, sequence);
}

static void forget_variant(struct model *model, size_t index, uint32_t slot)
{
    struct frame **variant = &model->events[index].variants[slot / STRIDE];
    if (slot % STRIDE != 0)
        return;
    frame_unref(*variant);
    *variant = NULL;
}

/* A retained event, or the count when there is none. */
static size_t some_retained(const struct model *model, struct program *program)
{
    if (log_length(&model->log) == 0)
        return model->count;
    uint32_t nth = program_below(program, log_length(&model->log));
    size_t index = 0;
    while (!model->events[index].retained || nth-- > 0)
        index++;
    return index;
}

static void set_verdict(struct model *model, struct program *program)
{
    uint32_t slot = program_below(program, SLOTS);
    bool verdict = program_byte(program) & 1;
    size_t index = some_retained(model, program);
    log_reserve_slot(&model->log, slot);
    if (index == model->count)
        return;
    uint32_t position = log_after(&model->log, model->events[index].sequence - 1);
    log_set_verdict(&model->log, position, slot, verdict);
    model->events[index].verdicts[slot] = verdict;
    forget_variant(model, index, slot);
}

static void set_variant(struct model *model, struct program *program)
{
    uint32_t slot = program_below(program, VARIANTS) * STRIDE;
    size_t index = some_retained(model, program);
    if (index == model->count)
        return;
    uint32_t position = log_after(&model->log, model->events[index].sequence - 1);
    forget_variant(model, index, slot);
    model->events[index].variants[slot / STRIDE] = new_frame(program, model->sequence);
    log_set_variant(&model->log, position, slot, model->events[index].variants[slot / STRIDE]);
}

static void clear_slot(struct model *model, struct program *program)
{
    uint32_t slot = program_below(program, SLOTS);
    log_clear_slot(&model->log, slot);
    for (size_t i = 0; i < model->count; i++) {
        model->events[i].verdicts[slot] = false;
        /* A slot that nothing was reserved for has variants only where no verdict asks for them. */
        if (slot / 64 < model->log.verdict_words)
            forget_variant(model, i, slot);
    }
}

static void expect_same_verdicts(const struct model *model, uint32_t position, size_t index)
{
    struct frame *frame = model->events[index].frame;
    for (uint32_t slot = 0; slot < SLOTS; slot += 7)
        EXPECT(log_verdict(&model->log, position, slot) == model->events[index].verdicts[slot]);
    EXPECT(log_frame(&model->log, position, -1) == frame);
    for (uint32_t i = 0; i < VARIANTS; i++) {
        struct frame *variant = model->events[index].variants[i];
        struct frame *expected = variant == NULL ? frame : variant;
        if (!model->events[index].verdicts[i * STRIDE])
            expected = NULL;
        EXPECT(log_frame(&model->log, position, (int32_t)(i * STRIDE)) == expected);
    }
}

/* What a reader at the cursor still gets is what the array has behind it. */
static void expect_suffix(const struct model *model, uint64_t cursor)
{
    uint32_t position = log_after(&model->log, cursor);
    for (size_t i = 0; i < model->count; i++) {
        if (!model->events[i].retained || model->events[i].sequence <= cursor)
            continue;
        while (position < model->log.count && log_at(&model->log, position)->frame == NULL)
            position++;
        EXPECT(position < model->log.count);
        EXPECT(log_at(&model->log, position)->frame == model->events[i].frame);
        EXPECT(log_at(&model->log, position)->sequence == model->events[i].sequence);
        expect_same_verdicts(model, position, i);
        position++;
    }
    for (; position < model->log.count; position++)
        EXPECT(log_at(&model->log, position)->frame == NULL);
}

static void expect_same_ids(const struct model *model)
{
    static const char *const ids[] = {"1", "2", "9", "10"};
    for (size_t n = 0; n < sizeof ids / sizeof ids[0]; n++) {
        const struct frame *newest = NULL;
        for (size_t i = 0; i < model->count; i++) {
            const struct frame *frame = model->events[i].frame;
            if (model->events[i].retained &&
                slice_equal(frame_part(frame, frame->id), slice_text(ids[n])))
                newest = frame;
        }
        const struct log_entry *entry = log_find_id(&model->log, slice_text(ids[n]));
        EXPECT((entry == NULL ? NULL : entry->frame) == newest);
    }
    EXPECT(log_find_id(&model->log, slice_of("", 0)) == NULL);
}

/* Of the variants, which have one reference more while their event is retained. */
static size_t expect_variants(const struct model *model, size_t index)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < VARIANTS; i++) {
        struct frame *variant = model->events[index].variants[i];
        if (variant == NULL)
            continue;
        bytes += sizeof(struct log_variant) + frame_memory(variant);
        EXPECT(atomic_load(&variant->references) == 1u + model->events[index].retained);
    }
    return bytes;
}

static void expect_same_sums(const struct model *model)
{
    const struct log *log = &model->log;
    uint64_t last = 0;
    size_t bytes = 0, length = 0;
    for (size_t i = 0; i < model->count; i++) {
        EXPECT(atomic_load(&model->events[i].frame->references) == 1u + model->events[i].retained);
        size_t variants = expect_variants(model, i);
        if (!model->events[i].retained)
            continue;
        length++;
        bytes += frame_memory(model->events[i].frame) + variants;
        last = model->events[i].sequence;
    }
    EXPECT(log_length(log) == length);
    EXPECT(log->bytes == bytes);
    EXPECT(log->evicted == model->evicted);
    EXPECT(log_last(log) >= last);
    EXPECT(log->count <= log->capacity && (log->capacity & (log->capacity - 1)) == 0);
    EXPECT(log->count == 0 || log_at(log, 0)->frame != NULL);
    EXPECT(log->capacity <= 128 || log->capacity <= 16 * length);
}

static void step(struct model *model, struct program *program)
{
    switch (program_below(program, 8)) {
    case 0:
        evict(model, some_sequence(model, program));
        break;
    case 1:
        evict(model, model->evicted + program_below(program, 4));
        break;
    case 2:
    case 3:
        supersede(model, some_sequence(model, program));
        break;
    case 4:
        if (program_byte(program) % 8 == 0)
            clear_slot(model, program);
        else if (program_byte(program) % 2 == 0)
            set_variant(model, program);
        else
            set_verdict(model, program);
        break;
    default:
        append(model, program);
    }
    expect_same_sums(model);
    expect_suffix(model, 0);
    expect_suffix(model, some_sequence(model, program));
}

void expect_log_is_an_array(struct program program)
{
    struct model *model = calloc(1, sizeof *model);
    log_init(&model->log);
    for (unsigned i = 0; program_has_more(&program); i++) {
        step(model, &program);
        if (i % 8 == 0)
            expect_same_ids(model);
    }
    log_deinit(&model->log);
    for (size_t i = 0; i < model->count; i++) {
        EXPECT(atomic_load(&model->events[i].frame->references) == 1);
        frame_unref(model->events[i].frame);
        for (uint32_t slot = 0; slot < SLOTS; slot += STRIDE)
            forget_variant(model, i, slot);
    }
    free(model);
}
