#ifndef SSE_SCRIPT_PUBLICATION_H
#define SSE_SCRIPT_PUBLICATION_H

#include "script/idempotency.h"
#include "script/vm.h"
#include "store/store.h"

/* Publications on their way into the log. An event of a durable channel is appended when it is on
 * disk; all that is published after it waits behind it, so that readers see one order and a cursor
 * never passes an event that is still to come. */

/* What outlives a reload of the script: the store, what is on its way there, and idempotency keys.
 */
struct pipeline {
    struct vm *vm;            /* the script that runs now */
    struct store *store;      /* of sse.store; NULL when logs are in memory alone */
    char *path;               /* of the store */
    char *scratch;            /* the file that stands for it with --check, or NULL */
    bool is_default;          /* the store is for channels that do not say */
    uv_async_t async;         /* the writer's thread has results */
    uint64_t reserved;        /* sequences up to here may be given, as far as the store knows */
    struct list publications; /* that are not in the log yet, in order of sequence */
    unsigned judging;         /* filters that are being asked: no event may pass the one at hand */
    struct idempotency idempotency;
};

struct publication {
    struct list link; /* in pipeline.publications */
    int references;   /* the list's, and of each who waits */
    struct channel *channel;
    struct frame *frame;
    uint32_t subscribers; /* of the channel, when it was published */
    struct idempotency_entry *entry;
    struct list waiters;
    bool waits;   /* for the disk */
    bool decided; /* the disk has it, or has refused it, or is not asked */
    bool failed;
    char message[128];
};

void publication_unref(struct publication *publication);

/* Sends the frame, which it takes, on its way; `key` is an idempotency key or empty. `event` is the
 * index of the script's own event on L, or 0. NULL when the event is in the log already; else a
 * publication, with a reference for the caller. */
struct publication *publication_enter(lua_State *L, struct channel *channel, struct frame *frame,
                                      struct slice key, int event);

/* True when the answer can be given: the disk has decided, or is not waited for. */
static inline bool publication_is_answered(const struct publication *publication)
{
    return !publication->waits || publication->decided;
}

/* True when nothing is on its way into the log: what is published now goes there at once. */
bool publication_is_clear(const struct pipeline *pipeline);

/* Makes the task wait for the decision: to be called before it yields. The caller's reference is
 * kept for it while it waits, and released if it is ended meanwhile. */
void publication_await(struct publication *publication, struct task *task);

/* Appends what is decided at the front, in order, and lets those go on who wait for it. */
void publication_advance(struct vm *vm);
/* The store may have results: takes them, and advances. */
void publication_results(struct vm *vm);
/* Blocks until everything is decided that waits for the disk. In a script that is loaded in the
 * place of another it goes into the log soon after. */
void publication_decide_all(struct vm *vm);
/* Lets go of what is still not in the log. */
void publication_drop_all(struct pipeline *pipeline);

/* Whether events of the channel are on their way into the log. */
bool publication_waits(const struct vm *vm, const struct channel *channel);

/* Has the store note that further sequences may be given, when few are left of those it knows. */
void publication_reserve(struct vm *vm);

#endif
