/*
 * tls_pair_priv.h - a server's certificate, the chain that leads to it, and its key.
 *
 * Thread: whichever builds or reloads; blocks on files.
 */
#pragma once

#include <openssl/x509.h>

#include "net/tls.h"

struct rg_tls_pair {
    X509 *cert;
    STACK_OF(X509) * chain; /* without cert; maybe empty */
    EVP_PKEY *key;
};

/*
 * Reads the files that settings names. A negative code with why if one cannot be read or
 * understood, the pass phrase is wrong, or the key is not the certificate's; why->place is the
 * setting to look at. The caller calls rg_tls_pair_done() in any case.
 */
int rg_tls_pair_load(struct rg_tls_pair *pair, const struct rg_tls_settings *settings,
                     struct rg_why *why);

/* Makes a key and a self-signed certificate for localhost, 127.0.0.1 and ::1. */
int rg_tls_pair_make(struct rg_tls_pair *pair, struct rg_why *why);

/* Frees what is there; a zeroed pair is fine. */
void rg_tls_pair_done(struct rg_tls_pair *pair);

/* What OpenSSL said last, for a person; empties this thread's queue of errors. */
const char *rg_tls_last_error(void);
