#ifndef SSE_SCRIPT_VM_H
#define SSE_SCRIPT_VM_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <uv.h>

#include "base/list.h"
#include "core/exchange.h"
#include "core/hub.h"
#include "script/budget.h"

/* The script's Lua state and what it may touch: the hub, the loop, and its host. One thread. */

/* What the I/O threads have counted so far, and the connections there are. */
struct vm_traffic {
    uint64_t connections;
    uint64_t accepted;
    uint64_t turned_away; /* at a limit of connections */
    uint64_t requests;
    uint64_t refused_requests; /* malformed, too large, too slow: the script never saw them */
    uint64_t streams;
    uint64_t stalled; /* closed because the reader took nothing */
    uint64_t events_sent;
    uint64_t bytes_sent;
};

/* What the rest of the program does for the script. Messages to connections: none calls back. */
struct vm_host {
    void *context;
    /* Each takes the response. */
    void (*respond)(void *context, connection_id connection, struct response *response);
    void (*subscribe)(void *context, connection_id connection, struct response *head,
                      struct subscription *subscription, uint64_t cursor);
    /* A stream of its own, which began after that sequence, goes on as a subscriber. */
    void (*join)(void *context, connection_id connection, struct subscription *subscription,
                 uint64_t cursor, uint64_t began);
    /* The subscriber goes on with another subscription. */
    void (*move)(void *context, connection_id connection, struct subscription *subscription);
    void (*stream)(void *context, connection_id connection, struct response *head,
                   unsigned heartbeat);
    void (*send)(void *context, connection_id connection,
                 struct frame *frame); /* takes a reference */
    void (*end)(void *context, connection_id connection);
    /* Ends the stream, and tells its client when to come back. */
    void (*leave)(void *context, connection_id connection);
    void (*reload)(void *context); /* soon */
    void (*count)(void *context, struct vm_traffic *out);
};

struct vm_options {
    unsigned budget;     /* milliseconds of Lua for one entry; 0 for no limit */
    size_t memory;       /* bytes of the Lua state; 0 for no limit */
    bool debug_gc;       /* a full collection after each entry */
    bool check;          /* the script is only looked at: nothing outside may change */
    const char *scripts; /* a folder that overrides the embedded library, or NULL */
};

/* Functions of the Lua half that C calls; see scripts/init.lua. */
enum vm_hook {
    HOOK_DISPATCH, /* (request): answers it */
    HOOK_FAIL,     /* (request, status, text): answers it when dispatch did not */
    HOOK_ENCODE,   /* (value, what to call it) -> JSON */
    HOOK_DECODE,   /* (JSON) -> value */
    HOOK_DURATION, /* (duration) -> seconds, or nil and a message */
    HOOK_EVENT,    /* (event): raises because of an unknown field */
    HOOK_EMIT,     /* (name, ...): runs the handlers of sse.on */
    HOOK_KEEPS,    /* (route) -> whether the script has that route */
    HOOK_REFILTER, /* (a group's key) -> its filter's function, or nil */
    HOOK_DESCRIBE, /* () -> text for --check */
    HOOK_COUNT,
};

struct task;
struct client;
struct pipeline;

enum { VM_SPENT = 8, VM_SPENT_NAME = 64 };

/* Filters that ran over their time in a turn, by what their groups' keys begin with. */
struct vm_spent {
    uint64_t turn;
    unsigned count;
    char names[VM_SPENT][VM_SPENT_NAME];
};

