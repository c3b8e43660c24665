#include "support/unit.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log_line.h"
#include "net/admission.h"
#include "support/random.h"

/* 10.0.0.`last`, as a mapped address. */
static struct address address(unsigned char last)
{
    return (struct address){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last}};
}

static bool enter(struct admission *admission, unsigned char last)
{
    struct address from = address(last);
    return admission_enter(admission, &from);
}

static void leave(struct admission *admission, unsigned char last)
{
    struct address from = address(last);
    admission_leave(admission, &from);
}

TEST(all_connections_together_are_limited)
{
    struct admission admission;
    admission_init(&admission, 2, 0);
    assert_true(enter(&admission, 1));
    assert_true(enter(&admission, 1));
    assert_false(enter(&admission, 2));
    assert_int_equal(admission_count(&admission), 2);
    assert_int_equal(admission.refused, 1);
    leave(&admission, 1);
    assert_true(enter(&admission, 2));
    admission_deinit(&admission);
}

TEST(connections_of_an_address_are_limited)
{
    struct admission admission;
    admission_init(&admission, 100, 2);
    assert_true(enter(&admission, 1));
    assert_true(enter(&admission, 1));
    assert_false(enter(&admission, 1));
    assert_true(enter(&admission, 2));
    leave(&admission, 1);
    assert_true(enter(&admission, 1));
    assert_int_equal(admission_count(&admission), 3);
    admission_deinit(&admission);
}

/* A reverse proxy on a local socket brings everybody's connections. */
TEST(local_sockets_have_no_limit_of_their_own)
{
    struct admission admission;
    struct address local = {{0}};
    admission_init(&admission, 5, 1);
    for (int i = 0; i < 5; i++)
        assert_true(admission_enter(&admission, &local));
    assert_false(admission_enter(&admission, &local));
    for (int i = 0; i < 5; i++)
        admission_leave(&admission, &local);
    assert_int_equal(admission_count(&admission), 0);
    admission_deinit(&admission);
}

TEST(addresses_are_forgotten_when_their_last_connection_goes)
{
    struct admission admission;
    admission_init(&admission, 1000, 10);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++)
            assert_true(enter(&admission, (unsigned char)i));
        assert_int_equal(admission.by_address.count, 200);
        for (int i = 0; i < 200; i++)
            leave(&admission, (unsigned char)i);
        assert_int_equal(admission.by_address.count, 0);
    }
    admission_deinit(&admission);
}

static void *come_and_go(void *context)
{
    struct random random = {(uint64_t)(uintptr_t)&random};
    for (int i = 0; i < 5000; i++) {
        unsigned char last = (unsigned char)random_below(&random, 4);
        if (enter(context, last))
            leave(context, last);
    }
    return NULL;
}

TEST(all_threads_count_together)
{
    struct admission admission;
    pthread_t threads[3];
    admission_init(&admission, 2, 1);
    log_line_set_level(LOG_QUIET);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, come_and_go, &admission);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(admission_count(&admission), 0);
    assert_int_equal(admission.by_address.count, 0);
    admission_deinit(&admission);
}

RUN_TESTS(cmocka_unit_test(all_connections_together_are_limited),
          cmocka_unit_test(connections_of_an_address_are_limited),
          cmocka_unit_test(local_sockets_have_no_limit_of_their_own),
          cmocka_unit_test(addresses_are_forgotten_when_their_last_connection_goes),
          cmocka_unit_test(all_threads_count_together))
