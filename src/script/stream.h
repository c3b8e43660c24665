#ifndef SSE_SCRIPT_STREAM_H
#define SSE_SCRIPT_STREAM_H

#include "script/vm.h"

/* Streams of the script's own: request:stream and the methods of "sse.stream". */

/* Ends all streams; their clients are told when to come back. */
void stream_leave_all(struct vm *vm);
/* The vm closes: no stream may be used any more. */
void stream_forget_all(struct vm *vm);

#endif
