#ifndef SSE_BASE_DIGITS_H
#define SSE_BASE_DIGITS_H

#include <stddef.h>
#include <stdint.h>

/* Numbers as text, for what is written with every event and every response: a format takes longer
 * than all the rest of a head. */

enum { DIGITS_MAX = 20 }; /* of 64 bits in base 10 */

/* Writes the number's digits, without a NUL, and returns how many. The base is 10 or 16. */
size_t digits_write(char *out, uint64_t number, unsigned base);

#endif
