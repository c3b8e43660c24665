#include "script/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "proto/event_stream.h"
#include "script/call.h"
#include "script/event.h"
#include "script/publication.h"

/* Events for filters */

static void set_text(lua_State *L, const char *name, struct slice text)
{
    if (text.length == 0)
        return;
    lua_pushlstring(L, text.data, text.length);
    lua_setfield(L, -2, name);
}

/* Pushes decoded JSON; L may not have room for an error, so the caller is protected. */
static void push_decoded(lua_State *L, const char *json, size_t length)
{
    vm_push_hook(L, HOOK_DECODE);
    lua_pushlstring(L, json, length);
    lua_call(L, 1, 1);
}

void judge_push_event(lua_State *L, const struct frame *frame, struct slice channel)
{
    struct buffer data = {0};
    frame_data(frame, &data);
    lua_createtable(L, 0, 6);
    lua_pushlstring(L, data.data == NULL ? "" : data.data, data.length);
    buffer_deinit(&data);
    if (frame->flags & FRAME_JSON) {
        size_t length;
        const char *json = lua_tolstring(L, -1, &length);
        push_decoded(L, json, length);
        lua_remove(L, -2);
    }
    lua_setfield(L, -2, "data");
    set_text(L, "event", frame_part(frame, frame->name));
    set_text(L, "id", frame_part(frame, frame->id));
    set_text(L, "key", frame_part(frame, frame->key));
    set_text(L, "channel", channel);
    if (frame->meta.length > 0) {
        push_decoded(L, frame->bytes + frame->meta.offset, frame->meta.length);
        lua_setfield(L, -2, "meta");
    }
}

/* Pushes what filters see of an event that the script has just published: its own values. */
static void push_own_event(lua_State *L, int event, const struct frame *frame, struct slice channel)
{
    static const char *const names[] = {"event", "data", "key", "meta"};
    lua_createtable(L, 0, 6);
    if (lua_type(L, event) == LUA_TSTRING) {
        lua_pushvalue(L, event);
        lua_setfield(L, -2, "data");
    } else {
        for (int i = 0; i < 4; i++) {
            lua_getfield(L, event, names[i]);
            lua_setfield(L, -2, names[i]);
        }
    }
    set_text(L, "id", frame_part(frame, frame->id));
    set_text(L, "channel", channel);
}

/* A changed event */

/* (event table, frame, out): encodes what a filter returned. */
static int l_encode(lua_State *L)
{
    struct frame *frame = lua_touserdata(L, 2);
    struct frame **out = lua_touserdata(L, 3);
    struct frame_source source;
    static const char *const ours[] = {"id", "key", "meta", "channel"};
    lua_settop(L, 1);
    /* These are the event's for good, whatever the filter says of them. */
    for (int i = 0; i < 4; i++) {
        lua_pushnil(L);
        lua_setfield(L, 1, ours[i]);
    }
    event_read(L, 1, &source);
    struct event_fields fields = {.name = source.name, .data = source.data, .retry = source.retry};
    int error = event_stream_check(&fields);
    if (error != 0)
        return event_raise(L, "filter", error);
    source.id = frame_part(frame, frame->id);
    if (source.id.length == 0)
        source.id.data = NULL;
    source.key = frame_part(frame, frame->key);
    source.meta = frame_part(frame, frame->meta);
    source.sequence = frame->sequence;
    source.time = frame->time;
    *out = frame_new(&source);
    return 0;
}

