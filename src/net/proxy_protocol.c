/*
 * Version 1 is a line of text:
 *
 *     PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n        or TCP6, or UNKNOWN and anything
 *
 * Version 2 is binary:
 *
 *     0            12        13       14      16                     16 + length
 *     | signature  | 2 | cmd | family | length | addresses, then TLVs |
 */
#include "net/proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "net/socket_priv.h"

#define MAX_LINE 107 /* with CRLF; what version 1 allows */

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2_FIXED     16
#define V2_LOCAL     0x20 /* version and command */
#define V2_PROXY     0x21

static long malformed(struct rg_why *why, const char *text)
{
    return rg_why_set(why, RG_ESYNTAX, "", "%s", text);
}

/* ---- version 1 ---- */

static bool take_address(struct rg_str text, int family, struct in6_addr *ret)
{
    char copy[RG_PEER_SIZE];

    if (text.n == 0 || text.n >= sizeof(copy))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    return inet_pton(family, copy, ret) == 1;
}

static bool is_port(struct rg_str text)
{
    uint64_t port;

    return text.n > 0 && (text.n == 1 || text.p[0] != '0') &&
           rg_str_to_u64(text, UINT16_MAX, &port) == 0;
}

/* The line behind the word PROXY, without CRLF. */
static int read_line(struct rg_str line, char peer[RG_PEER_SIZE], struct rg_why *why)
{
    struct in6_addr from, to;
    struct rg_str protocol = rg_str_split(&line, ' ');
    int family = rg_str_eq(protocol, RG_STR("TCP4")) ? AF_INET : AF_INET6;

    peer[0] = '\0';
    if (rg_str_eq(protocol, RG_STR("UNKNOWN")))
        return 0;
    if (family == AF_INET6 && !rg_str_eq(protocol, RG_STR("TCP6")))
        return (int)malformed(why, "the protocol is none of TCP4, TCP6 and UNKNOWN");
    if (!take_address(rg_str_split(&line, ' '), family, &from) ||
        !take_address(rg_str_split(&line, ' '), family, &to))
        return (int)malformed(why, "an address is malformed");
    if (!is_port(rg_str_split(&line, ' ')) || !is_port(line))
        return (int)malformed(why, "a port is malformed");
    rg_socket_address_text(family, &from, peer);
    return 0;
}

static long read_text(struct rg_str in, char peer[RG_PEER_SIZE], struct rg_why *why)
{
    struct rg_str word = RG_STR("PROXY ");
    size_t known = in.n < word.n ? in.n : word.n;

    if (memcmp(in.p, word.p, known) != 0)
        return malformed(why, "it begins with no header of the PROXY protocol");
    for (size_t at = known; at < in.n; at++) {
        if (at == MAX_LINE)
            break;
        if (in.p[at] == '\n' && in.p[at - 1] == '\r') {
            long err = read_line(rg_str_n(in.p + word.n, at - 1 - word.n), peer, why);
            return err < 0 ? err : (long)at + 1;
        }
        bool may_end = in.p[at] == '\r' && (at + 1 == in.n || in.p[at + 1] == '\n');
        if (!may_end && (in.p[at] < ' ' || in.p[at] > '~'))
            return malformed(why, "the line has a byte that is not allowed there");
    }
    return in.n < MAX_LINE ? 0 : malformed(why, "the line is too long");
}

/* ---- version 2 ---- */

/* What each family of addresses takes at least; 0: not one of a stream. */
static size_t addresses_size(unsigned char family)
{
    switch (family) {
    case 0x11:
        return 12;
    case 0x21:
        return 36;
    case 0x31:
        return 216;
    default:
        return 0;
    }
}

static long read_binary(struct rg_str in, char peer[RG_PEER_SIZE], struct rg_why *why)
{
    const unsigned char *p = (const unsigned char *)in.p;
    size_t known = in.n < sizeof(V2_SIGNATURE) - 1 ? in.n : sizeof(V2_SIGNATURE) - 1;

    if (memcmp(p, V2_SIGNATURE, known) != 0)
        return malformed(why, "it begins with no header of the PROXY protocol");
    if (in.n < V2_FIXED)
        return 0;
    size_t length = (size_t)p[14] << 8 | p[15];
    bool is_local = p[12] == V2_LOCAL;
    bool is_unspecified = p[13] == 0;
    if (!is_local && p[12] != V2_PROXY)
        return malformed(why, "the version is not 2, or the command unknown");
    if (length > RG_PROXY_HEADER_MAX - V2_FIXED)
        return malformed(why, "the header is too long");
    /* Whose own connection it is may say anything (2.2: must be ignored). */
    if (!is_local && !is_unspecified &&
        (addresses_size(p[13]) == 0 || length < addresses_size(p[13])))
        return malformed(why, "the addresses are not those of a stream, or incomplete");
    if (in.n < V2_FIXED + length)
        return 0;
    peer[0] = '\0';
    if (!is_local && p[13] == 0x11)
        rg_socket_address_text(AF_INET, p + V2_FIXED, peer);
    else if (!is_local && p[13] == 0x21)
        rg_socket_address_text(AF_INET6, p + V2_FIXED, peer);
    return (long)(V2_FIXED + length);
}

long rg_proxy_header_read(const char *p, size_t n, char peer[RG_PEER_SIZE], struct rg_why *why)
{
    if (n == 0)
        return 0;
    return p[0] == '\r' ? read_binary(rg_str_n(p, n), peer, why)
                        : read_text(rg_str_n(p, n), peer, why);
}
