#ifndef SSE_CORE_DEPARTED_H
#define SSE_CORE_DEPARTED_H

#include <stdint.h>

#include "base/map.h"

/* What is remembered of channels that nobody used any more and whose events retention took: how far
 * their events went, so that a reader who comes back to such a channel is told of the loss. */

struct departed {
    struct map by_name;
};

void departed_init(struct departed *departed);
void departed_deinit(struct departed *departed);

/* Remembers a channel that goes. When there are too many, all are forgotten, and the result is the
 * highest sequence of theirs, which then must stand for every channel; else 0. */
uint64_t departed_note(struct departed *departed, struct slice name, uint64_t evicted);
/* What was remembered of the channel that comes back, or 0. */
uint64_t departed_take(struct departed *departed, struct slice name);

#endif
