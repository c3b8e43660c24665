#ifndef SSE_NET_SHARD_H
#define SSE_NET_SHARD_H

#include <stdatomic.h>
#include <uv.h>

#include "base/heap.h"
#include "core/replica.h"
#include "net/admission.h"
#include "net/listener.h"
#include "net/mailbox.h"
#include "proto/http_request.h"

/* One I/O thread's world: its loop, its connections, its replica of the logs. */

struct connection;

struct shard_options {
    struct http_limits http;
    unsigned head_timeout;  /* milliseconds for a request's line and headers */
    unsigned body_timeout;  /* milliseconds without progress of a request's body */
    unsigned idle_timeout;  /* milliseconds that a connection may be kept alive between requests */
    unsigned stall_timeout; /* milliseconds without progress of a response or a stream behind */
};

/* What the shard's thread counts and others read. */
struct shard_counters {
    _Atomic uint64_t accepted;
    _Atomic uint64_t requests;
    _Atomic uint64_t refused_requests; /* malformed, too large, too slow */
    _Atomic uint64_t streams;
    _Atomic uint64_t events_sent;
    _Atomic uint64_t bytes_sent;
    _Atomic uint64_t stalled; /* closed because a reader took nothing for stall_timeout */
};

/* On the shard's thread. As one thread writes, this needs no locked instruction. */
static inline void shard_count(_Atomic uint64_t *counter, uint64_t more)
{
    uint64_t count = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, count + more, memory_order_relaxed);
}

/* On any thread. */
static inline uint64_t shard_counted(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

enum {
    SHARD_FRAMES = 64,         /* that one send takes together */
    SHARD_READ_BUFFER = 65536, /* bytes */
    SHARD_JOIN_BUFFER = 65536,
};

/* The slots of the connection table. A free slot's generation is the one of its next user. */
struct connection_slot {
    struct connection *connection; /* NULL when free */
    uint32_t generation;
    uint32_t next_free;
};

struct shard {
    uint32_t index;
    uv_loop_t *loop;
    struct mailbox inbox;
    struct outbox outbox; /* to the script thread */
    const struct shard_options *options;
    struct admission *admission;
    struct shard_counters counters;
    struct replica replica;

    struct listener_watch *watches; /* one per listener */
    unsigned watch_count;
    uv_timer_t accept_pause;
    uint64_t accept_told; /* when the log was last told that accepting pauses; 0: never */

    struct connection_slot *slots;
    uint32_t slot_count;
    uint32_t free_slot;
    uint32_t connection_count;

    struct heap deadlines;
    uv_timer_t timer;
    uint64_t turn; /* the clock at the last shard_turn */
    uv_prepare_t prepare;
    struct frame *heartbeat;
    bool draining;
    bool stopped;

    char *read_buffer; /* SHARD_READ_BUFFER bytes, shared by all connections */
    char *join_buffer; /* SHARD_JOIN_BUFFER bytes: what a broadcast sends to all in step */
};

/* Sets the shard up on a loop that its thread will run. The listeners and options are borrowed for
 * the shard's life. 0 or a libuv error. */
int shard_init(struct shard *shard, uint32_t index, uv_loop_t *loop,
               const struct shard_options *options, struct admission *admission,
               struct mailbox *script);
/* Starts to accept. On the shard's thread or before it runs. */
int shard_listen(struct shard *shard, const struct listeners *listeners);
/* After the loop has ended. */
void shard_deinit(struct shard *shard);

/* Sends a message to the script thread. */
void shard_tell(struct shard *shard, const struct message *message);
/* Hands over what was told; each turn of the loop does so at its end. */
void shard_flush(struct shard *shard);
/* What a turn of the loop would do for streams that run, for a script that keeps the loop's thread
 * busy: receives what waits, sends heartbeats, and what readers that are behind take. Nothing is
 * read or accepted. */
void shard_turn(struct shard *shard);

/* The connection of that id, or NULL when it is gone. */
struct connection *shard_find(const struct shard *shard, connection_id id);
/* Gives the connection a slot and with it its id. */
connection_id shard_register(struct shard *shard, struct connection *connection);
void shard_unregister(struct shard *shard, connection_id id);

/* Milliseconds of the loop's clock, which stands still while a turn of the loop goes on, but for
 * shard_turn. */
static inline uint64_t shard_now(const struct shard *shard)
{
    uint64_t loop = uv_now(shard->loop);
    return loop > shard->turn ? loop : shard->turn;
}

/* Calls deadline->fire at that time of the loop's clock, or earlier deadlines first; a deadline is
 * set anew or removed at any time. */
struct deadline {
    struct heap_node node;
    void (*fire)(struct shard *shard, struct deadline *deadline);
};

void shard_set_deadline(struct shard *shard, struct deadline *deadline, uint64_t due);
void shard_clear_deadline(struct shard *shard, struct deadline *deadline);

#endif
