#include "net/tls.h"

#include <openssl/err.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/counter.h"
#include "base/rcu.h"
#include "net/tls_pair_priv.h"
#include "net/tls_priv.h"

#define DEFAULT_HANDSHAKE_TIMEOUT_MS 10000
#define MAX_TICKET_KEYS              256

/* Ephemeral keys and authenticated encryption only; the order is the one we prefer. */
#define SUITES_OF_TLS13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define SUITES_OF_TLS12                                                                            \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"

/* What a server shows to its clients; immutable. Readers hold it under RCU. */
struct identity {
    struct rcu_head rcu;
    SSL_CTX *ctx;
    int64_t not_after;
    char fingerprint[RG_TLS_FINGERPRINT_SIZE];
};

struct rg_tls {
    char *cert_file, *key_file, *key_pass; /* set once; NULL: self-signed */
    _Atomic(struct identity *) identity;   /* the reloading thread puts, any reads */
    _Atomic uint64_t handshake_timeout_ms; /* any */
};

/* ---- what is counted ---- */

#define FAILURES "rgate_tls_handshake_failures_total"

static const struct rg_counter_row rows[RG_TLS_ROWS] = {
    [RG_TLS_FULL] = {"rgate_tls_handshakes_total", "counter", "resumed=\"no\"",
                     "TLS handshakes done."},
    [RG_TLS_RESUMED] = {"rgate_tls_handshakes_total", "counter", "resumed=\"yes\"", ""},
    [RG_TLS_KTLS] = {"rgate_tls_kernel_total", "counter", NULL,
                     "TLS connections for which the kernel encrypts."},
    [RG_TLS_FAILED_PLAIN_HTTP] = {FAILURES, "counter", "reason=\"plain_http\"",
                                  "TLS handshakes that failed."},
    [RG_TLS_FAILED_NOT_TLS] = {FAILURES, "counter", "reason=\"not_tls\"", ""},
    [RG_TLS_FAILED_VERSION] = {FAILURES, "counter", "reason=\"version\"", ""},
    [RG_TLS_FAILED_NOTHING_COMMON] = {FAILURES, "counter", "reason=\"nothing_common\"", ""},
    [RG_TLS_FAILED_ALERT] = {FAILURES, "counter", "reason=\"alert\"", ""},
    [RG_TLS_FAILED_CLOSED] = {FAILURES, "counter", "reason=\"closed\"", ""},
    [RG_TLS_FAILED_TIMEOUT] = {FAILURES, "counter", "reason=\"timeout\"", ""},
    [RG_TLS_FAILED_OTHER] = {FAILURES, "counter", "reason=\"other\"", ""},
};

/* One block for all threads: a handshake costs a thousand times more than an atomic addition. */
static _Atomic uint64_t counts[RG_TLS_ROWS];

void rg_tls_count(enum rg_tls_row row)
{
    atomic_fetch_add_explicit(&counts[row], 1, memory_order_relaxed);
}

void rg_tls_expose(struct rg_buf *out)
{
    struct rg_counters *block = rg_counters_new(RG_TLS_ROWS);
    const struct rg_counters *const blocks[] = {block};

    for (size_t i = 0; i < RG_TLS_ROWS; i++)
        rg_count(block, i, (int64_t)atomic_load_explicit(&counts[i], memory_order_relaxed));
    rg_counters_expose(out, rows, RG_TLS_ROWS, blocks, 1);
    rg_counters_free(&block);
}

/* ---- OpenSSL's settings ---- */

static atomic_bool is_h2_offered = true;

void rg_tls_offer_h2(bool is_offered)
{
    atomic_store(&is_h2_offered, is_offered);
}

