/*
 * tls.h - streams protected by TLS (RFC 8446, RFC 5246; OpenSSL 3).
 *
 * TLS 1.2 and 1.3 with forward-secret AEAD suites, ALPN for HTTP/2 and HTTP/1.1, session tickets,
 * no renegotiation, no client certificates. A certificate can be exchanged for another while
 * connections are open; they keep the one they began with. Where the kernel has TLS, it encrypts.
 *
 * Thread: building, reloading and asking about the certificate, one at a time; opening streams, any
 * reactor, also meanwhile. Who reloads or opens is registered with base/rcu.h.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "net/stream.h"

struct rg_tls;

struct rg_tls_settings {
    const char *cert_file; /* PEM: the server's certificate first, then the chain */
    const char *key_file;  /* PEM: PKCS#8 or traditional, maybe encrypted */
    const char *key_pass;  /* NULL: none; not needed for a key that is not encrypted */
};

/*
 * Reads certificate and key (settings are copied). NULL, with why, if a file cannot be read, the
 * pass phrase is wrong, or key and certificate do not match. why->place names the setting to look
 * at: "cert_file", "key_file" or "key_pass".
 */
struct rg_tls *rg_tls_new(const struct rg_tls_settings *settings, struct rg_why *why);

/*
 * A key and a self-signed certificate for localhost, 127.0.0.1 and ::1, made now and kept in memory
 * only: for development.
 */
struct rg_tls *rg_tls_new_self_signed(struct rg_why *why);

/* Whether clients of this process are offered HTTP/2 by ALPN (RFC 7301); they are unless told so.
 */
void rg_tls_offer_h2(bool is_offered);

/* Streams that are open live on. */
void rg_tls_free(struct rg_tls **tlsp);

/*
 * Reads the files again, for connections from now on. On failure everything stays as it was, and
 * why says what is wrong. Does nothing for a self-signed certificate.
 */
int rg_tls_reload(struct rg_tls *tls, struct rg_why *why);

/* How long a client may take for its handshake, from now on; without a call, 10 s. */
void rg_tls_set_handshake_timeout(struct rg_tls *tls, uint64_t ms);

/* When the certificate in use ends, in seconds since 1970. */
int64_t rg_tls_not_after(const struct rg_tls *tls);

/* The SHA-256 fingerprint of the certificate in use, as hex with NUL, for the log. */
#define RG_TLS_FINGERPRINT_SIZE 65
void rg_tls_fingerprint(const struct rg_tls *tls, char out[RG_TLS_FINGERPRINT_SIZE]);

/*
 * A stream on fd (taken, closed even on failure); the handshake happens as the owner reads:
 * rg_stream_read() returns UV_EAGAIN until it is done. A handshake that fails or takes too long is
 * counted and logged here and breaks the stream. NULL if the loop does not accept fd. Reading is
 * on. SIGPIPE must be ignored.
 */
struct rg_stream *rg_tls_open(struct rg_tls *tls, struct rg_reactor *reactor, int fd,
                              const struct rg_stream_events *events, void *owner);

/*
 * What TLS counts in this process, for /metrics: handshakes done and resumed, failures by reason,
 * kernel TLS. Thread: any.
 */
void rg_tls_expose(struct rg_buf *out);
