#include "app/prompt.h"

#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/editor.h"
#include "app/screen.h"
#include "base/memory.h"
#include "base/thread.h"

enum state { STATE_OPEN, STATE_FINISHED, STATE_CLOSED };

struct prompt {
    pthread_t thread;
    void (*ask)(void *context);
    void *context;
    bool typed;
    struct screen screen; /* when typed */
    char *history;

    /* Between the threads */
    pthread_mutex_t mutex;
    int wake; /* an eventfd: there is an answer, or another state */
    enum state state;
    enum prompt_question question;
    struct buffer asked;
    bool answered;
    struct prompt_answer answer;

    /* The prompt's thread alone */
    struct editor *editor;
    struct buffer text;  /* lines that belong together */
    struct buffer input; /* when not typed: read, but not asked yet */
    bool editing;        /* a line is on the screen */
    bool unfinished;     /* what was written last has not ended its line */
};

/* Output */

static void end_line(struct prompt *prompt)
{
    if (prompt->unfinished)
        screen_write(&prompt->screen, "\n", 1);
    prompt->unfinished = false;
}

/* Lets through what the program has written: not all at once, for keys want to be seen, too. */
static void pass_output(struct prompt *prompt)
{
    char block[16384];
    ssize_t length;
    if (prompt->editing)
        editor_hide(prompt->editor);
    for (int i = 0; i < 8 && (length = read(prompt->screen.output, block, sizeof block)) > 0; i++) {
        screen_write(&prompt->screen, block, (size_t)length);
        prompt->unfinished = block[length - 1] != '\n';
    }
    if (prompt->editing) {
        end_line(prompt);
        editor_show(prompt->editor);
    }
}

/* Waiting */

enum news { NEWS_INPUT = 1, NEWS_ANSWER = 2, NEWS_FINISHED = 4, NEWS_CLOSED = 8 };

static int look(struct prompt *prompt)
{
    uint64_t count;
    ssize_t ignored = read(prompt->wake, &count, sizeof count);
    (void)ignored;
    pthread_mutex_lock(&prompt->mutex);
    int news = (prompt->answered ? NEWS_ANSWER : 0) |
               (prompt->state >= STATE_FINISHED ? NEWS_FINISHED : 0) |
               (prompt->state == STATE_CLOSED ? NEWS_CLOSED : 0);
    pthread_mutex_unlock(&prompt->mutex);
    return news;
}

/* Waits for one of these, and meanwhile lets output through. */
static int wait_for(struct prompt *prompt, int wanted)
{
    for (;;) {
        int news = look(prompt) & wanted;
        if (news != 0)
            return news;
        struct pollfd files[] = {{.fd = prompt->wake, .events = POLLIN},
                                 {.fd = prompt->screen.output, .events = POLLIN},
                                 {.fd = wanted & NEWS_INPUT ? STDIN_FILENO : -1, .events = POLLIN}};
        poll(files, 3, -1);
        if (files[1].revents != 0)
            pass_output(prompt);
        else if (files[0].revents == 0 && files[2].revents != 0)
            return NEWS_INPUT;
    }
}

/* Asks and waits. False when there will be no answer; else its buffers are the caller's. */
static bool ask(struct prompt *prompt, enum prompt_question question, struct slice text,
                struct prompt_answer *answer)
{
    pthread_mutex_lock(&prompt->mutex);
    prompt->question = question;
    buffer_clear(&prompt->asked);
    buffer_append_slice(&prompt->asked, text);
    pthread_mutex_unlock(&prompt->mutex);
    prompt->ask(prompt->context);
    if (wait_for(prompt, NEWS_ANSWER | NEWS_FINISHED) != NEWS_ANSWER)
        return false;
    if (prompt->typed && !prompt->editing)
        pass_output(prompt); /* what was written before the answer comes before the next prompt */
    pthread_mutex_lock(&prompt->mutex);
    *answer = prompt->answer;
    prompt->answer = (struct prompt_answer){0};
    prompt->answered = false;
    pthread_mutex_unlock(&prompt->mutex);
    return true;
}

/* Lines */

static bool wait_for_input(void *context)
{
    struct prompt *prompt = context;
    prompt->editing = prompt->editor != NULL;
    bool there = wait_for(prompt, NEWS_INPUT | NEWS_FINISHED) == NEWS_INPUT;
    prompt->editing = false;
    return there;
}

static void complete(void *context, struct slice text, struct buffer *insert,
                     struct buffer *listing)
{
    struct prompt *prompt = context;
    struct prompt_answer answer = {0};
    prompt->editing = true;
    ask(prompt, PROMPT_COMPLETE, text, &answer);
    prompt->editing = false;
    *insert = answer.insert;
    *listing = answer.listing;
}

/* Appends the next line of what is no terminal. False at its end. */
static bool read_plain(struct prompt *prompt)
{
    struct buffer *input = &prompt->input;
    char *end;
    while (input->length == 0 || (end = memchr(input->data, '\n', input->length)) == NULL) {
        char block[4096];
        ssize_t length = wait_for_input(prompt) ? read(STDIN_FILENO, block, sizeof block) : 0;
        if (length > 0) {
            buffer_append(input, block, (size_t)length);
        } else {
            bool more = input->length > 0;
            buffer_append(&prompt->text, input->data, input->length);
            buffer_clear(input);
            return more;
        }
    }
    size_t length = (size_t)(end - input->data);
    buffer_append(&prompt->text, input->data, length);
    buffer_consume(input, length + 1);
    return true;
}