/* RFC 7301: of what the client offers, what we like best; nothing in common ends the handshake. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *in, unsigned in_n, void *arg)
{
    static const unsigned char both[] = "\x02h2\x08http/1.1", h1[] = "\x08http/1.1";
    bool has_both = atomic_load(&is_h2_offered);
    const unsigned char *ours = has_both ? both : h1;
    unsigned ours_n = has_both ? sizeof(both) - 1 : sizeof(h1) - 1;
    unsigned char *chosen = NULL;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_n, ours, ours_n, in, in_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void on_secret(const SSL *ssl, const char *line)
{
    rg_tls_records_take_secret(SSL_get_app_data(ssl), line);
}

static void on_message(int is_sent, int version, int type, const void *p, size_t n, SSL *ssl,
                       void *arg)
{
    (void)version;
    (void)p;
    (void)n;
    (void)arg;
    if (is_sent)
        rg_tls_records_count_sent(SSL_get_app_data(ssl), type);
}

static void set_up(SSL_CTX *ctx)
{
    static const unsigned char session_context[] = "rgate";

    rg_assert(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    rg_assert(SSL_CTX_set_ciphersuites(ctx, SUITES_OF_TLS13) == 1);
    rg_assert(SSL_CTX_set_cipher_list(ctx, SUITES_OF_TLS12) == 1);
    rg_assert(SSL_CTX_set1_groups_list(ctx, GROUPS) == 1);
    /*
     * A peer that vanishes without close_notify is a normal end: HTTP says itself where messages
     * end. A phone without AES instructions, which therefore puts ChaCha20 first, shall have it.
     */
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 0);
    SSL_CTX_set_keylog_callback(ctx, on_secret);
    SSL_CTX_set_msg_callback(ctx, on_message);
    /* Sessions travel in tickets that the client keeps; the server remembers nothing. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    rg_assert(SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1) ==
              1);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
}

/* ---- identities ---- */

static void identity_free(struct identity *identity)
{
    SSL_CTX_free(identity->ctx);
    rg_free(identity);
}

static void free_later(struct rcu_head *head)
{
    RG_RCU_CALLBACK(head);
    identity_free(RG_CONTAINER_OF(head, struct identity, rcu));
}

static void describe(struct identity *identity, const X509 *cert)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct tm tm = {0};

    rg_assert(X509_digest(cert, EVP_sha256(), digest, &n) == 1 &&
              n * 2 + 1 == RG_TLS_FINGERPRINT_SIZE);
    for (unsigned i = 0; i < n; i++)
        snprintf(identity->fingerprint + (size_t)2 * i, 3, "%02x", digest[i]);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
        identity->not_after = timegm(&tm);
}

static struct identity *identity_new(const struct rg_tls_pair *pair, struct rg_why *why)
{
    struct identity *identity = rg_zalloc(sizeof(*identity));

    identity->ctx = SSL_CTX_new(TLS_server_method());
    rg_assert(identity->ctx != NULL);
    set_up(identity->ctx);
    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(identity->ctx, pair->cert, pair->key, pair->chain, 1) != 1) {
        rg_why_set(why, RG_EINVAL, "cert_file", "the certificate cannot be used: %s",
                   rg_tls_last_error());
        identity_free(identity);
        return NULL;
    }
    describe(identity, pair->cert);
    return identity;
}

static struct identity *identity_load(const struct rg_tls *tls, struct rg_why *why)
{
    struct rg_tls_settings settings = {tls->cert_file, tls->key_file, tls->key_pass};
    struct rg_tls_pair pair = {0};
    struct identity *identity = NULL;

    if (rg_tls_pair_load(&pair, &settings, why) == 0)
        identity = identity_new(&pair, why);
    rg_tls_pair_done(&pair);
    return identity;
}

/* The keys that tickets are sealed with: clients come back with tickets from before a reload. */
static void take_over_ticket_keys(SSL_CTX *from, SSL_CTX *to)
{
    unsigned char keys[MAX_TICKET_KEYS];
    long n = SSL_CTX_get_tlsext_ticket_keys(from, NULL, 0);

    rg_assert(n > 0 && n <= (long)sizeof(keys));
    rg_assert(SSL_CTX_get_tlsext_ticket_keys(from, keys, n) == 1);
    rg_assert(SSL_CTX_set_tlsext_ticket_keys(to, keys, n) == 1);
    OPENSSL_cleanse(keys, sizeof(keys));
}

