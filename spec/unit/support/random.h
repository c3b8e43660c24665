#ifndef SSE_UNIT_SUPPORT_RANDOM_H
#define SSE_UNIT_SUPPORT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Random numbers that a run can repeat. A test names its seed; the environment's SSE_ROUTER_SEED
 * replaces it, and SSE_ROUTER_ROUNDS multiplies the rounds of a search for rare failures. */

struct random {
    uint64_t state;
};

/* Prints the seed in use, so that a failure can be repeated. */
struct random random_start(uint64_t seed);
uint64_t random_next(struct random *random);
/* In 0 .. bound - 1. */
uint32_t random_below(struct random *random, uint32_t bound);
void random_fill(struct random *random, void *out, size_t length);
/* `rounds`, times the environment's factor. */
unsigned random_rounds(unsigned rounds);

#endif
