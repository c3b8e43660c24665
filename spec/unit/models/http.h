#ifndef SSE_UNIT_MODELS_HTTP_H
#define SSE_UNIT_MODELS_HTTP_H

#include "proto/http_request.h"

/* What a parser made of some input. */
struct http_outcome {
    int result;       /* HTTP_PARSER_DONE, HTTP_PARSER_MORE or an error */
    size_t consumed;  /* of the whole input */
    size_t continued; /* how many bytes were read when the client was to be told 100, or 0 */
    struct http_request *request; /* when DONE, else NULL */
};

/* Feeds the input in pieces whose sizes are taken from `sizes` in turn, again and again; all at
 * once when there are none. Each piece is memory of its own, so a sanitizer sees what is read
 * outside. */
void http_read(struct http_outcome *out, const struct http_limits *limits, struct slice input,
               const uint8_t *sizes, size_t count);
void http_outcome_deinit(struct http_outcome *outcome);

/* Check (models/expect.h). Both refuse, or both say the same; which of several faults a refusal
 * names may depend on the pieces. */
void expect_same_outcome(const struct http_outcome *a, const struct http_outcome *b);
/* That the input in these pieces has the outcome that it has at once. */
void expect_pieces_do_not_matter(const struct http_limits *limits, struct slice input,
                                 const uint8_t *sizes, size_t count);
/* That a request that was taken, written again from what the parser says of it, is read as the same
 * request; so nothing in it was understood in two ways. */
void expect_rewritten_is_same(const struct http_limits *limits, struct slice input);

#endif
