#include "models/delivery.h"

#include <stdio.h>

#include "models/expect.h"
#include "models/readers.h"

static void open(struct delivery *delivery, struct program *program)
{
    uint32_t index = program_below(program, NAMES);
    struct channel_options options = {.history = index == BARE ? 0 : 1 + program_below(program, 12),
                                      .keyed = delivery_names[index][0] == 'k',
                                      .max_age = program_byte(program) % 4 == 0 ? 500 : 0,
                                      .max_bytes = program_byte(program) % 4 == 0 ? 1200 : 0};
    struct channel *channel = delivery_find(delivery, index);
    if (channel == NULL)
        EXPECT(hub_open(&delivery->world.hub, slice_text(delivery_names[index]), &options,
                        &channel) == 0);
    channel->declared = true;
    hub_configure(&delivery->world.hub, channel, &options, delivery->world.now);
}

static void publish(struct delivery *delivery, struct program *program)
{
    uint32_t index = program_below(program, NAMES);
    int number = (int)program_below(program, 100);
    const char *keys[] = {"k", "l", "m", "n"};
    const char *key = keys[program_below(program, 4)];
    struct channel *channel = delivery_find(delivery, index);
    if (channel == NULL || delivery->count == EVENTS)
        return;
    if (channel->options.keyed) {
        const struct frame *old = channel_find_key(channel, slice_text(key));
        if (old != NULL)
            delivery_published(delivery, old->sequence)->superseded = true;
    }
    /* Before it is published: what it evicts may be itself. */
    struct published *event = &delivery->events[delivery->count++];
    *event = (struct published){delivery->world.hub.sequence + 1, index, channel, number, false, 0};
    char data[32];
    snprintf(data, sizeof data, "%d", number);
    if (channel->options.keyed)
        world_publish_key(&delivery->world, channel, key, data);
    else
        world_publish(&delivery->world, channel, NULL, data);
}

static void delete_key(struct delivery *delivery, struct program *program)
{
    uint32_t index = 3 + program_below(program, 2);
    const char *keys[] = {"k", "l", "m", "n"};
    const char *key = keys[program_below(program, 4)];
    struct channel *channel = delivery_find(delivery, index);
    if (channel == NULL || delivery->count == EVENTS)
        return;
    const struct frame *old = channel_find_key(channel, slice_text(key));
    if (old != NULL)
        delivery_published(delivery, old->sequence)->superseded = true;
    struct published *event = &delivery->events[delivery->count++];
    *event = (struct published){delivery->world.hub.sequence + 1, index, channel, 0, false, 0};
    world_publish_key(&delivery->world, channel, key, NULL);
}

static void subscribe(struct delivery *delivery, struct program *program)
{
    static const int references[] = {WORLD_ALL, WORLD_ALL, 2, 3, -2};
    static const char *const patterns[] = {"a.*", "**", "*.b", "keyed.*"};
    uint32_t which = program_below(program, SUBSCRIPTIONS);
    int reference = references[program_below(program, 5)];
    uint32_t form = program_byte(program);
    if (delivery->subscriptions[which] != NULL)
        return;
    if (form % 3 == 0) {
        delivery->subscriptions[which] =
            world_subscribe_pattern(&delivery->world, patterns[form / 3 % 4], reference);
        return;
    }
    struct channel *first = delivery_find(delivery, form / 3 % NAMES);
    struct channel *second = delivery_find(delivery, form / 18 % NAMES);
    if (first != NULL)
        delivery->subscriptions[which] =
            world_subscribe(&delivery->world, first, second == first ? NULL : second, reference);
}

static void unsubscribe(struct delivery *delivery, struct program *program)
{
    uint32_t which = program_below(program, SUBSCRIPTIONS);
    if (delivery->subscriptions[which] != NULL)
        hub_unsubscribe(&delivery->world.hub, delivery->subscriptions[which]);
    delivery->subscriptions[which] = NULL;
}

static void change_limits(struct delivery *delivery, struct program *program)
{
    struct channel *channel = delivery_find(delivery, program_below(program, NAMES));
    switch (program_below(program, 4)) {
    case 0:
        delivery->world.hub.limits.total_bytes =
            delivery->world.hub.bytes + 8 * program_byte(program);
        break;
    case 1:
        delivery->world.hub.limits.total_bytes = 1 << 20;
        break;
    case 2:
        if (channel != NULL)
            hub_close(&delivery->world.hub, channel);
        break;
    default:
        delivery->world.now += 10 * (int64_t)program_byte(program);
        if (program_byte(program) % 4 == 0)
            delivery->world.now += HUB_CLOSED_AGE;
        hub_expire(&delivery->world.hub, delivery->world.now);
    }
}

static void step(struct delivery *delivery, struct program *program)
{
    struct reader *reader;
    delivery->step++;
    switch (program_below(program, 16)) {
    case 0:
        open(delivery, program);
        break;
    case 1:
        subscribe(delivery, program);
        break;
    case 2:
        unsubscribe(delivery, program);
        break;
    case 3:
    case 4:
        readers_join(delivery, program);
        break;
    case 5:
        reader = &delivery->readers[program_below(program, READERS)];
        if (reader->subscription != NULL)
            readers_leave(delivery, reader);
        break;
    case 6:
    case 7:
        reader = &delivery->readers[program_below(program, READERS)];
        if (reader->subscription != NULL)
            readers_read_on(delivery, reader, 1 + program_below(program, 8));
        break;
    case 8:
    case 9:
        readers_turn(delivery);
        break;
    case 10:
        change_limits(delivery, program);
        break;
    case 11:
        delete_key(delivery, program);
        break;
    default:
        publish(delivery, program);
    }
    delivery_note_evictions(delivery);
}

/* Everybody reads to the end; then there is nothing left of anything. */
static void finish(struct delivery *delivery)
{
    readers_turn(delivery);
    expect_hub_is_sound(&delivery->world.hub);
    for (uint32_t i = 0; i < READERS; i++) {
        if (delivery->readers[i].subscription != NULL)
            readers_read_on(delivery, &delivery->readers[i], 1000);
        if (delivery->readers[i].subscription != NULL)
            readers_leave(delivery, &delivery->readers[i]);
    }
    for (uint32_t i = 0; i < SUBSCRIPTIONS; i++) {
        if (delivery->subscriptions[i] != NULL)
            hub_unsubscribe(&delivery->world.hub, delivery->subscriptions[i]);
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        struct channel *channel = delivery_find(delivery, i);
        EXPECT(channel == NULL || (channel->subscribers == 0 && channel->group_count == 0));
    }
}

void expect_delivery(struct program program)
{
    struct delivery *delivery = calloc(1, sizeof *delivery);
    delivery->program = &program;
    world_init(&delivery->world);
    delivery->world.replica.removing = readers_on_removing;
    while (program_has_more(&program))
        step(delivery, &program);
    finish(delivery);
    world_deinit(&delivery->world);
    free(delivery);
}
