#ifndef SSE_UNIT_MODELS_EXPECT_H
#define SSE_UNIT_MODELS_EXPECT_H

#include <stdio.h>
#include <stdlib.h>

/* The models run under cmocka and under a fuzzer, so what they find wrong ends the process. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
