#include "models/start.h"

#include <inttypes.h>

#include "core/start.h"
#include "models/expect.h"

static const int64_t now = 1700000000000;

static void expect_reads_as(struct slice text, const struct start *expected)
{
    struct start start;
    EXPECT(start_parse(text, now, &start));
    EXPECT(start.kind == expected->kind);
    EXPECT(start.number == expected->number);
}

static void expect_is_id(const struct start *start, struct slice text)
{
    EXPECT(start->kind == START_ID);
    EXPECT(start->id.length == text.length && start->id.data == text.data);
}

void expect_start_holds(struct slice text)
{
    struct start start;
    char again[40];
    if (!start_parse(text, now, &start)) {
        EXPECT(slice_starts_with(text, "last=") || slice_starts_with(text, "since="));
        expect_is_id(&start, text);
        return;
    }
    switch (start.kind) {
    case START_LATEST:
        EXPECT(slice_equal(text, slice_text("latest")));
        break;
    case START_EARLIEST:
        EXPECT(slice_equal(text, slice_text("earliest")));
        break;
    case START_LAST:
        EXPECT(start.number >= 0);
        snprintf(again, sizeof again, "last=%" PRId64, start.number);
        expect_reads_as(slice_text(again), &start);
        break;
    case START_SINCE:
        EXPECT(start.number <= now);
        EXPECT(now - start.number <= 999999999 * INT64_C(86400000));
        break;
    case START_ID:
        EXPECT(!slice_starts_with(text, "last=") && !slice_starts_with(text, "since="));
        expect_is_id(&start, text);
        break;
    default:
        EXPECT(!"a kind that no text names");
    }
}