/* Appends the next line. False when there is none. */
static bool read_line(struct prompt *prompt)
{
    enum editor_outcome outcome;
    if (prompt->editor == NULL)
        return read_plain(prompt);
    do {
        end_line(prompt);
        outcome =
            editor_read(prompt->editor, prompt->text.length == 0 ? "> " : ">> ", &prompt->text);
        if (outcome == EDITOR_CLEARED)
            buffer_clear(&prompt->text);
    } while (outcome == EDITOR_CLEARED);
    if (outcome == EDITOR_END)
        screen_write(&prompt->screen, "\n", 1);
    return outcome == EDITOR_LINE;
}

static void read_all(struct prompt *prompt)
{
    struct prompt_answer answer;
    while (read_line(prompt)) {
        if (!ask(prompt, PROMPT_LINE, buffer_slice(&prompt->text), &answer))
            return;
        if (answer.more)
            buffer_append_byte(&prompt->text, '\n');
        else
            buffer_clear(&prompt->text);
    }
    if (prompt->text.length == 0 || ask(prompt, PROMPT_LAST, buffer_slice(&prompt->text), &answer))
        ask(prompt, PROMPT_END, slice_of(NULL, 0), &answer);
}

static void *run(void *context)
{
    struct prompt *prompt = context;
    struct editor_owner owner = {prompt, wait_for_input, complete};
    if (prompt->typed)
        prompt->editor = editor_open(prompt->screen.terminal, prompt->history, &owner);
    read_all(prompt);
    if (prompt->editor != NULL)
        editor_close(prompt->editor);
    wait_for(prompt, NEWS_CLOSED);
    return NULL;
}

/* The script thread's side */

enum prompt_question prompt_take(struct prompt *prompt, struct buffer *text)
{
    pthread_mutex_lock(&prompt->mutex);
    enum prompt_question question = prompt->question;
    prompt->question = PROMPT_NONE;
    *text = prompt->asked;
    prompt->asked = (struct buffer){0};
    pthread_mutex_unlock(&prompt->mutex);
    return question;
}

static void wake(struct prompt *prompt)
{
    uint64_t one = 1;
    ssize_t ignored = write(prompt->wake, &one, sizeof one);
    (void)ignored;
}

static void free_answer(struct prompt_answer *answer)
{
    buffer_deinit(&answer->insert);
    buffer_deinit(&answer->listing);
}

void prompt_answer(struct prompt *prompt, const struct prompt_answer *answer)
{
    pthread_mutex_lock(&prompt->mutex);
    free_answer(&prompt->answer); /* nobody waited for it */
    prompt->answer = *answer;
    prompt->answered = true;
    pthread_mutex_unlock(&prompt->mutex);
    wake(prompt);
}

bool prompt_is_typed(const struct prompt *prompt)
{
    return prompt->typed;
}

static void set_state(struct prompt *prompt, enum state state)
{
    pthread_mutex_lock(&prompt->mutex);
    if (state > prompt->state)
        prompt->state = state;
    pthread_mutex_unlock(&prompt->mutex);
    wake(prompt);
}

void prompt_finish(struct prompt *prompt)
{
    set_state(prompt, STATE_FINISHED);
}

/* Life */

/* The file for the history, in folders that are made when they are not there; or NULL. */
static char *history_path(void)
{
    struct buffer path = {0};
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (state != NULL && state[0] == '/')
        buffer_append_text(&path, state);
    else if (home != NULL && home[0] == '/')
        buffer_append_format(&path, "%s/.local/state", home);
    else
        return NULL;
    buffer_append_text(&path, "/sse-router/history");
    buffer_append_byte(&path, '\0');
    for (char *slash = strchr(path.data + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path.data, 0700); /* it may be there already; else there is no history */
        *slash = '/';
    }
    return path.data;
}

static int open_screen(struct prompt *prompt)
{
    prompt->history = history_path();
    return screen_open(&prompt->screen);
}

static void free_prompt(struct prompt *prompt)
{
    screen_close(&prompt->screen);
    if (prompt->wake >= 0)
        close(prompt->wake);
    pthread_mutex_destroy(&prompt->mutex);
    free_answer(&prompt->answer);
    buffer_deinit(&prompt->asked);
    buffer_deinit(&prompt->text);
    buffer_deinit(&prompt->input);
    free(prompt->history);
    free(prompt);
}

struct prompt *prompt_open(void (*ask_fn)(void *context), void *context)
{
    struct prompt *prompt = memory_zero(1, sizeof *prompt);
    prompt->ask = ask_fn;
    prompt->context = context;
    prompt->screen.output = -1;
    prompt->typed = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    prompt->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&prompt->mutex, NULL);
    bool ok = prompt->wake >= 0 && (!prompt->typed || open_screen(prompt) == 0);
    /* Signals are the script thread's. */
    if (!ok || thread_start(&prompt->thread, run, prompt) != 0) {
        free_prompt(prompt);
        return NULL;
    }
    return prompt;
}

void prompt_close(struct prompt *prompt)
{
    set_state(prompt, STATE_CLOSED);
    pthread_join(prompt->thread, NULL);
    free_prompt(prompt);
}
