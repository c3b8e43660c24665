#ifndef SSE_SCRIPT_RESUME_H
#define SSE_SCRIPT_RESUME_H

#include "script/vm.h"

/* Where a stream starts, in memory or in the store: as subscription_resolve, with result->deep for
 * a cursor that is older than what memory has whole. */
void resume_resolve(struct vm *vm, struct subscription *subscription, const struct start *start,
                    struct start_result *result);

#endif
