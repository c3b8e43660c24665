/* The outcome of a run: one JSON object on one line of stdout, the same in words on stderr. */

#ifndef BENCH_LOAD_RESULT_H
#define BENCH_LOAD_RESULT_H

#include <stdbool.h>
#include <stdint.h>

void result_begin(const char *mode, const char *target);
void result_integer(const char *key, uint64_t value);
void result_real(const char *key, double value);
void result_end(bool ok);

#endif
