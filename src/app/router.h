#ifndef SSE_APP_ROUTER_H
#define SSE_APP_ROUTER_H

#include <pthread.h>
#include <uv.h>

#include "app/config.h"
#include "core/hub.h"
#include "net/admission.h"
#include "net/listener.h"
#include "net/mailbox.h"
#include "net/shard.h"
#include "script/durable.h"
#include "script/vm.h"

/* The whole program: the script thread with its hub and Lua state, and the I/O threads. */

struct worker {
    struct shard shard;
    struct outbox outbox; /* from the script thread */
    uv_loop_t loop;       /* unused with --threads 0 */
    pthread_t thread;
    bool started;
    bool drained;
};

struct router {
    const struct config *config;
    uv_loop_t loop;
    struct mailbox inbox; /* from the shards */
    struct hub hub;
    struct vm *vm;       /* the script that runs */
    struct list retired; /* struct retired_vm: scripts that still answer requests */
    struct pipeline pipeline;
    struct budget budget;
    struct reload *reload;
    struct repl *repl; /* NULL without --repl */
    struct admission admission;
    struct listeners listeners;
    struct worker *workers;
    unsigned worker_count;
    uv_signal_t signals[2];
    uv_prepare_t prepare;
    uv_timer_t expiry; /* of the hub's events */
    uv_timer_t grace;
    struct buffer script_text; /* from standard input */
    bool telling;              /* the shards are there to hear of changes */
    bool ending;
    bool ended;
};

/* Runs the program. Returns its exit status. */
int router_main(const struct config *config);

/* relay.c: between the script and the shards. */

struct hub_listener relay_listener(struct router *router);
struct vm_host relay_host(struct router *router);
/* For the inbox. */
void relay_receive(void *context, struct message *message);
/* Sends one message to every shard. */
void relay_to_all(struct router *router, enum message_kind kind);
/* Hands over what was sent. */
void relay_flush(struct router *router);

/* reload.c: another version of the script takes over. */
void reload_watch(struct router *router);
/* With --watch: looks at the script's files from now on. */
void reload_watch_files(struct router *router);
void reload_close(struct router *router);
/* Soon. For vm_host; the context is the router. */
void reload_request(void *context);

/* router.c: runs the script that the configuration names. False when it failed. */
bool router_run_script(struct router *router, struct vm *vm);

/* repl.c: a prompt into the running script. All but repl_open take a router without one. */
int repl_open(struct router *router);
/* Ctrl-C while something runs that was typed ends that. False when there is nothing like it. */
bool repl_interrupt(struct router *router);
/* Takes no more lines. */
void repl_finish(struct router *router);
void repl_close(struct router *router);

/* ending.c: signals, and the way out. */
void ending_watch(struct router *router);
/* A shard has no connections left. */
void ending_drained(struct router *router, unsigned shard);
/* The end begins, if it has not already: `why` is for the log. */
void ending_begin(struct router *router, const char *why);
/* Closes everything that watches for the end. */
void ending_close(struct router *router);

#endif
