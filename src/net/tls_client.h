/*
 * tls_client.h - streams to others that are protected by TLS (RFC 8446, RFC 5246; OpenSSL 3).
 *
 * TLS 1.2 and 1.3. The other side's certificate must lead to a certificate that is trusted and be
 * for the name that was asked for (RFC 6125), unless that is turned off. HTTP/1.1 is asked for by
 * ALPN. Sessions are resumed.
 *
 * Thread: building, any; afterwards immutable, shared and counted: any.
 */
#pragma once

#include "base/err.h"
#include "net/stream.h"

struct rg_tls_client;

struct rg_tls_client_settings {
    const char *ca_file;   /* PEM: certificates that are trusted; NULL: the system's */
    const char *cert_file; /* PEM: our own certificate and its chain; NULL: none */
    const char *key_file;  /* PEM: its key */
    const char *key_pass;  /* NULL: none */
    bool is_unverified;    /* whoever answers is believed */
};

/* One reference. NULL, with why, where why->place names the setting to look at. */
struct rg_tls_client *rg_tls_client_new(const struct rg_tls_client_settings *settings,
                                        struct rg_why *why);
struct rg_tls_client *rg_tls_client_ref(struct rg_tls_client *client);
void rg_tls_client_unref(struct rg_tls_client **clientp);

/*
 * A stream on fd, which is connected (taken, closed even on failure); NULL if the loop does not
 * accept it. server_name is a name or an address and copied. The handshake happens as the owner
 * writes and reads, which say UV_EAGAIN until it is done; it has to be within timeout_ms. A failed
 * one breaks the stream: reading and writing return a code, and rg_tls_client_why() says why.
 */
struct rg_stream *rg_tls_client_open(struct rg_tls_client *client, struct rg_reactor *reactor,
                                     int fd, const char *server_name, uint64_t timeout_ms,
                                     const struct rg_stream_events *events, void *owner);

/* True once the handshake is done. */
bool rg_tls_client_is_ready(const struct rg_stream *stream);

/* Why the stream broke ("certificate has expired", ...); "" if it is none of TLS's doing. */
const char *rg_tls_client_why(const struct rg_stream *stream);
