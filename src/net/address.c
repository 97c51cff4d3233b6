#include "net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

bool rg_address_copy(struct rg_address *ret, const struct sockaddr *from)
{
    *ret = (struct rg_address){0};
    if (from->sa_family == AF_INET)
        ret->n = sizeof(ret->to.v4);
    else if (from->sa_family == AF_INET6)
        ret->n = sizeof(ret->to.v6);
    memcpy(&ret->to, from, ret->n);
    return ret->n > 0;
}

bool rg_address_parse(struct rg_address *ret, const char *host, unsigned port)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};
    struct addrinfo *found;
    char service[8];

    /* Without a lookup, so that it does not block. */
    snprintf(service, sizeof(service), "%u", port & 0xffff);
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return false;
    bool is_known = rg_address_copy(ret, found->ai_addr);
    freeaddrinfo(found);
    return is_known;
}

bool rg_address_eq(const struct rg_address *a, const struct rg_address *b)
{
    if (a->to.any.sa_family != b->to.any.sa_family)
        return false;
    if (a->to.any.sa_family == AF_INET)
        return a->to.v4.sin_port == b->to.v4.sin_port &&
               a->to.v4.sin_addr.s_addr == b->to.v4.sin_addr.s_addr;
    return a->to.v6.sin6_port == b->to.v6.sin6_port &&
           a->to.v6.sin6_scope_id == b->to.v6.sin6_scope_id &&
           memcmp(&a->to.v6.sin6_addr, &b->to.v6.sin6_addr, sizeof(a->to.v6.sin6_addr)) == 0;
}

void rg_address_text(const struct rg_address *address, char out[RG_ADDRESS_SIZE])
{
    bool is_v6 = address->to.any.sa_family == AF_INET6;
    char host[INET6_ADDRSTRLEN] = "";

    if (is_v6)
        inet_ntop(AF_INET6, &address->to.v6.sin6_addr, host, sizeof(host));
    else
        inet_ntop(AF_INET, &address->to.v4.sin_addr, host, sizeof(host));
    snprintf(out, RG_ADDRESS_SIZE, is_v6 ? "[%s]:%u" : "%s:%u", host,
             ntohs(is_v6 ? address->to.v6.sin6_port : address->to.v4.sin_port));
}
