/*
 * Headers of the PROXY protocol: the outcome does not depend on how much has come, is within its
 * bounds, and an address is one.
 */
#include <arpa/inet.h>

#include "net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static void check_peer(const char *peer)
{
    char address[16];

    rg_assert(memchr(peer, '\0', RG_PEER_SIZE) != NULL);
    rg_assert(peer[0] == '\0' || inet_pton(AF_INET, peer, address) == 1 ||
              inet_pton(AF_INET6, peer, address) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    const char *p = (const char *)input;
    char peer[RG_PEER_SIZE], whole[RG_PEER_SIZE];
    struct rg_why why;
    long verdict = rg_proxy_header_read(p, n, whole, &why);

    rg_assert(verdict >= 0 || verdict == RG_ESYNTAX);
    rg_assert(verdict <= RG_PROXY_HEADER_MAX && verdict <= (long)n);
    rg_assert(verdict != 0 || n < RG_PROXY_HEADER_MAX);
    if (verdict > 0)
        check_peer(whole);
    for (size_t i = 0; i < n && i < RG_PROXY_HEADER_MAX + 10; i++) {
        long early = rg_proxy_header_read(p, i, peer, NULL);
        /* What is refused later may have looked well so far; what is a header already, stays it. */
        rg_assert(early == 0 || early == verdict);
        rg_assert(early <= 0 || strcmp(peer, whole) == 0);
        rg_assert(verdict <= 0 || (long)i < verdict ? early <= 0 : early == verdict);
    }
    return 0;
}
