/*
 * tls_records_priv.h - the records of a TLS connection whose handshake is done (RFC 8446 section 5,
 * RFC 5246 section 6).
 *
 * OpenSSL keeps 13 KiB for a connection that says nothing, most of it the memory of its handshake;
 * keys, nonces and sequence numbers are 220 bytes. So OpenSSL shakes hands, and its cryptography is
 * used here directly: AEAD suites only, no renegotiation, of TLS 1.3's later messages KeyUpdate.
 *
 * Thread: the reactor.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define RG_TLS_MAX_PLAIN  16384
#define RG_TLS_HEAD       5
#define RG_TLS_OVERHEAD   64 /* at most, beyond the text, with a KeyUpdate ahead of it */
#define RG_TLS_MAX_SEALED (RG_TLS_HEAD + RG_TLS_MAX_PLAIN + 256)
#define RG_TLS_MAX_SECRET 48

/* Types of records. */
enum {
    RG_TLS_ALERT = 21,
    RG_TLS_HANDSHAKE = 22,
    RG_TLS_DATA = 23
};

/* Alerts that we send (RFC 8446 section 6). */
enum {
    RG_ALERT_CLOSE_NOTIFY = 0,
    RG_ALERT_UNEXPECTED_MESSAGE = 10,
    RG_ALERT_BAD_RECORD_MAC = 20,
    RG_ALERT_RECORD_OVERFLOW = 22,
    RG_ALERT_DECODE_ERROR = 50,
    RG_ALERT_NO_RENEGOTIATION = 100
};

struct rg_tls_suite;

/* What protects one direction. */
struct rg_tls_half {
    unsigned char secret[RG_TLS_MAX_SECRET]; /* TLS 1.3: what the next keys come from */
    unsigned char secret_n;
    unsigned char key[32];
    unsigned char iv[12];
    uint64_t seq; /* of the next record */
};

struct rg_tls_records {
    const struct rg_tls_suite *suite; /* NULL: still OpenSSL's */
    bool is_13;
    bool owes_update;       /* the peer asked for new keys of ours */
    unsigned short updates; /* of the peer's keys, since its last data */
    struct rg_tls_half in, out;
};

/* Writes a number as TLS does. */
static inline void rg_tls_put_u64(unsigned char out[8], uint64_t n)
{
    for (int i = 7; i >= 0; i--, n >>= 8)
        out[i] = (unsigned char)n;
}

/*
 * What SSL_CTX_set_keylog_callback() and SSL_CTX_set_msg_callback() must call while the handshake
 * runs, with the records of the connection.
 */
void rg_tls_records_take_secret(struct rg_tls_records *records, const char *line);
void rg_tls_records_count_sent(struct rg_tls_records *records, int content_type);

/* Takes the connection over, after which ssl can be freed. False if something is missing. */
bool rg_tls_records_begin(struct rg_tls_records *records, SSL *ssl);

/*
 * The part of it for TLS 1.3, where the secrets are all that is needed. nid: NID_aes_128_gcm,
 * NID_aes_256_gcm or NID_chacha20_poly1305.
 */
bool rg_tls_records_begin_13(struct rg_tls_records *records, int nid);

/* Which cipher it is, of the three. */
int rg_tls_records_nid(const struct rg_tls_records *records);

/* Forgets the keys. */
void rg_tls_records_done(struct rg_tls_records *records);

/*
 * Protects p[0..n), at most RG_TLS_MAX_PLAIN bytes, and writes what is to be sent, in this order
 * and once, to out, which has room for n + RG_TLS_OVERHEAD bytes. Returns how many.
 */
size_t rg_tls_records_seal(struct rg_tls_records *records, int type, const char *p, size_t n,
                           char *out);

/*
 * The whole length of the record that begins at p[0..n); 0 if its head is not complete, or minus
 * an alert.
 */
int rg_tls_records_length(const char *p, size_t n);

/* Whether something can be done about p[0..n): a complete record, or a head that is wrong. */
static inline bool rg_tls_records_has(const char *p, size_t n)
{
    int length = rg_tls_records_length(p, n);

    return length < 0 || (length > 0 && (size_t)length <= n);
}

/*
 * Opens the complete record at p, in place. Returns minus the alert that ends the connection, or
 * the type with *text and *text_n set; a KeyUpdate is dealt with and has no text.
 */
int rg_tls_records_open(struct rg_tls_records *records, char *p, char **text, size_t *text_n);
