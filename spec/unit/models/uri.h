#ifndef SSE_UNIT_MODELS_URI_H
#define SSE_UNIT_MODELS_URI_H

#include "base/slice.h"

/* Checks (models/expect.h) that decoding gives back what was encoded, and that what decodes from
 * the text as it stands survives too. */
void expect_uri_text_survives(struct slice text);

/* Checks that a target that is taken has a path and a query inside it, that pairs rebuild the
 * query, and that the origin form made of the two reads the same again. */
void expect_uri_target_holds(struct slice target);

#endif
