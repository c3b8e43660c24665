#ifndef SSE_CORE_START_H
#define SSE_CORE_START_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct hub;
struct subscription;

/* Where a stream starts. */
enum start_kind {
    START_LATEST,
    START_EARLIEST,
    START_LAST,     /* number events */
    START_SINCE,    /* number = milliseconds since 1970 */
    START_SEQUENCE, /* after the event of the sequence in number */
    START_ID,       /* after the event with that id */
};

struct start {
    enum start_kind kind;
    int64_t number;
    struct slice id; /* borrowed */
};

/* Why the client is told of a loss. */

enum reset_reason { RESET_NONE, RESET_EVICTED, RESET_UNKNOWN, RESET_EPOCH, RESET_LAGGED };

/* The answer to a start: a cursor, and whether the client must be told of a loss. */
struct start_result {
    uint64_t cursor; /* the stream continues with the first event of a higher sequence */
    enum reset_reason reset;
    uint64_t oldest; /* the oldest event that the log has, 0 for none */
    uint64_t latest; /* the last sequence given */
    bool deep;       /* the store has events after the cursor that memory has not */
    int64_t wanted;  /* START_LAST: how many events more than memory has were asked for */
};

/* Reads the grammar of starting points: an id, "earliest", "latest", "last=20", "since=10m"
 * (`now` in milliseconds). Everything that is none of the others is an id. False for a malformed
 * number or duration behind "last=" or "since="; *out is then the text as an (unknown) id. The id
 * borrows from `text`. */
bool start_parse(struct slice text, int64_t now, struct start *out);

/* Whether the text in a client's header means the event with that id and nothing else. */
bool start_is_id(struct slice text);

/* Finds the cursor. With a filter, the events that this looks at must have been judged. */
void subscription_resolve(struct hub *hub, struct subscription *subscription,
                          const struct start *start, struct start_result *out);

/* "evicted", "unknown", "epoch", "lagged", or "" for none. */
const char *reset_reason_name(enum reset_reason reason);

#endif
