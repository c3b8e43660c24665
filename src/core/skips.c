#include "core/skips.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/memory.h"

struct skip {
    uint32_t channel;
    uint64_t sequence;
};

struct skips {
    uint32_t count;
    struct skip all[];
};

uint64_t skips_of(const struct skips *skips, uint32_t channel)
{
    for (uint32_t i = 0; skips != NULL && i < skips->count; i++) {
        if (skips->all[i].channel == channel)
            return skips->all[i].sequence;
    }
    return 0;
}

void skips_add(struct skips **skips, uint32_t channel, uint64_t sequence)
{
    uint32_t count = *skips == NULL ? 0 : (*skips)->count;
    for (uint32_t i = 0; i < count; i++) {
        if ((*skips)->all[i].channel == channel) {
            (*skips)->all[i].sequence = sequence;
            return;
        }
    }
    *skips = memory_grow(*skips, sizeof **skips + (count + 1) * sizeof(struct skip));
    (*skips)->all[count] = (struct skip){channel, sequence};
    (*skips)->count = count + 1;
}

void skips_free(struct skips *skips)
{
    free(skips);
}
