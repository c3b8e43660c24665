#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool address_is_local(const struct address *address)
{
    static const struct address none;
    return memcmp(address, &none, sizeof none) == 0;
}

void address_text(const struct address *address, char *out, size_t size)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const unsigned char *bytes = address->bytes;
    if (address_is_local(address))
        snprintf(out, size, "unix");
    else if (memcmp(bytes, mapped, sizeof mapped) == 0)
        inet_ntop(AF_INET, bytes + 12, out, (socklen_t)size);
    else
        inet_ntop(AF_INET6, bytes, out, (socklen_t)size);
}