struct vm {
    lua_State *L;
    uv_loop_t *loop;
    struct hub *hub;
    struct vm_host host;
    struct vm_options options;
    struct budget *budget; /* shared like the pipeline */
    struct vm *previous;   /* while the script is loaded in the place of a running one */
    bool retired;          /* another script has taken its place */
    struct list declared;  /* channels of sse.channel: struct vm_channel */
    size_t memory;
    bool limited;   /* memory has its limit: Lua runs and an error does no harm */
    unsigned depth; /* of entries into Lua */
    uint64_t turn;  /* number of the outermost entry */
    bool overran;   /* the last entry ran over its time */
    struct vm_spent spent;
    lua_State *running; /* the coroutine that runs, NULL outside of Lua */
    int hooks[HOOK_COUNT];
    struct task *current;
    struct list tasks;
    struct list idle_tasks;
    unsigned idle_task_count;
    struct list timers;
    struct list children;
    struct list watches;
    struct list audiences;
    struct list observers;
    struct list fetches;   /* outgoing requests */
    struct client *client; /* that they go through, NULL before the first; shared, too */
    struct list legacies;  /* what sources leave to their successors */
    struct pattern_tree observer_tree;
    unsigned observer_depth;
    struct map streams;        /* sse.stream's, by connection */
    struct map backlogs;       /* subscribers that read from the store, by connection */
    struct pipeline *pipeline; /* of publications; shared by the scripts that follow each other */
    struct list addresses;     /* of sse.listen, in order: struct vm_address */
    bool watches_closing;      /* sse.on "unsubscribe" has handlers */
    bool loading;
    bool closing; /* the state is about to go: nothing may start any more */
    char *folder; /* of the script, ends with "/" */
    uint64_t errors;
};

/* A channel that the script declares, with its options: they apply when the script takes over. */
struct vm_channel {
    struct list link;
    struct channel *channel;
    struct channel_options options;
    char *reset_name;
};

struct vm_address {
    struct list link;
    char *text;
    char *where; /* the script's line */
};

/* Opens the state with the library. The rest is borrowed. 0 or a negative code. */
int vm_open(struct vm *vm, uv_loop_t *loop, struct hub *hub, struct pipeline *pipeline,
            struct budget *budget, const struct vm_host *host, const struct vm_options *options);
/* Ends all tasks and timers; what they hold open closes in the loop. */
void vm_close(struct vm *vm);

/* Runs a script. `name` is its path, "-" for standard input; `code` is the text to run, or NULL to
 * read the file. False when it failed; the error is logged with its place. */
bool vm_run(struct vm *vm, const char *name, const char *code, size_t length);

/* Lets a script that was run with `previous` set take over: its channels' options apply, filters go
 * on with its functions, streams whose route or filter it does not have end, and `previous` is
 * retired: its timers and sources stop, its streams end, its open requests are still answered. */
void vm_take_over(struct vm *vm);
/* True when a retired script has no requests left. */
bool vm_is_done(const struct vm *vm);
/* Calls `each` with the path of every file that the script was made of. */
void vm_files(struct vm *vm, void (*each)(void *context, const char *path), void *context);

/* A request for the script. Takes the exchange. */
void vm_dispatch(struct vm *vm, connection_id connection, struct exchange *exchange);
/* A stream has ended on the connection. */
void vm_stream_closed(struct vm *vm, connection_id connection);
/* A stream of the script's own has sent so many frames more, which were all it was given then. */
void vm_stream_taken(struct vm *vm, connection_id connection, unsigned frames);
/* Runs the handlers of sse.on(name). */
void vm_emit(struct vm *vm, const char *name);
/* A subscriber's stream has ended: tells those of sse.on "unsubscribe". */
void vm_subscriber_closed(struct vm *vm, connection_id connection);
/* A channel has its first subscriber, or has lost its last one. */
void vm_audience_changed(struct vm *vm, const struct channel *channel);
/* Prints the script's routes, channels and timers. */
void vm_describe(struct vm *vm);

/* Logs an error of the script and tells the handlers of sse.on "error". `what` says what failed. */
void vm_report(struct vm *vm, const char *what, const char *message);

struct vm *vm_of(lua_State *L);
/* The state to call Lua with: of the coroutine that runs, else the main one. */
lua_State *vm_state(const struct vm *vm);
/* Pushes the hook's function. */
void vm_push_hook(lua_State *L, enum vm_hook hook);

/* Releases the function of a group's filter: for the hub's listener. */
void vm_forget(struct vm *vm, const struct group *group);

#endif
