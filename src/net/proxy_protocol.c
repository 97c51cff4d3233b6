#include "net/proxy_protocol.h"

long rg_proxy_header_read(const char *p, size_t n, char peer[RG_PEER_SIZE], struct rg_why *why)
{
    (void)p;
    (void)n;
    (void)peer;
    return rg_why_set(why, RG_ESYNTAX, "", "is not read yet");
}
