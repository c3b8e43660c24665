#ifndef SSE_BASE_THREAD_H
#define SSE_BASE_THREAD_H

#include <pthread.h>

/* Starts a thread that signals of the process do not reach. 0 or an error number. */
int thread_start(pthread_t *out, void *(*run)(void *context), void *context);

#endif
