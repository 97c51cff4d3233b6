/*
 * proxy_protocol.h - the header that a load balancer puts in front of a connection to say whose it
 * is (the PROXY protocol of HAProxy, versions 1 and 2).
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/err.h"
#include "net/socket.h"

#define RG_PROXY_HEADER_MAX 536 /* bytes that we take: what version 2 asks of every receiver */

/*
 * Reads the header at p[0..n). Returns its length, with the client's address in peer ("" where the
 * balancer speaks for itself: LOCAL, UNKNOWN, UNSPEC, AF_UNIX; the connection's own counts then); 0
 * if more bytes are needed; RG_ESYNTAX with why for what is no such header, or too long.
 */
long rg_proxy_header_read(const char *p, size_t n, char peer[RG_PEER_SIZE], struct rg_why *why);
