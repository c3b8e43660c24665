#include "support/unit.h"

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log_line.h"

/* What goes to stderr, caught in a file. */
static int saved_stderr;
static char caught[1 << 20];

static void catch_stderr(void)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    fclose(file);
    fcntl(STDERR_FILENO, F_SETFL, O_APPEND);
}

static const char *caught_text(void)
{
    off_t length = lseek(STDERR_FILENO, 0, SEEK_END);
    ssize_t got = pread(STDERR_FILENO, caught, sizeof caught - 1, 0);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    assert_int_equal(got, length);
    caught[got] = '\0';
    return caught;
}

/* Skips a time like 2026-01-31T12:00:00.123Z and the space behind it. */
static const char *after_time(const char *line)
{
    const char *shape = "dddd-dd-ddTdd:dd:dd.dddZ ";
    for (; *shape != '\0'; shape++, line++) {
        if (*shape == 'd')
            assert_true(isdigit((unsigned char)*line));
        else
            assert_int_equal(*line, *shape);
    }
    return line;
}

TEST(a_line_has_its_time_its_level_and_its_text)
{
    catch_stderr();
    log_line(LOG_INFO, "%d of %s", 3, "four");
    log_line(LOG_ERROR, "broken");
    const char *text = caught_text();
    text = after_time(text);
    assert_int_equal(strncmp(text, "info  3 of four\n", 16), 0);
    assert_string_equal(after_time(text + 16), "error broken\n");
}

TEST(lines_below_the_level_are_not_written)
{
    assert_false(log_line_enabled(LOG_DEBUG));
    catch_stderr();
    log_line_set_level(LOG_WARN);
    log_line(LOG_INFO, "quiet");
    log_line(LOG_WARN, "loud");
    log_line_set_level(LOG_QUIET);
    log_line(LOG_ERROR, "quiet too");
    log_line_set_level(LOG_INFO);
    assert_string_equal(after_time(caught_text()), "warn  loud\n");
}

/* What an outsider sends must not steer a terminal or look like a line of its own. */
TEST(control_bytes_are_escaped)
{
    catch_stderr();
    log_line(LOG_INFO, "%s",
             "a\x1b[2J\r\x7f\x01\tb \xc3\xa4 \xc2\x9b"
             "c\xc2\xa0");
    assert_string_equal(after_time(caught_text()),
                        "info  a\\x1b[2J\\x0d\\x7f\\x01\tb \xc3\xa4 \\xc2\\x9b"
                        "c\xc2\xa0\n");
}

TEST(further_lines_are_indented)
{
    catch_stderr();
    log_line(LOG_INFO, "one\ntwo\nthree");
    assert_string_equal(after_time(caught_text()), "info  one\n    two\n    three\n");
}

TEST(levels_have_names)
{
    enum log_level level = LOG_QUIET;
    assert_true(log_line_parse_level("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_line_parse_level("quiet", &level));
    assert_int_equal(level, LOG_QUIET);
    assert_false(log_line_parse_level("", &level));
    assert_false(log_line_parse_level("Info", &level));
    assert_false(log_line_parse_level("inf", &level));
    assert_int_equal(level, LOG_QUIET);
}

enum { THREADS = 4, LINES = 200 };

static void *write_lines(void *name)
{
    for (int i = 0; i < LINES; i++)
        log_line(LOG_INFO, "<%s%s%s%s>", (char *)name, (char *)name, (char *)name, (char *)name);
    return NULL;
}

TEST(lines_of_several_threads_never_mix)
{
    static char names[THREADS][2] = {"a", "b", "c", "d"};
    pthread_t threads[THREADS];
    int counts[THREADS] = {0};
    catch_stderr();
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, write_lines, names[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    char *line = (char *)caught_text(), *next;
    for (; *line != '\0'; line = next + 1) {
        next = strchr(line, '\n');
        *next = '\0';
        const char *text = after_time(line);
        char expected[] = "info  <xxxx>";
        memset(expected + 7, text[7], 4);
        assert_string_equal(text, expected);
        counts[text[7] - 'a']++;
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(counts[i], LINES);
}

RUN_TESTS(cmocka_unit_test(a_line_has_its_time_its_level_and_its_text),
          cmocka_unit_test(lines_below_the_level_are_not_written),
          cmocka_unit_test(control_bytes_are_escaped), cmocka_unit_test(further_lines_are_indented),
          cmocka_unit_test(levels_have_names), cmocka_unit_test(lines_of_several_threads_never_mix))
