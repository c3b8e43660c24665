#ifndef SSE_SCRIPT_STREAM_H
#define SSE_SCRIPT_STREAM_H

#include "script/vm.h"

/* Streams of the script's own: request:stream and the methods of "sse.stream". */

/* The vm closes: no stream may be used any more. */
void stream_forget_all(struct vm *vm);

#endif
