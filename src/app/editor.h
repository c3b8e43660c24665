#ifndef SSE_APP_EDITOR_H
#define SSE_APP_EDITOR_H

#include <stdbool.h>

#include "base/buffer.h"

/* A line on a terminal that is edited by hand, with history and completion, by libedit. It knows
 * nothing of the router. One thread at a time, whose locale it sets. */

struct editor;

enum editor_outcome {
    EDITOR_LINE,
    EDITOR_CLEARED, /* the user has thrown the line away */
    EDITOR_END,     /* of input, or the owner's `wait` said so */
};

struct editor_owner {
    void *context;
    /* Returns when standard input has bytes; false to end reading. May call editor_hide and
     * editor_show. */
    bool (*wait)(void *context);
    /* Appends what may follow the text to `insert`, or a text that lists it to `listing`. */
    void (*complete)(void *context, struct slice text, struct buffer *insert,
                     struct buffer *listing);
};

/* False in a program that was built without libedit: then there is no editor. */
bool editor_is_there(void);

/* Edits on the terminal of standard input and `terminal`. `history` is a file's path, or NULL.
 * NULL when that is no terminal that can be used. */
struct editor *editor_open(int terminal, const char *history, const struct editor_owner *owner);
void editor_close(struct editor *editor);

/* Appends a line to `out`, without its end. */
enum editor_outcome editor_read(struct editor *editor, const char *prompt, struct buffer *out);

/* While a line is edited: takes it off the screen, so that other text can be written there, and
 * draws it again at the beginning of the cursor's line. */
void editor_hide(struct editor *editor);
void editor_show(struct editor *editor);

#endif
