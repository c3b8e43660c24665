#include "script/publish.h"

#include <stdio.h>

#include "base/error.h"
#include "proto/event_stream.h"
#include "script/call.h"
#include "script/channel.h"
#include "script/event.h"
#include "script/publication.h"
#include "script/task.h"

enum { MAX_IDEMPOTENCY_KEY = 255 };

/* Answers */

static void push_id(lua_State *L, const struct frame *frame)
{
    char id[HUB_ID_MAX];
    struct hub *hub = vm_of(L)->hub;
    if (frame->id.length > 0) {
        lua_pushlstring(L, frame->bytes + frame->id.offset, frame->id.length);
        return;
    }
    lua_pushlstring(L, id, hub_write_id(hub, frame->sequence, id));
}

/* The answer whose id is on top of the stack. */
static int push_answer(lua_State *L, uint32_t subscribers, bool durable, bool duplicate)
{
    lua_pushinteger(L, subscribers);
    lua_pushboolean(L, durable);
    lua_pushboolean(L, duplicate);
    return 4;
}

/* What is known of the publication now. Releases the reference. */
static int push_outcome(lua_State *L, struct publication *publication, bool duplicate)
{
    int count = 3;
    if (publication->failed) {
        lua_pushnil(L);
        lua_pushfstring(L, "the event is not on disk: %s", publication->message);
        lua_pushliteral(L, "EIO");
    } else {
        bool durable = publication->waits && publication->decided;
        push_id(L, publication->frame);
        count = push_answer(L, publication->subscribers, durable, duplicate);
    }
    publication_unref(publication);
    return count;
}

/* The context is the publication with its lowest bit as `duplicate`. */
static int after_wait(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    return push_outcome(L, (struct publication *)(context & ~(lua_KContext)1), context & 1);
}

/* Waits for the decision, and takes the reference. While the script is loaded nothing else goes on,
 * so the thread waits; in pipes and filters nothing can wait, and the event goes its way. */
static int wait_for(lua_State *L, struct publication *publication, bool duplicate)
{
    struct task *task = task_of(L);
    if (publication_is_answered(publication))
        return push_outcome(L, publication, duplicate);
    if (task != NULL && lua_isyieldable(L)) {
        publication_await(publication, task);
        return lua_yieldk(L, 0, (lua_KContext)publication | (duplicate ? 1 : 0), after_wait);
    }
    if (vm_of(L)->loading)
        publication_decide_all(vm_of(L));
    return push_outcome(L, publication, duplicate);
}

/* Idempotency */

/* event.idempotency_key, left on the stack; empty when there is none. */
static struct slice read_key(lua_State *L, int event)
{
    struct slice key = {"", 0};
    if (lua_type(L, event) != LUA_TTABLE)
        return key;
    int type = lua_getfield(L, event, "idempotency_key");
    if (type == LUA_TNIL)
        return key;
    if (type != LUA_TSTRING || lua_rawlen(L, -1) > MAX_IDEMPOTENCY_KEY)
        call_raise(L, "event.idempotency_key must be a string of at most %d bytes",
                   MAX_IDEMPOTENCY_KEY);
    key.data = lua_tolstring(L, -1, &key.length);
    return key;
}

/* "CHANNEL\nKEY", left on the stack: each channel has keys of its own. */
static struct slice qualify(lua_State *L, const struct channel *channel, struct slice key)
{
    if (key.length == 0)
        return key;
    lua_pushlstring(L, channel->name.data, channel->name.length);
    lua_pushliteral(L, "\n");
    lua_pushlstring(L, key.data, key.length);
    lua_concat(L, 3);
    key.data = lua_tolstring(L, -1, &key.length);
    return key;
}

static int push_remembered(lua_State *L, struct slice key)
{
    struct store *store = vm_of(L)->pipeline->store;
    struct buffer id = {0};
    uint32_t subscribers;
    if (store == NULL ||
        !store_find_answer(store, key, event_now() - STORE_ANSWER_AGE, &id, &subscribers))
        return 0;
    lua_pushlstring(L, id.data, id.length);
    buffer_deinit(&id);
    return push_answer(L, subscribers, true, true);
}

/* A publication that has begun: its answer is on the stack, or it is to be waited for. */
struct attempt {
    int answered;                    /* values on the stack, or 0 */
    struct publication *publication; /* with a reference, or NULL */
    bool duplicate;
};

/* Whether the key was used before; then *out is the answer to the first publication. */
static bool repeat(lua_State *L, struct slice key, struct attempt *out)
{
    struct idempotency_entry *entry =
        idempotency_find(&vm_of(L)->pipeline->idempotency, key, event_now());
    *out = (struct attempt){.duplicate = true};
    if (entry == NULL) {
        out->answered = push_remembered(L, key);
    } else if (entry->pending != NULL) {
        out->publication = entry->pending;
        out->publication->references++;
    } else {
        lua_pushlstring(L, entry->id.data, entry->id.length);
        out->answered = push_answer(L, entry->subscribers, entry->durable, true);
    }
    return out->answered > 0 || out->publication != NULL;
}