/* ---- life ---- */

static char *copy(const char *text)
{
    return text != NULL ? rg_strndup(text, strlen(text)) : NULL;
}

static struct rg_tls *tls_new(void)
{
    struct rg_tls *tls = rg_zalloc(sizeof(*tls));

    atomic_init(&tls->handshake_timeout_ms, DEFAULT_HANDSHAKE_TIMEOUT_MS);
    return tls;
}

static struct rg_tls *tls_begin(struct rg_tls *tls, struct identity *identity)
{
    atomic_store(&tls->identity, identity);
    if (identity == NULL)
        rg_tls_free(&tls);
    return tls;
}

struct rg_tls *rg_tls_new(const struct rg_tls_settings *settings, struct rg_why *why)
{
    struct rg_tls *tls = tls_new();

    tls->cert_file = copy(settings->cert_file);
    tls->key_file = copy(settings->key_file);
    tls->key_pass = copy(settings->key_pass);
    return tls_begin(tls, identity_load(tls, why));
}

struct rg_tls *rg_tls_new_self_signed(struct rg_why *why)
{
    struct rg_tls_pair pair = {0};
    struct identity *identity = NULL;

    if (rg_tls_pair_make(&pair, why) == 0)
        identity = identity_new(&pair, why);
    rg_tls_pair_done(&pair);
    return tls_begin(tls_new(), identity);
}

void rg_tls_free(struct rg_tls **tlsp)
{
    struct rg_tls *tls = *tlsp;

    if (tls == NULL)
        return;
    *tlsp = NULL;
    struct identity *identity = atomic_load(&tls->identity);
    if (identity != NULL)
        identity_free(identity);
    if (tls->key_pass != NULL)
        OPENSSL_cleanse(tls->key_pass, strlen(tls->key_pass));
    rg_free(tls->key_pass);
    rg_free(tls->key_file);
    rg_free(tls->cert_file);
    rg_free(tls);
}

int rg_tls_reload(struct rg_tls *tls, struct rg_why *why)
{
    if (tls->cert_file == NULL)
        return 0;
    struct identity *fresh = identity_load(tls, why);
    if (fresh == NULL)
        return RG_EINVAL;
    struct identity *old = atomic_load(&tls->identity);
    take_over_ticket_keys(old->ctx, fresh->ctx);
    atomic_store(&tls->identity, fresh);
    rg_rcu_call(&old->rcu, free_later);
    return 0;
}

void rg_tls_set_handshake_timeout(struct rg_tls *tls, uint64_t ms)
{
    atomic_store(&tls->handshake_timeout_ms, ms);
}

uint64_t rg_tls_handshake_timeout(const struct rg_tls *tls)
{
    return atomic_load(&tls->handshake_timeout_ms);
}

int64_t rg_tls_not_after(const struct rg_tls *tls)
{
    return atomic_load(&tls->identity)->not_after;
}

void rg_tls_fingerprint(const struct rg_tls *tls, char out[RG_TLS_FINGERPRINT_SIZE])
{
    memcpy(out, atomic_load(&tls->identity)->fingerprint, RG_TLS_FINGERPRINT_SIZE);
}

SSL *rg_tls_accept(struct rg_tls *tls, struct rg_tls_records *records)
{
    rg_rcu_read_lock();
    SSL *ssl = SSL_new(atomic_load(&tls->identity)->ctx);
    rg_rcu_read_unlock();
    rg_assert(ssl != NULL && SSL_set_app_data(ssl, records) == 1);
    SSL_set_accept_state(ssl);
    return ssl;
}
