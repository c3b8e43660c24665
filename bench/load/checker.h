/* Checks that every subscriber hears every event once and in the order in which all the others hear
 * it. Publishers are lanes: event n belongs to lane n % lanes, and a lane publishes its events one
 * after the other; between lanes any order is right as long as all subscribers agree on it. */

#ifndef BENCH_LOAD_CHECKER_H
#define BENCH_LOAD_CHECKER_H

#include <stdbool.h>
#include <stdint.h>

/* Events skipped that may still turn up late; past this many they stay counted as lost. */
#define CHECKER_GAPS_MAX 4096

struct checker_gap {
    uint32_t subscriber;
    uint64_t number;
};

struct checker {
    uint32_t subscribers, lanes;
    uint32_t *next;  /* per subscriber and lane: the turn that has to come next */
    uint64_t *order; /* per subscriber: a hash over all numbers in the order heard */
    struct checker_gap gaps[CHECKER_GAPS_MAX];
    uint32_t gap_count;
    uint64_t good, lost, doubled, reordered;
    uint64_t strange; /* events that carry no number or are of another channel */
    uint64_t resets;  /* losses that the server told */
};

/* Expect every lane to start with turn `first`. Returns 0 or -ENOMEM. */
int checker_init(struct checker *checker, uint32_t subscribers, uint32_t lanes, uint32_t first);
void checker_deinit(struct checker *checker);

/* A subscriber heard event `number`. True if it was the one due. */
bool checker_take(struct checker *checker, uint32_t subscriber, uint64_t number);

/* All is quiet: whoever heard another order than subscriber 0 is counted as reordered, and every
 * lane must have got to turn `turns[lane]` with every subscriber, else the rest is lost. */
void checker_finish(struct checker *checker, const uint32_t *turns);

/* True if nothing was lost, doubled, reordered, strange or reset. */
bool checker_is_clean(const struct checker *checker);

#endif
