#ifndef SSE_UNIT_MODELS_PROGRAM_H
#define SSE_UNIT_MODELS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes read as a program: a fuzzer or a random source chooses them, an interpreter takes from them
 * what to do next. Behind the end, everything reads as 0. */
struct program {
    const uint8_t *bytes;
    size_t length;
};

static inline bool program_has_more(const struct program *program)
{
    return program->length > 0;
}

static inline uint32_t program_byte(struct program *program)
{
    if (program->length == 0)
        return 0;
    program->length--;
    return *program->bytes++;
}

/* In 0 .. bound - 1; bound is at most 65536. */
static inline uint32_t program_below(struct program *program, uint32_t bound)
{
    uint32_t value = program_byte(program);
    if (bound > 256)
        value = value << 8 | program_byte(program);
    return value % bound;
}

/* The next `length` bytes, or as many as there are. */
static inline const uint8_t *program_take(struct program *program, size_t *length)
{
    const uint8_t *bytes = program->bytes;
    if (*length > program->length)
        *length = program->length;
    program->bytes += *length;
    program->length -= *length;
    return bytes;
}

#endif
