#include "core/change.h"

#include <stdlib.h>

#include "base/memory.h"

struct definition *definition_ref(struct definition *definition)
{
    atomic_fetch_add_explicit(&definition->references, 1, memory_order_relaxed);
    return definition;
}

void definition_unref(struct definition *definition)
{
    if (atomic_fetch_sub_explicit(&definition->references, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < definition->name_count; i++)
        free((char *)definition->names[i].data);
    free(definition->names);
    free(definition);
}

bool definition_wants(const struct definition *definition, const struct frame *frame)
{
    if (definition->name_count == 0)
        return true;
    /* An event without a name is a "message" to its reader (HTML standard, 9.2.6). */
    struct slice name =
        frame->name.length == 0 ? slice_text("message") : frame_part(frame, frame->name);
    for (uint32_t i = 0; i < definition->name_count; i++) {
        if (slice_equal(definition->names[i], name))
            return true;
    }
    return false;
}

static bool carries_frame(const struct change *change)
{
    return change->kind == CHANGE_APPEND || change->kind == CHANGE_EPOCH ||
           change->kind == CHANGE_CHANNEL_OPEN || change->kind == CHANGE_VARIANT;
}

struct change change_copy(const struct change *change)
{
    struct change copy = *change;
    if (carries_frame(change)) {
        if (copy.frame != NULL)
            frame_ref(copy.frame);
        if (copy.words > 1) {
            copy.verdicts = memory_new(copy.words * sizeof *copy.verdicts);
            memcpy(copy.verdicts, change->verdicts, copy.words * sizeof *copy.verdicts);
        }
    } else if (change->kind == CHANGE_SUBSCRIPTION_OPEN) {
        definition_ref(copy.definition);
    }
    return copy;
}

void change_deinit(struct change *change)
{
    if (carries_frame(change)) {
        frame_unref(change->frame);
        if (change->words > 1)
            free(change->verdicts);
    } else if (change->kind == CHANGE_SUBSCRIPTION_OPEN) {
        definition_unref(change->definition);
    }
}
