#include "app/editor.h"

#ifdef SSE_ROUTER_LIBEDIT

#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/memory.h"

enum { HISTORY_LINES = 1000 };

struct editor {
    EditLine *line;
    History *history;
    char *path; /* of the history's file, or NULL */
    FILE *out;
    locale_t locale;
    struct editor_owner owner;
    const char *prompt;
    unsigned short columns;
    bool cleared;
};

bool editor_is_there(void)
{
    return true;
}

static struct editor *editor_of(EditLine *line)
{
    void *editor = NULL;
    el_get(line, EL_CLIENTDATA, &editor);
    return editor;
}

/* The screen */

static unsigned short screen_columns(const struct editor *editor)
{
    struct winsize size;
    if (ioctl(fileno(editor->out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

/* libedit would learn of it by SIGWINCH, which is not this thread's. */
static void follow_size(struct editor *editor)
{
    unsigned short columns = screen_columns(editor);
    if (columns != editor->columns)
        el_resize(editor->line);
    editor->columns = columns;
}

/* Rows between the one where the prompt is and the cursor's. */
static unsigned rows_above(const struct editor *editor)
{
    const LineInfoW *info = el_wline(editor->line);
    unsigned rows = 0, column = (unsigned)strlen(editor->prompt);
    for (const wchar_t *letter = info->buffer; letter < info->cursor; letter++) {
        int width = wcwidth(*letter);
        unsigned cells = width < 0 ? 2 : (unsigned)width; /* control characters are shown as ^X */
        if (column + cells > editor->columns) {
            rows++;
            column = 0;
        }
        column += cells;
    }
    return rows + (column >= editor->columns);
}

void editor_hide(struct editor *editor)
{
    unsigned rows = rows_above(editor);
    fputc('\r', editor->out);
    if (rows > 0)
        fprintf(editor->out, "\033[%uA", rows);
    fputs("\033[J", editor->out);
    fflush(editor->out);
}

void editor_show(struct editor *editor)
{
    el_set(editor->line, EL_REFRESH);
}

/* What libedit calls */

static char *on_prompt(EditLine *line)
{
    return (char *)editor_of(line)->prompt;
}

/* Reads one character, in UTF-8 whatever the environment says: so are the router's texts. */
static int on_character(EditLine *line, wchar_t *out)
{
    struct editor *editor = editor_of(line);
    mbstate_t state = {0};
    for (;;) {
        char byte;
        if (!editor->owner.wait(editor->owner.context) || read(STDIN_FILENO, &byte, 1) != 1)
            return 0;
        follow_size(editor);
        size_t used = mbrtowc(out, &byte, 1, &state);
        if (used == (size_t)-1)
            *out = L'?';
        if (used != (size_t)-2)
            return 1;
    }
}

static unsigned char on_complete(EditLine *line, int key)
{
    struct editor *editor = editor_of(line);
    struct buffer insert = {0}, listing = {0};
    const LineInfo *info = el_line(line);
    unsigned char result = CC_ERROR;
    (void)key;
    editor->owner.complete(editor->owner.context,
                           slice_of(info->buffer, (size_t)(info->cursor - info->buffer)), &insert,
                           &listing);
    if (insert.length > 0) {
        buffer_append_byte(&insert, '\0');
        if (el_insertstr(line, insert.data) == 0)
            result = CC_REFRESH;
    } else if (listing.length > 0) {
        editor_hide(editor);
        fwrite(listing.data, 1, listing.length, editor->out);
        editor_show(editor);
        result = CC_NORM;
    }
    buffer_deinit(&insert);
    buffer_deinit(&listing);
    return result;
}

static unsigned char on_clear(EditLine *line, int key)
{
    struct editor *editor = editor_of(line);
    (void)key;
    editor_hide(editor);
    editor->cleared = true;
    return CC_NEWLINE;
}

/* Life */

static void open_history(struct editor *editor, const char *path)
{
    HistEvent event;
    editor->history = history_init();
    history(editor->history, &event, H_SETSIZE, HISTORY_LINES);
    history(editor->history, &event, H_SETUNIQUE, 1);
    el_set(editor->line, EL_HIST, history, editor->history);
    if (path == NULL)
        return;
    /* Nobody else's to read from the beginning on. */
    int file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0)
        return;
    close(file);
    editor->path = memory_copy(path, strlen(path));
    history(editor->history, &event, H_LOAD, path);
}

static void remember(struct editor *editor, const char *text)
{
    HistEvent event;
    if (text[strspn(text, " \t")] == '\0')
        return;
    history(editor->history, &event, H_ENTER, text);
    /* Each line at once: the process may end by any means. */
    if (editor->path != NULL)
        history(editor->history, &event, H_SAVE, editor->path);
}

static void bind_keys(EditLine *line)
{
    el_set(line, EL_EDITOR, "emacs");
    /* Wide texts, which stay ours: of others libedit makes copies that it never frees. */
    el_wset(line, EL_ADDFN, L"router-complete", L"Complete a name", on_complete);
    el_wset(line, EL_ADDFN, L"router-clear", L"Throw the line away", on_clear);
    el_set(line, EL_BIND, "^I", "router-complete", NULL);
    el_set(line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(line, NULL); /* ~/.editrc */
    /* Keys that send signals would reach the whole router. While a line is edited they are keys. */
    el_set(line, EL_SETTY, "-d", "-isig", NULL);
    el_set(line, EL_BIND, "^C", "router-clear", NULL);
}

struct editor *editor_open(int terminal, const char *history, const struct editor_owner *owner)
{
    struct editor *editor = memory_zero(1, sizeof *editor);
    editor->owner = *owner;
    editor->prompt = "";
    editor->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (editor->locale != (locale_t)0)
        uselocale(editor->locale);
    editor->out = fdopen(dup(terminal), "w");
    if (editor->out != NULL)
        editor->line = el_init("sse-router", stdin, editor->out, editor->out);
    if (editor->line == NULL) {
        editor_close(editor);
        return NULL;
    }
    editor->columns = screen_columns(editor);
    el_set(editor->line, EL_CLIENTDATA, editor);
    el_set(editor->line, EL_SIGNAL, 0);
    el_set(editor->line, EL_PROMPT, on_prompt);
    el_set(editor->line, EL_GETCFN, on_character);
    open_history(editor, history);
    bind_keys(editor->line);
    return editor;
}

void editor_close(struct editor *editor)
{
    if (editor->history != NULL)
        history_end(editor->history);
    if (editor->line != NULL)
        el_end(editor->line);
    if (editor->out != NULL)
        fclose(editor->out);
    uselocale(LC_GLOBAL_LOCALE);
    if (editor->locale != (locale_t)0)
        freelocale(editor->locale);
    free(editor->path);
    free(editor);
}

enum editor_outcome editor_read(struct editor *editor, const char *prompt, struct buffer *out)
{
    int length = 0;
    editor->prompt = prompt;
    editor->cleared = false;
    follow_size(editor);
    el_set(editor->line, EL_PREP_TERM, 1); /* before the prompt shows: keys may come at once */
    const char *text = el_gets(editor->line, &length);
    if (editor->cleared)
        return EDITOR_CLEARED;
    if (text == NULL || length <= 0)
        return EDITOR_END;
    struct buffer line = {0};
    buffer_append(&line, text, strcspn(text, "\n"));
    buffer_append_byte(&line, '\0');
    remember(editor, line.data);
    buffer_append(out, line.data, line.length - 1);
    buffer_deinit(&line);
    return EDITOR_LINE;
}

#else

bool editor_is_there(void)
{
    return false;
}

struct editor *editor_open(int terminal, const char *history, const struct editor_owner *owner)
{
    (void)terminal, (void)history, (void)owner;
    return NULL;
}

void editor_close(struct editor *editor)
{
    (void)editor;
}

enum editor_outcome editor_read(struct editor *editor, const char *prompt, struct buffer *out)
{
    (void)editor, (void)prompt, (void)out;
    return EDITOR_END;
}

void editor_hide(struct editor *editor)
{
    (void)editor;
}

void editor_show(struct editor *editor)
{
    (void)editor;
}

#endif
