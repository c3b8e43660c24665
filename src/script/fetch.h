#ifndef SSE_SCRIPT_FETCH_H
#define SSE_SCRIPT_FETCH_H

#include "script/vm.h"

/* Outgoing HTTP for the script: core.transfer. */

/* Ends every transfer and closes the vm's client. */
void fetch_stop_all(struct vm *vm);

#endif
