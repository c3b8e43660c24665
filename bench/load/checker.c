#include "load/checker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int checker_init(struct checker *checker, uint32_t subscribers, uint32_t lanes, uint32_t first)
{
    memset(checker, 0, sizeof *checker);
    checker->subscribers = subscribers;
    checker->lanes = lanes;
    checker->next = calloc((size_t)subscribers * lanes, sizeof *checker->next);
    checker->order = calloc(subscribers, sizeof *checker->order);
    if (!checker->next || !checker->order) {
        checker_deinit(checker);
        return -ENOMEM;
    }
    for (size_t i = 0; first && i < (size_t)subscribers * lanes; i++)
        checker->next[i] = first;
    return 0;
}

void checker_deinit(struct checker *checker)
{
    free(checker->next);
    free(checker->order);
    checker->next = NULL;
    checker->order = NULL;
}

static void remember_gap(struct checker *checker, uint32_t subscriber, uint64_t number)
{
    checker->lost++;
    if (checker->gap_count < CHECKER_GAPS_MAX)
        checker->gaps[checker->gap_count++] = (struct checker_gap){subscriber, number};
}

/* True if the number was missing here: it is late, not doubled. */
static bool fill_gap(struct checker *checker, uint32_t subscriber, uint64_t number)
{
    for (uint32_t i = 0; i < checker->gap_count; i++) {
        struct checker_gap *gap = &checker->gaps[i];
        if (gap->subscriber == subscriber && gap->number == number) {
            *gap = checker->gaps[--checker->gap_count];
            return true;
        }
    }
    return false;
}

bool checker_take(struct checker *checker, uint32_t subscriber, uint64_t number)
{
    uint32_t lane = (uint32_t)(number % checker->lanes);
    uint64_t turn = number / checker->lanes;
    uint32_t *next = &checker->next[(size_t)subscriber * checker->lanes + lane];

    if (turn == *next) {
        checker->order[subscriber] = (checker->order[subscriber] ^ number) * 0x9e3779b97f4a7c15ull;
        checker->order[subscriber] ^= checker->order[subscriber] >> 29;
        checker->good++;
        (*next)++;
        return true;
    }
    if (turn > *next) {
        for (uint64_t missing = *next; missing < turn; missing++)
            remember_gap(checker, subscriber, missing * checker->lanes + lane);
        *next = (uint32_t)turn + 1;
    } else if (fill_gap(checker, subscriber, number)) {
        checker->lost--;
        checker->reordered++;
    } else {
        checker->doubled++;
    }
    return false;
}

void checker_finish(struct checker *checker, const uint32_t *turns)
{
    for (uint32_t i = 0; i < checker->subscribers; i++) {
        const uint32_t *next = &checker->next[(size_t)i * checker->lanes];
        bool complete = true;
        for (uint32_t lane = 0; lane < checker->lanes; lane++) {
            if (next[lane] < turns[lane]) {
                checker->lost += turns[lane] - next[lane];
                complete = false;
            }
        }
        if (complete && checker->lost == 0 && checker->order[i] != checker->order[0])
            checker->reordered++;
    }
}

bool checker_is_clean(const struct checker *checker)
{
    return checker->lost == 0 && checker->doubled == 0 && checker->reordered == 0 &&
           checker->strange == 0 && checker->resets == 0;
}
