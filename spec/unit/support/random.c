#include "support/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 10);
}

struct random random_start(uint64_t seed)
{
    seed = from_environment("SSE_ROUTER_SEED", seed);
    printf("seed %" PRIu64 "\n", seed);
    return (struct random){seed};
}

/* splitmix64 (Steele, Lea and Flood, 2014): every seed is as good as any other. */
uint64_t random_next(struct random *random)
{
    uint64_t value = random->state += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

uint32_t random_below(struct random *random, uint32_t bound)
{
    return (uint32_t)((random_next(random) >> 32) * bound >> 32);
}

void random_fill(struct random *random, void *out, size_t length)
{
    unsigned char *bytes = out;
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)random_next(random);
}

unsigned random_rounds(unsigned rounds)
{
    return rounds * (unsigned)from_environment("SSE_ROUTER_ROUNDS", 1);
}
