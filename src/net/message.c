#include "net/message.h"

void message_deinit(struct message *message)
{
    switch ((enum message_kind)message->kind) {
    case MESSAGE_CHANGE:
        change_deinit(&message->change);
        break;
    case MESSAGE_RESPOND:
    case MESSAGE_SUBSCRIBE:
    case MESSAGE_STREAM:
        response_free(message->response);
        break;
    case MESSAGE_SEND:
        frame_unref(message->frame);
        break;
    case MESSAGE_REQUEST:
        exchange_free(message->exchange);
        break;
    case MESSAGE_MOVE:
    case MESSAGE_LEFT:
    case MESSAGE_JOIN:
    case MESSAGE_END:
    case MESSAGE_LEAVE:
    case MESSAGE_DRAIN:
    case MESSAGE_STOP:
    case MESSAGE_CLOSED:
    case MESSAGE_TAKEN:
    case MESSAGE_LAGGED:
    case MESSAGE_DRAINED:
        break;
    }
}
