/*
 * forwarded.h - by which ways a request came: Forwarded (RFC 7239) and X-Forwarded-For, read and
 * written.
 *
 * Reading is strict, and all or nothing: a list that is malformed anywhere, or longer than our
 * limits, says nothing. Whoever writes behind a client's half-open quote would otherwise be read as
 * part of it.
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "net/networks.h"
#include "net/socket.h"

#define RG_FORWARDED_MAX_BYTES 16384 /* of all lines of a field */
#define RG_FORWARDED_MAX_HOPS  64

/* One station: what it says of the one before it. Texts are slices of the field. */
struct rg_forwarded_hop {
    /* Whom it got the request from, without quotes: an address with or without port, "unknown", or
     * an obfuscated "_name"; n == 0: it does not say. */
    struct rg_str node;
    char address[RG_PEER_SIZE]; /* of node, without port and brackets; "": node is no address */
    struct rg_str host, proto;  /* n == 0: it does not say */
};

/* Nearest to the client first. */
struct rg_forwarded {
    struct rg_forwarded_hop hops[RG_FORWARDED_MAX_HOPS];
    size_t n;
    size_t bytes; /* read so far, of RG_FORWARDED_MAX_BYTES */
};

/*
 * Appends the hops of one line; forwarded starts with n and bytes 0. RG_ESYNTAX or RG_EFULL, after
 * which it is not to be used. A value that is empty adds none.
 */
int rg_forwarded_read(struct rg_forwarded *forwarded, struct rg_str value);
/* The same for X-Forwarded-For: addresses (IPv6 also in brackets, both also with port), "unknown",
 * "_name". */
int rg_forwarded_read_x(struct rg_forwarded *forwarded, struct rg_str value);

/*
 * The hop that tells of the client: walking from the right, the first whose address is not trusted;
 * where all are, the leftmost. It is told by a trusted peer if it is the last one, else by the
 * trusted hop to its right. NULL if there is no hop.
 */
const struct rg_forwarded_hop *rg_forwarded_client(const struct rg_forwarded *forwarded,
                                                   const struct rg_networks *trusted);

/* Appends a value for a parameter: as a token where it is one, quoted where it is not. */
void rg_forwarded_add_value(struct rg_buf *out, struct rg_str value);

/* Appends an address, as text without port, as a node: IPv6 in brackets and quotes, "unknown" for
 * an empty one. */
void rg_forwarded_add_address(struct rg_buf *out, struct rg_str address);
