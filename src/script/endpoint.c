#include "script/endpoint.h"

#include "script/answer.h"
#include "script/publish.h"

/* The data is then JSON, lines of it, or a form: scripts/publisher.lua reads those. */
static bool is_structured(struct slice type)
{
    static const char *const plain[] = {"text/plain", "application/octet-stream"};
    if (type.data == NULL)
        return false;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        size_t length = strlen(plain[i]);
        if (type.length >= length && slice_equal_case(slice_of(type.data, length), plain[i]) &&
            (type.length == length || type.data[length] == ';'))
            return false;
    }
    return true;
}

/* The query and these headers may say more of the event. */
static bool is_plain(const struct http_request *request)
{
    static const char *const more[] = {"event", "event-id", "event-key", "idempotency-key"};
    struct slice target = http_request_target(request);
    if (memchr(target.data, '?', target.length) != NULL ||
        is_structured(http_request_find(request, "content-type")))
        return false;
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        if (http_request_find(request, more[i]).data != NULL)
            return false;
    }
    return true;
}

static void write_receipt(const struct hub *hub, uint64_t sequence, uint32_t subscribers,
                          struct buffer *out)
{
    char id[HUB_ID_MAX];
    buffer_append_text(out, "{\"id\":\"");
    buffer_append(out, id, hub_write_id(hub, sequence, id));
    buffer_append_text(out, "\",\"subscribers\":");
    buffer_append_number(out, subscribers);
    buffer_append_text(out, ",\"durable\":false}");
}

bool endpoint_answer(struct vm *vm, connection_id connection, struct exchange *exchange,
                     const struct routing *routing, const struct routing_found *found)
{
    struct buffer receipt = {0};
    const struct http_request *request = exchange->request;
    const struct routing_entry *entry =
        found->status == 0 ? &routing->entries[found->match.value] : NULL;
    if (entry == NULL || !entry->publishes || routing->in_script || !is_plain(request))
        return false;
    struct slice name =
        entry->channel != NULL ? slice_text(entry->channel) : found->match.values[entry->parameter];
    struct channel *channel = hub_find(vm->hub, name);
    uint64_t sequence = 0;
    uint32_t subscribers = channel == NULL ? 0 : channel->subscribers;
    if (channel == NULL || !publish_plain(vm, channel, buffer_slice(&request->body), &sequence))
        return false;
    write_receipt(vm->hub, sequence, subscribers, &receipt);
    vm->host.respond(vm->host.context, connection,
                     answer_json(request, 201, buffer_slice(&receipt)));
    buffer_deinit(&receipt);
    exchange_free(exchange);
    return true;
}
