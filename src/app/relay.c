/* Between the script and the shards: changes and decisions out, requests and endings in. */
#include <string.h>

#include "app/router.h"
#include "script/judge.h"

static struct outbox *outbox_for(struct router *router, connection_id connection)
{
    return &router->workers[connection >> 56].outbox;
}

static void on_change(void *context, const struct change *change)
{
    struct router *router = context;
    if (!router->telling)
        return;
    for (unsigned i = 0; i < router->worker_count; i++)
        outbox_push(&router->workers[i].outbox,
                    &(struct message){.kind = MESSAGE_CHANGE, .change = change_copy(change)});
}

static struct frame *judge(void *context, struct group *group, const struct channel *channel,
                           struct frame *frame)
{
    return judge_frame(((struct router *)context)->vm, group, channel, frame);
}

static void forget(void *context, const struct group *group)
{
    vm_forget(((struct router *)context)->vm, group);
}

static void audience(void *context, const struct channel *channel)
{
    struct router *router = context;
    if (router->telling)
        vm_audience_changed(router->vm, channel);
}

struct hub_listener relay_listener(struct router *router)
{
    return (struct hub_listener){router, on_change, judge, forget, audience};
}

static void host_respond(void *context, connection_id connection, struct response *response)
{
    outbox_push(
        outbox_for(context, connection),
        &(struct message){.kind = MESSAGE_RESPOND, .connection = connection, .response = response});
}

static void host_subscribe(void *context, connection_id connection, struct response *head,
                           struct subscription *subscription, uint64_t cursor)
{
    outbox_push(outbox_for(context, connection),
                &(struct message){.kind = MESSAGE_SUBSCRIBE,
                                  .connection = connection,
                                  .number = subscription->definition->id,
                                  .sequence = cursor,
                                  .response = head});
}

static void host_join(void *context, connection_id connection, struct subscription *subscription,
                      uint64_t cursor, uint64_t began)
{
    outbox_push(outbox_for(context, connection),
                &(struct message){.kind = MESSAGE_JOIN,
                                  .connection = connection,
                                  .number = subscription->definition->id,
                                  .sequence = cursor,
                                  .began = began});
}

static void host_move(void *context, connection_id connection, struct subscription *subscription)
{
    outbox_push(outbox_for(context, connection),
                &(struct message){.kind = MESSAGE_MOVE,
                                  .connection = connection,
                                  .number = subscription->definition->id});
}

static void host_stream(void *context, connection_id connection, struct response *head,
                        unsigned heartbeat)
{
    outbox_push(outbox_for(context, connection), &(struct message){.kind = MESSAGE_STREAM,
                                                                   .connection = connection,
                                                                   .number = heartbeat,
                                                                   .response = head});
}

static void host_send(void *context, connection_id connection, struct frame *frame)
{
    outbox_push(outbox_for(context, connection),
                &(struct message){.kind = MESSAGE_SEND, .connection = connection, .frame = frame});
}

static void host_end(void *context, connection_id connection)
{
    outbox_push(outbox_for(context, connection),
                &(struct message){.kind = MESSAGE_END, .connection = connection});
}

static void host_leave(void *context, connection_id connection)
{
    outbox_push(outbox_for(context, connection),
                &(struct message){.kind = MESSAGE_LEAVE, .connection = connection});
}

static void host_count(void *context, struct vm_traffic *out)
{
    struct router *router = context;
    out->connections = admission_count(&router->admission);
    out->turned_away = admission_refused(&router->admission);
    for (unsigned i = 0; i < router->worker_count; i++) {
        const struct shard_counters *counters = &router->workers[i].shard.counters;
        out->accepted += shard_counted(&counters->accepted);
        out->requests += shard_counted(&counters->requests);
        out->refused_requests += shard_counted(&counters->refused_requests);
        out->streams += shard_counted(&counters->streams);
        out->stalled += shard_counted(&counters->stalled);
        out->events_sent += shard_counted(&counters->events_sent);
        out->bytes_sent += shard_counted(&counters->bytes_sent);
    }
}

struct vm_host relay_host(struct router *router)
{
    return (struct vm_host){.context = router,
                            .respond = host_respond,
                            .subscribe = host_subscribe,
                            .join = host_join,
                            .move = host_move,
                            .stream = host_stream,
                            .send = host_send,
                            .end = host_end,
                            .leave = host_leave,
                            .reload = reload_request,
                            .count = host_count};
}

static void subscriber_left(struct router *router, uint32_t id)
{
    struct subscription *subscription = hub_subscription(&router->hub, id);
    hub_count_subscribers(&router->hub, subscription, -1);
    hub_unsubscribe(&router->hub, subscription);
}

static void stream_closed(struct router *router, const struct message *message)
{
    if (message->number == NO_SUBSCRIPTION) {
        vm_stream_closed(router->vm, message->connection);
        return;
    }
    subscriber_left(router, message->number);
    vm_subscriber_closed(router->vm, message->connection);
}

void relay_receive(void *context, struct message *message)
{
    struct router *router = context;
    switch ((enum message_kind)message->kind) {
    case MESSAGE_REQUEST:
        vm_dispatch(router->vm, message->connection, message->exchange);
        break;
    case MESSAGE_CLOSED:
        stream_closed(router, message);
        break;
    case MESSAGE_LEFT:
        subscriber_left(router, message->number);
        break;
    case MESSAGE_TAKEN:
        vm_stream_taken(router->vm, message->connection, message->number);
        break;
    case MESSAGE_LAGGED:
        hub_count_lag(&router->hub, message->number);
        break;
    case MESSAGE_DRAINED:
        ending_drained(router, message->number);
        break;
    default:
        message_deinit(message);
    }
}

void relay_to_all(struct router *router, enum message_kind kind)
{
    for (unsigned i = 0; i < router->worker_count; i++)
        outbox_push(&router->workers[i].outbox, &(struct message){.kind = (uint8_t)kind});
    relay_flush(router);
}

void relay_flush(struct router *router)
{
    for (unsigned i = 0; i < router->worker_count; i++)
        outbox_flush(&router->workers[i].outbox);
}
