#ifndef SSE_UNIT_SUPPORT_UNIT_H
#define SSE_UNIT_SUPPORT_UNIT_H

/* What every unit test includes first: cmocka, with the headers that it wants before itself, and
 * assertions for our own types. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"

/* A test case; its name is a sentence about the subject. */
#define TEST(name) static void name(void **state __attribute__((unused)))

#define RUN_TESTS(...)                                                                             \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                           \
        return cmocka_run_group_tests(tests, NULL, NULL);                                          \
    }

static inline void assert_slice_at(struct slice actual, struct slice expected, const char *file,
                                   int line)
{
    if (slice_equal(actual, expected))
        return;
    print_error("got  (%zu bytes) %.*s\nwant (%zu bytes) %.*s\n", actual.length, (int)actual.length,
                actual.data == NULL ? "" : actual.data, expected.length, (int)expected.length,
                expected.data == NULL ? "" : expected.data);
    _fail(file, line);
}

#define assert_slice(actual, expected) assert_slice_at(actual, expected, __FILE__, __LINE__)
#define assert_text(actual, text) assert_slice_at(actual, slice_text(text), __FILE__, __LINE__)

#endif
