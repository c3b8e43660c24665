#ifndef SSE_CORE_SKIPS_H
#define SSE_CORE_SKIPS_H

#include <stdint.h>

/* What a subscriber goes without: it was too slow for some of its channels, and goes on with their
 * newest events, while it reads on where it is in all others. */

struct skips;

/* The sequence up to which the channel's events are left out; 0 for none, as for `skips` NULL. */
uint64_t skips_of(const struct skips *skips, uint32_t channel);
/* Leaves out the channel's events up to that sequence. Makes *skips when it is NULL. */
void skips_add(struct skips **skips, uint32_t channel, uint64_t sequence);
void skips_free(struct skips *skips);

#endif
