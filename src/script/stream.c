#include "script/stream.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "proto/event_stream.h"
#include "script/answer.h"
#include "script/backlog.h"
#include "script/call.h"
#include "script/event.h"
#include "script/module.h"
#include "script/request.h"
#include "script/task.h"

enum {
    WINDOW_FRAMES = 16,    /* unsent events after which client:send waits */
    WINDOW_BYTES = 262144, /* likewise in bytes */
};

/* One stream. Owned by its userdata, its task and, while the connection lives, vm.streams. */
struct stream {
    int references;
    struct vm *vm;
    connection_id connection;
    char *title;       /* for error messages */
    struct task *task; /* that runs the script's function; NULL when over */
    uint64_t sequence; /* of the last frame sent */
    uint32_t frames;   /* sent since the connection last had taken all */
    size_t bytes;
    struct list waiting; /* struct sender: tasks in client:send */
    bool open;
    bool closing; /* client:close() was called, or the task is over */
};

struct sender {
    struct list link;
    struct task *task;
};

static void unref(struct stream *stream)
{
    if (--stream->references > 0)
        return;
    free(stream->title);
    free(stream);
}

static struct slice key_of(const connection_id *connection)
{
    return slice_of((const char *)connection, sizeof *connection);
}

static struct stream *check(lua_State *L, int index)
{
    return *(struct stream **)luaL_checkudata(L, index, "sse.stream");
}

/* Senders that wait */

static void on_sender_ended(void *context)
{
    struct sender *sender = context;
    list_remove(&sender->link);
    free(sender);
}

static void wake_senders(struct stream *stream)
{
    struct list ready;
    list_init(&ready);
    list_move(&stream->waiting, &ready);
    while (!list_is_empty(&ready)) {
        struct sender *sender = CONTAINER_OF(ready.next, struct sender, link);
        struct task *task = sender->task;
        on_sender_ended(sender);
        task_resume(task, 0);
    }
}

static bool takes_events(const struct stream *stream)
{
    return stream->open && !stream->closing;
}

static bool is_full(const struct stream *stream)
{
    return takes_events(stream) &&
           (stream->frames >= WINDOW_FRAMES || stream->bytes >= WINDOW_BYTES);
}

/* Pushes true, or nil and a message. */
static int push_result(lua_State *L, const struct stream *stream)
{
    if (takes_events(stream)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "the stream is closed");
    return 2;
}

static int after_wait(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return push_result(L, check(L, 1));
}

/* Hands the frame over; waits when the reader is behind. Where nothing can wait, the frame that
 * fills the window is the last one. */
static int send_frame(lua_State *L, struct stream *stream, struct frame *frame)
{
    struct vm *vm = stream->vm;
    struct task *task = task_of(L);
    stream->frames++;
    stream->bytes += frame->wire_length;
    vm->host.send(vm->host.context, stream->connection, frame);
    if (!is_full(stream) || task == NULL)
        return push_result(L, stream);
    struct sender *sender = memory_zero(1, sizeof *sender);
    sender->task = task;
    list_append(&stream->waiting, &sender->link);
    task_will_wait(task, on_sender_ended, sender);
    return lua_yieldk(L, 0, 0, after_wait);
}

/* client:send(event) -> true, or nil and a message when the client has gone */
static int l_send(lua_State *L)
{
    struct frame_source source;
    if (lua_gettop(L) != 2 || luaL_testudata(L, 1, "sse.stream") == NULL)
        return call_raise(L,
                          "client:send takes one event (use a colon: client:send { data = ... })");
    struct stream *stream = check(L, 1);
    event_read(L, 2, &source);
    struct event_fields fields = {source.id, source.name, source.data, source.retry};
    int error = source.data.length > stream->vm->hub->limits.event_bytes
                    ? ERROR_EVENT_TOO_LARGE
                    : event_stream_check(&fields);
    if (error != 0)
        return event_raise(L, "client:send", error);
    if (is_full(stream))
        task_require(L, "client:send");
    if (!takes_events(stream))
        return push_result(L, stream);
    source.sequence = ++stream->sequence;
    source.key = source.meta = slice_of("", 0);
    return send_frame(L, stream, frame_new(&source));
}

/* client:comment(text) -> as client:send */
static int l_comment(lua_State *L)
{
    struct stream *stream = check(L, 1);
    struct slice text;
    struct buffer out = {0};
    text.data = luaL_checklstring(L, 2, &text.length);
    if (is_full(stream))
        task_require(L, "client:comment");
    if (!takes_events(stream))
        return push_result(L, stream);
    event_stream_comment(&out, text);
    buffer_append_byte(&out, '\n');
    struct frame *frame = frame_of_text(buffer_slice(&out), ++stream->sequence);
    buffer_deinit(&out);
    return send_frame(L, stream, frame);
}

/* The stream ends when its reader has what was sent. It takes no more, although the connection
 * lives on until then. */
static void close_stream(struct stream *stream)
{
    if (takes_events(stream))
        stream->vm->host.end(stream->vm->host.context, stream->connection);
    stream->closing = true;
}