/* The table on top of the stack, as a frame; NULL when it cannot be encoded. */
static struct frame *encode_top(lua_State *L, struct frame *frame)
{
    struct vm *vm = vm_of(L);
    struct frame *made = NULL;
    lua_pushcfunction(L, l_encode);
    lua_pushvalue(L, -2);
    lua_pushlightuserdata(L, frame);
    lua_pushlightuserdata(L, &made);
    if (call_function(vm, L, 3, 0) == CALL_FAILED) {
        vm_report(vm, "filter", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return made;
}

/* Verdicts */

struct question {
    struct group *group;
    struct frame *frame;
    struct slice channel;
    int own; /* index of an event to ask with that may be shared, or 0 */
};

/* (filter, question): calls the filter with a fresh event, which it may change. */
static int l_ask(lua_State *L)
{
    const struct question *question = lua_touserdata(L, 2);
    lua_settop(L, 1);
    judge_push_event(L, question->frame, question->channel);
    lua_call(L, 1, 1);
    return 1;
}

/* A filter that ran over its time is asked no more in the same turn, for none of its groups: one
 * that never ends costs its budget once, not once for each group and event. */

static bool is_spent(const struct vm *vm, const struct group *group)
{
    if (vm->spent.turn != vm->turn)
        return false;
    for (unsigned i = 0; i < vm->spent.count; i++) {
        size_t length = strlen(vm->spent.names[i]);
        if (length <= group->key.length && memcmp(vm->spent.names[i], group->key.data, length) == 0)
            return true;
    }
    return vm->spent.count == VM_SPENT;
}

/* The group's key is the filter's name, ":" and its arguments. */
static void note_spent(struct vm *vm, const struct group *group)
{
    if (vm->spent.turn != vm->turn)
        vm->spent.count = 0;
    vm->spent.turn = vm->turn;
    if (vm->spent.count == VM_SPENT)
        return;
    const char *colon = memchr(group->key.data, ':', group->key.length);
    int length = colon == NULL ? (int)group->key.length : (int)(colon - group->key.data) + 1;
    char *name = vm->spent.names[vm->spent.count++];
    snprintf(name, VM_SPENT_NAME, "%.*s", length, group->key.data);
}

/* Pushes the filter's answer. False when it failed. */
static bool ask(lua_State *L, const struct question *question, bool fresh)
{
    struct vm *vm = vm_of(L);
    int arguments = 1;
    if (fresh)
        lua_pushcfunction(L, l_ask);
    lua_rawgeti(L, LUA_REGISTRYINDEX, question->group->reference);
    if (fresh) {
        lua_pushlightuserdata(L, (void *)question);
        arguments = 2;
    } else {
        lua_pushvalue(L, question->own);
    }
    if (call_function(vm, L, arguments, 1) == CALL_DONE)
        return true;
    if (vm->overran)
        note_spent(vm, question->group);
    vm_report(vm, "filter", lua_tostring(L, -1));
    return false;
}

/* A filter that only judges is asked with an event that others see too; one that changes events, or
 * is not known yet, gets one of its own. */
static struct frame *judge(lua_State *L, const struct question *question)
{
    struct group *group = question->group;
    struct frame *made = NULL;
    bool fresh = question->own == 0 || group->kind != GROUP_PLAIN;
    if (is_spent(vm_of(L), group))
        return NULL;
    bool ok = ask(L, question, fresh);
    if (ok && !fresh && lua_istable(L, -1)) {
        lua_pop(L, 1);
        ok = ask(L, question, true);
    }
    if (ok && lua_istable(L, -1)) {
        group->kind = GROUP_CHANGES;
        made = encode_top(L, question->frame);
    } else if (ok) {
        if (group->kind == GROUP_UNKNOWN)
            group->kind = GROUP_PLAIN;
        made = lua_toboolean(L, -1) ? frame_ref(question->frame) : NULL;
    }
    lua_pop(L, 1);
    return made;
}

struct frame *judge_frame(struct vm *vm, struct group *group, const struct channel *channel,
                          struct frame *frame)
{
    lua_State *L = vm_state(vm);
    struct question question = {.group = group, .frame = frame, .channel = channel->name};
    if (!lua_checkstack(L, 16))
        return NULL;
    vm->pipeline->judging++;
    struct frame *made = judge(L, &question);
    vm->pipeline->judging--;
    return made;
}

static void judge_all(lua_State *L, struct channel *channel, struct question *question,
                      uint64_t *bits, struct log_variant **variants)
{
    uint32_t words = channel_verdict_words(channel);
    /* A filter that subscribes may change the list of groups. */
    for (uint32_t i = 0; i < channel->group_count && i / 64 < words; i++) {
        question->group = channel->groups[i].group;
        if (question->group == NULL)
            continue;
        struct frame *made = judge(L, question);
        if (made != NULL)
            bits[i / 64] |= (uint64_t)1 << (i % 64);
        if (made != NULL && made != question->frame)
            log_variant_push(variants, i, made);
        frame_unref(made);
    }
}

void judge_commit(lua_State *L, struct channel *channel, struct frame *frame, int event)
{
    struct hub *hub = vm_of(L)->hub;
    struct question question = {.frame = frame, .channel = channel->name};
    struct log_variant *variants = NULL;
    uint32_t words = channel_verdict_words(channel);
    uint64_t *bits = NULL;
    int top = lua_gettop(L);
    bool limited = call_unlimit(vm_of(L));
    vm_of(L)->pipeline->judging++;
    if (words > 0 && lua_checkstack(L, 16)) {
        bits = memory_zero(words, sizeof *bits);
        if (event != 0) {
            push_own_event(L, event, frame, channel->name);
            question.own = lua_gettop(L);
        }
        judge_all(L, channel, &question, bits, &variants);
    }
    lua_settop(L, top);
    hub_commit(hub, channel, frame, bits, variants);
    vm_of(L)->pipeline->judging--;
    call_limit(vm_of(L), limited);
    free(bits);
}
