#ifndef SSE_NET_ADMISSION_H
#define SSE_NET_ADMISSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/address.h"
#include "base/map.h"

/* Counts connections, in all and per address. It is the one thing that the I/O threads share and
 * change, since an address may come in through any of them; it is touched when a connection comes
 * and goes, never while it lives. */
struct admission {
    pthread_mutex_t mutex;
    uint32_t limit;             /* of connections in all */
    uint32_t limit_per_address; /* 0 for no limit of its own */
    uint32_t count;
    uint64_t refused;
    time_t told; /* when the log was last told of a limit */
    struct map by_address;
};

void admission_init(struct admission *admission, uint32_t limit, uint32_t limit_per_address);
void admission_deinit(struct admission *admission);
/* Counts one more, or returns false when a limit is reached; the log is told now and then. Local
 * sockets have no limit of their own. */
bool admission_enter(struct admission *admission, const struct address *address);
void admission_leave(struct admission *admission, const struct address *address);
uint32_t admission_count(struct admission *admission);
/* How many were turned away. */
uint64_t admission_refused(struct admission *admission);

#endif
