#ifndef SSE_BASE_ADDRESS_H
#define SSE_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

/* A peer's address. Binary, IPv4 as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2). All zero for local
 * sockets, whose clients are not told apart. */
struct address {
    unsigned char bytes[16];
};

enum { ADDRESS_TEXT = 64 }; /* bytes of any address as text, and more */

bool address_is_local(const struct address *address);
/* Writes the address as text: "192.0.2.1", "2001:db8::1" or "unix". */
void address_text(const struct address *address, char *out, size_t size);

#endif
