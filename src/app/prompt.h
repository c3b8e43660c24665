#ifndef SSE_APP_PROMPT_H
#define SSE_APP_PROMPT_H

#include <stdbool.h>

#include "base/buffer.h"

/* The thread that reads lines of standard input, with a prompt when that is a terminal, and asks
 * the script thread about them: one question at a time, and it waits for the answer. Nothing else
 * is shared. While there is a prompt, what the program writes to the terminal goes through this
 * thread, so that it does not get between the letters of a line. */

struct prompt;

enum prompt_question {
    PROMPT_NONE,
    PROMPT_LINE,     /* what was typed since the last answer without `more` */
    PROMPT_LAST,     /* the same, and nothing follows */
    PROMPT_COMPLETE, /* what stands before the cursor */
    PROMPT_END,      /* nothing follows. Wants no answer */
};

struct prompt_answer {
    bool more;             /* the lines go on with the next one */
    struct buffer insert;  /* to complete */
    struct buffer listing; /* of possible completions */
};

/* `ask` is called on the prompt's thread when there is a question. NULL when the thread cannot be
 * started. */
struct prompt *prompt_open(void (*ask)(void *context), void *context);
/* The question that waits. Its text becomes the caller's. */
enum prompt_question prompt_take(struct prompt *prompt, struct buffer *text);
/* Takes the buffers. */
void prompt_answer(struct prompt *prompt, const struct prompt_answer *answer);
/* Whether lines are typed, so that keys send signals to the program. */
bool prompt_is_typed(const struct prompt *prompt);
/* Reads no more. What the program writes still comes to the terminal. */
void prompt_finish(struct prompt *prompt);
/* Gives the terminal back as it was. */
void prompt_close(struct prompt *prompt);

#endif
