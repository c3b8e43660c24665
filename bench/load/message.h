/* What the bench publishes, `{"n":17,"c":3,"pad":"xxxx"}` filled up to the size asked for, and the
 * templates of its URLs. */

#ifndef BENCH_LOAD_MESSAGE_H
#define BENCH_LOAD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_MIN 64 /* both numbers at their longest, and what is around them */

/* Values for the places in a URL template: %c channel, %g group, %f first number of a burst, %k how
 * many in a burst, %s bytes of each. */
struct message_place {
    const char *channel;
    uint32_t group;
    uint64_t first;
    uint32_t count, bytes;
};

/* Writes exactly `bytes` bytes (at least MESSAGE_MIN), without a terminator. */
void message_write(char *out, size_t bytes, uint64_t number, uint32_t channel);

/* Finds the number after `"key":`, for the one-letter key. False if there is none. */
bool message_read(const char *bytes, size_t length, char key, uint64_t *number);

/* Fills a template in. Returns the length, or -E2BIG. */
int message_expand(char *out, size_t size, const char *template, const struct message_place *place);

#endif
