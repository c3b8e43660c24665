#ifndef SSE_UNIT_MODELS_DELIVERY_H
#define SSE_UNIT_MODELS_DELIVERY_H

#include "models/program.h"

/* Runs the program on a hub with a replica that follows it and with readers: channels come, go and
 * change their limits, subscriptions by name and by pattern with and without filters come and go,
 * events are published, and readers join anywhere, keep in step, fall behind and catch up, as a
 * shard's would. Checks (models/expect.h) that the replica has the hub's logs at the end of each
 * turn, and that each reader gets what its subscription lets through: in order, nothing twice,
 * nothing missing that was not superseded, and a lag when, and only when, something was lost. */
void expect_delivery(struct program program);

#endif
