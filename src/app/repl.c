/* The prompt's end in the script thread: what is typed runs in the script that runs now. */
#include <errno.h>
#include <stdlib.h>

#include "app/prompt.h"
#include "app/router.h"
#include "base/memory.h"
#include "script/console.h"

struct repl {
    struct router *router;
    struct prompt *prompt;
    uv_async_t asked;
    struct console console;
    bool closing;
};

static void on_end(void *context, enum console_outcome outcome)
{
    struct repl *repl = context;
    if (repl->closing)
        return;
    if (outcome == CONSOLE_QUIT)
        ending_begin(repl->router, ".quit");
    else
        prompt_answer(repl->prompt, &(struct prompt_answer){.more = outcome == CONSOLE_MORE});
}

static void complete(struct repl *repl, struct slice text)
{
    struct prompt_answer answer = {0};
    console_complete(repl->router->vm, text, &answer.insert, &answer.listing);
    prompt_answer(repl->prompt, &answer);
}

static void on_asked(uv_async_t *async)
{
    struct repl *repl = async->data;
    struct buffer text;
    enum prompt_question question = prompt_take(repl->prompt, &text);
    switch (question) {
    case PROMPT_LINE:
    case PROMPT_LAST:
        console_run(&repl->console, repl->router->vm, buffer_slice(&text), question == PROMPT_LAST);
        break;
    case PROMPT_COMPLETE:
        complete(repl, buffer_slice(&text));
        break;
    case PROMPT_END:
        ending_begin(repl->router, "end of input");
        break;
    case PROMPT_NONE:
        break;
    }
    buffer_deinit(&text);
}

/* On the prompt's thread. */
static void ask(void *context)
{
    struct repl *repl = context;
    uv_async_send(&repl->asked);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

int repl_open(struct router *router)
{
    struct repl *repl = memory_zero(1, sizeof *repl);
    repl->router = router;
    repl->console = (struct console){.on_end = on_end, .context = repl};
    int error = uv_async_init(&router->loop, &repl->asked, on_asked);
    if (error != 0) {
        free(repl);
        return error;
    }
    repl->asked.data = repl;
    repl->prompt = prompt_open(ask, repl);
    if (repl->prompt == NULL) {
        uv_close((uv_handle_t *)&repl->asked, on_closed);
        return -EAGAIN;
    }
    router->repl = repl;
    return 0;
}

bool repl_interrupt(struct router *router)
{
    struct repl *repl = router->repl;
    return repl != NULL && prompt_is_typed(repl->prompt) && console_interrupt(&repl->console);
}

void repl_finish(struct router *router)
{
    if (router->repl != NULL)
        prompt_finish(router->repl->prompt);
}

void repl_close(struct router *router)
{
    struct repl *repl = router->repl;
    if (repl == NULL)
        return;
    router->repl = NULL;
    repl->closing = true;
    console_interrupt(&repl->console);
    prompt_close(repl->prompt);
    uv_close((uv_handle_t *)&repl->asked, on_closed);
}