/* client:close() */
static int l_close(lua_State *L)
{
    close_stream(check(L, 1));
    return 0;
}

/* Life */

static void on_task_end(void *context, const char *error)
{
    struct stream *stream = context;
    stream->task = NULL;
    if (error != NULL && error[0] != '\0')
        vm_report(stream->vm, stream->title, error);
    close_stream(stream);
    unref(stream);
}

static struct stream *new_stream(lua_State *L, const struct pending *pending)
{
    struct stream *stream = memory_zero(1, sizeof *stream);
    const char *title = request_push_title(L, pending->exchange->request);
    stream->references = 3;
    stream->vm = pending->vm;
    stream->connection = pending->connection;
    stream->title = memory_copy(title, strlen(title));
    stream->open = true;
    list_init(&stream->waiting);
    lua_pop(L, 1);
    map_put(&pending->vm->streams, key_of(&stream->connection), stream);
    return stream;
}

/* request:stream(function, heartbeat, first, headers, fields) -> stream. `fields` is a table in
 * which the stream's unknown fields are looked up. Runs the function with the stream as a task. */
static int l_stream(lua_State *L)
{
    struct pending *pending = request_check(L, 1);
    struct vm *vm = pending->vm;
    size_t length;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_Integer heartbeat = luaL_checkinteger(L, 3);
    const char *first = luaL_checklstring(L, 4, &length);
    lua_settop(L, 6);
    struct response *head = answer_build_stream(L, pending->exchange->request, 5);
    pending->answered = true;
    if (answer_is_head(pending->exchange->request)) {
        vm->host.respond(vm->host.context, pending->connection, head);
        return 0;
    }
    bool limited = call_unlimit(vm);
    answer_append(head, slice_of(first, length));
    struct stream **box = lua_newuserdatauv(L, sizeof(struct stream *), 1);
    *box = new_stream(L, pending);
    luaL_setmetatable(L, "sse.stream");
    lua_pushvalue(L, 6);
    lua_setiuservalue(L, -2, 1);
    vm->host.stream(vm->host.context, pending->connection, head, (unsigned)heartbeat);
    struct stream *stream = *box;
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    stream->task = task_start(vm, L, 1, "sse.stream", on_task_end, stream);
    call_limit(vm, limited);
    return 1;
}

void vm_stream_closed(struct vm *vm, connection_id connection)
{
    struct stream *stream = map_remove(&vm->streams, key_of(&connection));
    if (stream == NULL) {
        backlog_closed(vm, connection);
        return;
    }
    stream->open = false;
    struct task *task = stream->task;
    if (task != NULL)
        task_end(task);
    wake_senders(stream);
    unref(stream);
}

void vm_stream_taken(struct vm *vm, connection_id connection, unsigned frames)
{
    struct stream *stream = map_get(&vm->streams, key_of(&connection));
    if (stream == NULL) {
        backlog_taken(vm, connection, frames);
        return;
    }
    /* Others may be on their way. */
    stream->frames -= frames < stream->frames ? frames : stream->frames;
    if (stream->frames > 0)
        return;
    stream->bytes = 0;
    stream->references++;
    wake_senders(stream);
    unref(stream);
}

void stream_leave_all(struct vm *vm)
{
    size_t position = 0;
    void *stream;
    while (map_next(&vm->streams, &position, &stream)) {
        ((struct stream *)stream)->open = false;
        vm->host.leave(vm->host.context, ((struct stream *)stream)->connection);
    }
}

void stream_forget_all(struct vm *vm)
{
    size_t position = 0;
    void *stream;
    while (map_next(&vm->streams, &position, &stream)) {
        ((struct stream *)stream)->open = false;
        unref(stream);
    }
    map_deinit(&vm->streams);
}

static int l_stream_gc(lua_State *L)
{
    unref(check(L, 1));
    return 0;
}

static int l_stream_index(lua_State *L)
{
    struct stream *stream = check(L, 1);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "closed") == 0) {
        lua_pushboolean(L, !takes_events(stream));
        return 1;
    }
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 2);
    lua_gettable(L, -2);
    return 1;
}

/* core.encode_event(event) -> event-stream text */
static int l_encode_event(lua_State *L)
{
    struct frame_source source;
    struct buffer out = {0};
    event_read(L, 1, &source);
    struct event_fields fields = {source.id, source.name, source.data, source.retry};
    int error = event_stream_check(&fields);
    if (error != 0)
        return event_raise(L, "event", error);
    event_stream_encode(&out, &fields);
    lua_pushlstring(L, out.data, out.length);
    buffer_deinit(&out);
    return 1;
}

void stream_open_module(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"send", l_send}, {"comment", l_comment}, {"close", l_close}, {NULL, NULL}};
    lua_pushcfunction(L, l_encode_event);
    lua_setfield(L, -2, "encode_event");
    luaL_newmetatable(L, "sse.stream");
    luaL_newlib(L, methods);
    lua_pushcclosure(L, l_stream_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_stream_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    request_add_method(L, "stream", l_stream);
}
