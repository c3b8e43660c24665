#ifndef SSE_SCRIPT_AUDIENCE_H
#define SSE_SCRIPT_AUDIENCE_H

#include "script/vm.h"

/* Whether a channel has subscribers, for those who work only then: core.audience. */

void audience_stop_all(struct vm *vm);

#endif
