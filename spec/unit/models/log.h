#ifndef SSE_UNIT_MODELS_LOG_H
#define SSE_UNIT_MODELS_LOG_H

#include "models/program.h"

/* Runs the program on a log and on a plain array beside it, and checks (models/expect.h) after each
 * step that the log says what the array says: what is retained, in order, with its verdicts, and
 * that a replay from any cursor is the array's suffix. At the end no frame has a reference too
 * many. */
void expect_log_is_an_array(struct program program);

#endif