/* Notes the answer whose id is on top of the stack. */
static void remember(lua_State *L, struct slice key, int64_t now, uint32_t subscribers,
                     struct publication *publication)
{
    struct slice id;
    id.data = lua_tolstring(L, -1, &id.length);
    struct idempotency_entry *entry =
        idempotency_add(&vm_of(L)->pipeline->idempotency, key, id, now);
    entry->subscribers = subscribers;
    entry->pending = publication;
    if (publication != NULL)
        publication->entry = entry;
}

/* Keys of keyed channels */

/* Finds the key of an event of a keyed channel: its own, or by the channel's rule. What it borrows
 * from stays on the stack. False when there is none. */
static bool find_key(lua_State *L, const struct channel *channel, int event,
                     struct frame_source *source)
{
    if (source->key.length > 0)
        return true;
    int type = channel_push_key_rule(L, channel);
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, event);
        lua_call(L, 1, 1);
    } else if (type == LUA_TSTRING && lua_type(L, event) == LUA_TTABLE &&
               lua_getfield(L, event, "data") == LUA_TTABLE) {
        lua_pushvalue(L, -2);
        lua_gettable(L, -2);
    } else {
        return false;
    }
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
        return false;
    source->key.data = lua_tolstring(L, -1, &source->key.length);
    return source->key.length > 0;
}

static const char key_missing[] =
    "the event needs a key: the channel keeps the latest event of each";

/* Publishing */

static int raise_unpublished(lua_State *L, struct channel *channel, int error)
{
    /* A name may have come from outside: nothing else would ever free the channel. */
    hub_release(vm_of(L)->hub, channel);
    vm_of(L)->hub->counters.refused_events++;
    return event_raise(L, "publish", error);
}

static void start(lua_State *L, struct channel *channel, struct frame_source *source,
                  struct slice key, int event, struct attempt *out)
{
    struct vm *vm = vm_of(L);
    struct frame *frame;
    *out = (struct attempt){0};
    source->time = event_now();
    uint32_t subscribers = channel->subscribers;
    int error = hub_prepare(vm->hub, channel, source, &frame);
    if (error != 0)
        raise_unpublished(L, channel, error);
    /* From here on nothing may raise: nobody else would free the frame. */
    bool limited = call_unlimit(vm);
    push_id(L, frame);
    call_limit(vm, limited);
    channel->pending++;
    out->publication = publication_enter(L, channel, frame, key, event);
    channel->pending--;
    if (key.length > 0)
        remember(L, key, source->time, subscribers, out->publication);
    if (out->publication != NULL)
        return;
    hub_release(vm->hub, channel);
    out->answered = push_answer(L, subscribers, false, false);
}

/* The channel is at index 1, the event at index 2. */
static void begin(lua_State *L, struct attempt *out)
{
    struct frame_source source;
    /* A name opens its channel only when the event is in order. */
    if (lua_type(L, 1) != LUA_TSTRING)
        channel_at(L, 1);
    event_read(L, 2, &source);
    struct slice key = read_key(L, 2);
    struct channel *channel = channel_at(L, 1);
    if (channel->options.keyed && !find_key(L, channel, 2, &source))
        call_raise(L, "%s", key_missing);
    key = qualify(L, channel, key);
    if (key.length > 0 && repeat(L, key, out))
        hub_release(vm_of(L)->hub, channel);
    else
        start(L, channel, &source, key, 2, out);
}

int publish_event(lua_State *L)
{
    struct attempt attempt;
    lua_settop(L, 2);
    begin(L, &attempt);
    return attempt.answered > 0 ? attempt.answered
                                : wait_for(L, attempt.publication, attempt.duplicate);
}

bool publish_plain(struct vm *vm, struct channel *channel, struct slice data, uint64_t *sequence)
{
    struct frame_source source = {
        .data = data.data == NULL ? slice_of("", 0) : data, .retry = -1, .time = event_now()};
    struct frame *frame;
    if (channel->options.keyed || channel->stored > 0 || !publication_is_clear(vm->pipeline) ||
        hub_prepare(vm->hub, channel, &source, &frame) != 0)
        return false;
    *sequence = frame->sequence;
    channel->pending++;
    publication_enter(vm->L, channel, frame, slice_of("", 0), 0);
    channel->pending--;
    hub_release(vm->hub, channel);
    return true;
}

static bool has_key(lua_State *L, const struct channel *channel, struct slice key)
{
    const struct frame *frame = channel_find_key(channel, key);
    struct store *store = vm_of(L)->pipeline->store;
    if (frame != NULL)
        return !(frame->flags & FRAME_TOMBSTONE);
    return channel->stored > 0 && store != NULL && store_has_key(store, channel->stored, key);
}

