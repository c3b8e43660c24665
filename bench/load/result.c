#include "load/result.h"

#include <inttypes.h>
#include <stdio.h>

/* The target's name comes from the command line; what JSON forbids in a string is left out. */
static void print_text(const char *text)
{
    putchar('"');
    for (const char *c = text; *c; c++) {
        if (*c != '"' && *c != '\\' && (unsigned char)*c >= ' ')
            putchar(*c);
    }
    putchar('"');
}

void result_begin(const char *mode, const char *target)
{
    printf("{\"mode\":");
    print_text(mode);
    printf(",\"target\":");
    print_text(target);
    fprintf(stderr, "%s %s:", target, mode);
}

void result_integer(const char *key, uint64_t value)
{
    printf(",\"%s\":%" PRIu64, key, value);
    fprintf(stderr, " %s %" PRIu64, key, value);
}

void result_real(const char *key, double value)
{
    printf(",\"%s\":%.6g", key, value);
    fprintf(stderr, " %s %.4g", key, value);
}

void result_end(bool ok)
{
    printf(",\"ok\":%s}\n", ok ? "true" : "false");
    fprintf(stderr, " %s\n", ok ? "ok" : "FAILED");
    fflush(stdout);
}
