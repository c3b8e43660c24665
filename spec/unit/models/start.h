#ifndef SSE_UNIT_MODELS_START_H
#define SSE_UNIT_MODELS_START_H

#include "base/slice.h"

/* Checks (models/expect.h) that a starting point is exactly one of the grammar's: what is read of
 * it, written again, is read as the same, and what is malformed or of no other kind is the text as
 * an id.
 */
void expect_start_holds(struct slice text);

#endif
