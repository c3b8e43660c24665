#ifndef SSE_CORE_EXCHANGE_H
#define SSE_CORE_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/buffer.h"
#include "proto/http_request.h"

/* What passes between a connection and the script: a request in, a response out. */

/* Names a connection for the life of the process: shard, generation and slot. A connection that is
 * gone answers to no id, so a late message harms nothing. */
typedef uint64_t connection_id;

struct exchange {
    struct http_request *request;
    struct address address; /* of the peer */
};

/* Bytes, then perhaps a part of a file. */
struct response {
    struct buffer bytes;
    int file; /* -1, or a descriptor that closes with the response */
    int64_t file_offset;
    uint64_t file_length;
    bool close;   /* the connection ends after it */
    bool chunked; /* of a stream: how its frames travel */
};

struct response *response_new(void);
/* May be called with NULL. */
void response_free(struct response *response);
void exchange_free(struct exchange *exchange);

#endif
