/*
 * address.h - an address of IPv4 or IPv6 and a port.
 *
 * Thread: any.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

struct rg_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to;
    socklen_t n;
};

/* From text, IPv6 without brackets; nothing is looked up. False if host is not an address. */
bool rg_address_parse(struct rg_address *ret, const char *host, unsigned port);

/* False if it is of another family. */
bool rg_address_copy(struct rg_address *ret, const struct sockaddr *from);

bool rg_address_eq(const struct rg_address *a, const struct rg_address *b);

/* "192.0.2.7:80" or "[2001:db8::1]:80" and a NUL. */
#define RG_ADDRESS_SIZE 56
void rg_address_text(const struct rg_address *address, char out[RG_ADDRESS_SIZE]);
