#ifndef SSE_SCRIPT_CONSOLE_H
#define SSE_SCRIPT_CONSOLE_H

#include "base/buffer.h"
#include "script/vm.h"

/* What is typed at the prompt, run in the script (scripts/repl.lua has the words for it). One text
 * at a time. */

enum console_outcome {
    CONSOLE_DONE, /* it has run, or failed: results are on stdout, errors on stderr */
    CONSOLE_MORE, /* it is the beginning of something */
    CONSOLE_QUIT, /* the user wants to leave */
};

/* May not run the next text: that is for later. */
typedef void (*console_end_fn)(void *context, enum console_outcome outcome);

struct console {
    struct task *task; /* that runs, or NULL */
    console_end_fn on_end;
    void *context;
};

/* Runs the text as a task of the script. Calls on_end once, possibly before it returns. `last` says
 * that nothing follows, so that a beginning is an error. Not while a task runs. */
void console_run(struct console *console, struct vm *vm, struct slice text, bool last);
/* Ends the task that runs. False when there is none. */
bool console_interrupt(struct console *console);

/* What may follow the text: appends what all continuations have in common to `insert`, and when it
 * is nothing but there are several, a text that lists them to `listing`. */
void console_complete(struct vm *vm, struct slice text, struct buffer *insert,
                      struct buffer *listing);

#endif