/* Pushes { event = "delete", data = { key = key } }, the key being at the index. */
static void push_delete_event(lua_State *L, int key)
{
    lua_newtable(L);
    lua_pushliteral(L, "delete");
    lua_setfield(L, -2, "event");
    lua_newtable(L);
    lua_pushvalue(L, key);
    lua_setfield(L, -2, "key");
    lua_setfield(L, -2, "data");
}

int publish_delete(lua_State *L)
{
    struct frame_source source;
    struct attempt attempt;
    struct slice key;
    struct channel *channel = channel_at(L, 1);
    key.data = luaL_checklstring(L, 2, &key.length);
    lua_settop(L, 3);
    if (!channel->options.keyed)
        return call_raise(L, "channel:delete needs a keyed channel (option 'key')");
    if (!has_key(L, channel, key))
        return 0;
    if (lua_isnil(L, 3)) {
        push_delete_event(L, 2);
        lua_replace(L, 3);
    }
    event_read(L, 3, &source);
    source.key = key;
    source.flags |= FRAME_TOMBSTONE;
    start(L, channel, &source, slice_of("", 0), 3, &attempt);
    return attempt.answered > 0 ? attempt.answered : wait_for(L, attempt.publication, false);
}

/* Publishing now and waiting later, so that a batch shares its wait. */

struct ticket {
    struct publication *publication; /* with a reference; NULL when the answer was taken */
    bool duplicate;
};

static const char ticket_metatable[] = "sse.ticket";

/* core.publish_later(channel, event) -> a ticket, or the answer */
static int l_publish_later(lua_State *L)
{
    struct attempt attempt;
    lua_settop(L, 2);
    struct ticket *ticket = lua_newuserdatauv(L, sizeof *ticket, 0);
    *ticket = (struct ticket){0};
    luaL_setmetatable(L, ticket_metatable);
    begin(L, &attempt);
    if (attempt.answered > 0)
        return attempt.answered;
    *ticket = (struct ticket){attempt.publication, attempt.duplicate};
    lua_pushvalue(L, 3);
    return 1;
}

/* core.publish_result(ticket) -> the answer */
static int l_publish_result(lua_State *L)
{
    struct ticket *ticket = luaL_checkudata(L, 1, ticket_metatable);
    struct publication *publication = ticket->publication;
    ticket->publication = NULL;
    luaL_argcheck(L, publication != NULL, 1, "the answer was taken");
    return wait_for(L, publication, ticket->duplicate);
}

static int l_ticket_gc(lua_State *L)
{
    struct ticket *ticket = luaL_checkudata(L, 1, ticket_metatable);
    if (ticket->publication != NULL)
        publication_unref(ticket->publication);
    ticket->publication = NULL;
    return 0;
}

/* What would keep an event from being published, for endpoints that outsiders use */

static int push_problem(lua_State *L, int status, const char *text)
{
    struct hub_counters *counters = &vm_of(L)->hub->counters;
    if (status == 503)
        counters->refused_channels++;
    else
        counters->refused_events++;
    lua_pushstring(L, text);
    lua_pushinteger(L, status);
    return 2;
}

/* The channel that the value means, or NULL when there is none yet: it is not made. */
static struct channel *find_channel(lua_State *L, int index)
{
    struct slice name;
    if (lua_type(L, index) != LUA_TSTRING)
        return channel_at(L, index);
    name.data = lua_tolstring(L, index, &name.length);
    return hub_find(vm_of(L)->hub, name);
}

/* core.event_problem(channel, event) -> nil, or a sentence and a status. Raises for fields of a
 * wrong type. */
static int l_event_problem(lua_State *L)
{
    struct frame_source source;
    struct hub *hub = vm_of(L)->hub;
    lua_settop(L, 2);
    event_read(L, 2, &source);
    read_key(L, 2);
    struct event_fields fields = {source.id, source.name, source.data, source.retry};
    int error = hub_check(hub, &fields);
    if (error == ERROR_EVENT_TOO_LARGE) {
        lua_pushfstring(L, "the event's data must have at most %I bytes",
                        (lua_Integer)hub->limits.event_bytes);
        return push_problem(L, 413, lua_tostring(L, -1));
    }
    if (error != 0)
        return push_problem(L, 400, event_problem(error));
    const struct channel *channel = find_channel(L, 1);
    if (channel == NULL && hub->channel_count >= hub->limits.channels)
        return push_problem(L, 503, "the limit of channels is reached");
    if (channel != NULL && channel->options.keyed && !find_key(L, channel, 2, &source))
        return push_problem(L, 400, key_missing);
    return 0;
}

void publish_open_module(lua_State *L)
{
    static const luaL_Reg functions[] = {{"publish", publish_event},
                                         {"publish_later", l_publish_later},
                                         {"publish_result", l_publish_result},
                                         {"event_problem", l_event_problem},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    luaL_newmetatable(L, ticket_metatable);
    lua_pushcfunction(L, l_ticket_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
