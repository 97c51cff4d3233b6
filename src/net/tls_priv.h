/*
 * tls_priv.h - what the certificates (tls.c) and the streams (tls_stream.c) share.
 *
 * Thread: any that is registered with rcu.h.
 */
#pragma once

#include <openssl/ssl.h>

#include "net/tls.h"
#include "net/tls_records_priv.h"

/* Rows of what is counted; see tls.c for names and meaning. */
enum rg_tls_row {
    RG_TLS_FULL,
    RG_TLS_RESUMED,
    RG_TLS_KTLS,
    RG_TLS_FAILED_PLAIN_HTTP,
    RG_TLS_FAILED_NOT_TLS,
    RG_TLS_FAILED_VERSION,
    RG_TLS_FAILED_NOTHING_COMMON,
    RG_TLS_FAILED_ALERT,
    RG_TLS_FAILED_CLOSED,
    RG_TLS_FAILED_TIMEOUT,
    RG_TLS_FAILED_OTHER,
    RG_TLS_ROWS
};

void rg_tls_count(enum rg_tls_row row);

/*
 * OpenSSL's part of a connection that a client has opened, with the certificate of the moment.
 * records (borrowed) learns what it needs to take over after the handshake.
 */
SSL *rg_tls_accept(struct rg_tls *tls, struct rg_tls_records *records);

uint64_t rg_tls_handshake_timeout(const struct rg_tls *tls);
