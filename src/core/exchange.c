#include "core/exchange.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"

struct response *response_new(void)
{
    struct response *response = memory_zero(1, sizeof *response);
    response->file = -1;
    return response;
}

void response_free(struct response *response)
{
    if (response == NULL)
        return;
    if (response->file >= 0)
        close(response->file);
    buffer_deinit(&response->bytes);
    free(response);
}

void exchange_free(struct exchange *exchange)
{
    if (exchange == NULL)
        return;
    http_request_free(exchange->request);
    free(exchange);
}
