/*
 * A record on the wire; what is between the bars is encrypted, the tag protects it and the head:
 *
 *   TLS 1.3    23 3 3 length | text, type, zeros... | tag
 *   TLS 1.2    type 3 3 length  nonce (GCM only) | text | tag
 */
#include "net/tls_records_priv.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"

#define TAG             16
#define MAX_EXPANSION   256 /* of a record beyond its text: what TLS 1.3 allows */
#define SALT            4   /* of TLS 1.2 with GCM: the part of the nonce that is not sent */
#define EXPLICIT_NONCE  8
#define MAX_UPDATES     32 /* of keys without data between them: nobody needs them, they cost us */
/* AES-GCM is safe for 2^24.5 full records under one key (RFC 8446 section 5.5). */
#define RECORDS_PER_KEY ((uint64_t)1 << 24)

#define KEY_UPDATE    24
#define UPDATE_BYTES  5
#define MAX_KEY_BLOCK (2 * (32 + 12))
#define RANDOM        32

struct rg_tls_suite {
    int nid;
    const char *name;
    const char *digest;
    unsigned char key_n;
    bool is_gcm;
};

/* The three ciphers of the suites that tls.c offers, for both versions. */
static const struct rg_tls_suite suites[] = {
    {NID_aes_128_gcm, "AES-128-GCM", "SHA256", 16, true},
    {NID_aes_256_gcm, "AES-256-GCM", "SHA384", 32, true},
    {NID_chacha20_poly1305, "ChaCha20-Poly1305", "SHA256", 32, false},
};
#define SUITES (sizeof(suites) / sizeof(suites[0]))

/* ---- cipher contexts of a thread, one for each suite, which take the key of each record ---- */

static EVP_CIPHER *ciphers[SUITES]; /* set once */
static pthread_key_t contexts_key;

struct contexts {
    EVP_CIPHER_CTX *of[SUITES];
};

static void free_contexts(void *p)
{
    struct contexts *contexts = p;

    for (size_t i = 0; i < SUITES; i++)
        EVP_CIPHER_CTX_free(contexts->of[i]);
    rg_free(contexts);
}

static void prepare_ciphers(void)
{
    for (size_t i = 0; i < SUITES; i++) {
        ciphers[i] = EVP_CIPHER_fetch(NULL, suites[i].name, NULL);
        rg_assert(ciphers[i] != NULL);
    }
    rg_assert(pthread_key_create(&contexts_key, free_contexts) == 0);
}

/* The cipher is set once and never again: that would cost more than a short record does. */
static struct contexts *contexts_new(void)
{
    struct contexts *contexts = rg_zalloc(sizeof(*contexts));

    for (size_t i = 0; i < SUITES; i++) {
        contexts->of[i] = EVP_CIPHER_CTX_new();
        rg_assert(contexts->of[i] != NULL);
        rg_assert(EVP_EncryptInit_ex(contexts->of[i], ciphers[i], NULL, NULL, NULL) == 1);
    }
    return contexts;
}

static EVP_CIPHER_CTX *context_for(const struct rg_tls_suite *suite)
{
    struct contexts *contexts = pthread_getspecific(contexts_key);

    if (contexts == NULL) {
        contexts = contexts_new();
        rg_assert(pthread_setspecific(contexts_key, contexts) == 0);
    }
    return contexts->of[suite - suites];
}

/* ---- keys ---- */

static const EVP_MD *digest_of(const struct rg_tls_suite *suite)
{
    return strcmp(suite->digest, "SHA384") == 0 ? EVP_sha384() : EVP_sha256();
}

/* HKDF-Expand-Label with an empty context (RFC 8446 7.1); n is no more than one hash. */
static void expand(const struct rg_tls_suite *suite, const struct rg_tls_half *half,
                   const char *label, unsigned char *out, size_t n)
{
    unsigned char info[64], hash[EVP_MAX_MD_SIZE];
    size_t label_n = strlen(label), at = 0;
    unsigned hash_n = 0;

    info[at++] = 0;
    info[at++] = (unsigned char)n;
    info[at++] = (unsigned char)(6 + label_n);
    memcpy(info + at, "tls13 ", 6);
    memcpy(info + at + 6, label, label_n);
    at += 6 + label_n;
    info[at++] = 0;
    info[at++] = 1; /* the first block, T(1) of RFC 5869 */
    rg_assert(HMAC(digest_of(suite), half->secret, half->secret_n, info, at, hash, &hash_n) !=
                  NULL &&
              hash_n >= n);
    memcpy(out, hash, n);
    OPENSSL_cleanse(hash, sizeof(hash));
}

static void derive_keys(const struct rg_tls_suite *suite, struct rg_tls_half *half)
{
    expand(suite, half, "key", half->key, suite->key_n);
    expand(suite, half, "iv", half->iv, sizeof(half->iv));
}

/* RFC 8446 7.2 */
static void update_keys(const struct rg_tls_suite *suite, struct rg_tls_half *half)
{
    expand(suite, half, "traffic upd", half->secret, half->secret_n);
    derive_keys(suite, half);
    half->seq = 0;
}

/* "SERVER_TRAFFIC_SECRET_0 <the client's random> <the secret>", the latter two in hex. */
static bool read_secret(struct rg_tls_half *half, const char *label, const char *line)
{
    size_t label_n = strlen(label), n = 0;

    if (strncmp(line, label, label_n) != 0 || strlen(line) < label_n + 2 * (size_t)RANDOM + 1)
        return false;
    if (OPENSSL_hexstr2buf_ex(half->secret, sizeof(half->secret), &n,
                              line + label_n + 2 * (size_t)RANDOM + 1, '\0') != 1)
        return false;
    half->secret_n = (unsigned char)n;
    half->seq = 0;
    return true;
}

void rg_tls_records_take_secret(struct rg_tls_records *records, const char *line)
{
    if (!read_secret(&records->in, "CLIENT_TRAFFIC_SECRET_0 ", line))
        read_secret(&records->out, "SERVER_TRAFFIC_SECRET_0 ", line);
}

void rg_tls_records_count_sent(struct rg_tls_records *records, int content_type)
{
    if (content_type == SSL3_RT_HEADER)
        records->out.seq++;
}

static bool choose_suite(struct rg_tls_records *records, int nid)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, prepare_ciphers);
    for (size_t i = 0; i < SUITES && records->suite == NULL; i++)
        records->suite = suites[i].nid == nid ? &suites[i] : NULL;
    return records->suite != NULL;
}

bool rg_tls_records_begin_13(struct rg_tls_records *records, int nid)
{
    if (!choose_suite(records, nid))
        return false;
    size_t n = (size_t)EVP_MD_get_size(digest_of(records->suite));
    if (records->in.secret_n != n || records->out.secret_n != n)
        return false;
    records->is_13 = true;
    derive_keys(records->suite, &records->in);
    derive_keys(records->suite, &records->out);
    return true;
}

/* PRF(master secret, "key expansion", server's random + client's random): RFC 5246 6.3 */
static bool expand_block(const struct rg_tls_suite *suite, SSL *ssl, unsigned char *out, size_t n)
{
    unsigned char master[SSL_MAX_MASTER_KEY_LENGTH], seed[2 * RANDOM];
    size_t master_n = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof(master));
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    char label[] = "key expansion";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)suite->digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, master_n),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label, sizeof(label) - 1),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof(seed)),
        OSSL_PARAM_construct_end(),
    };

    SSL_get_server_random(ssl, seed, RANDOM);
    SSL_get_client_random(ssl, seed + RANDOM, RANDOM);
    bool is_done = context != NULL && EVP_KDF_derive(context, out, n, params) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    OPENSSL_cleanse(master, sizeof(master));
    return is_done;
}

static bool begin_12(struct rg_tls_records *records, SSL *ssl, int nid)
{
    unsigned char block[MAX_KEY_BLOCK];

    if (!choose_suite(records, nid))
        return false;
    size_t key_n = records->suite->key_n;
    size_t iv_n = records->suite->is_gcm ? SALT : sizeof(records->in.iv);
    const unsigned char *ivs = block + 2 * key_n;
    if (!expand_block(records->suite, ssl, block, 2 * (key_n + iv_n)))
        return false;
    memcpy(records->in.key, block, key_n);
    memcpy(records->out.key, block + key_n, key_n);
    memcpy(records->in.iv, ivs, iv_n);
    memcpy(records->out.iv, ivs + iv_n, iv_n);
    /* The two Finished messages were the first under these keys. */
    records->in.seq = records->out.seq = 1;
    OPENSSL_cleanse(block, sizeof(block));
    return true;
}

bool rg_tls_records_begin(struct rg_tls_records *records, SSL *ssl)
{
    int nid = SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(ssl));

    /* Without reading ahead OpenSSL has taken nothing from the socket that is not the handshake's.
     */
    if (SSL_has_pending(ssl))
        return false;
    return SSL_version(ssl) == TLS1_3_VERSION ? rg_tls_records_begin_13(records, nid)
                                              : begin_12(records, ssl, nid);
}

int rg_tls_records_nid(const struct rg_tls_records *records)
{
    return records->suite->nid;
}

void rg_tls_records_done(struct rg_tls_records *records)
{
    OPENSSL_cleanse(records, sizeof(*records));
}

/* ---- what both directions share ---- */

static void put_head(unsigned char *out, int type, size_t n)
{
    out[0] = (unsigned char)type;
    out[1] = 3;
    out[2] = 3;
    out[3] = (unsigned char)(n >> 8);
    out[4] = (unsigned char)n;
}

/* The nonce of the next record; explicit is what TLS 1.2 with GCM sends of it. */
static void make_nonce(const struct rg_tls_records *records, const struct rg_tls_half *half,
                       const unsigned char *explicit, unsigned char nonce[12])
{
    unsigned char seq[8];

    memcpy(nonce, half->iv, sizeof(half->iv));
    if (!records->is_13 && records->suite->is_gcm) {
        memcpy(nonce + SALT, explicit, EXPLICIT_NONCE);
        return;
    }
    rg_tls_put_u64(seq, half->seq);
    for (int i = 0; i < 8; i++)
        nonce[4 + i] ^= seq[i];
}

/* What the tag protects beside the text: RFC 8446 5.2, RFC 5246 6.2.3.3. n is the text's length. */
static int make_extra(const struct rg_tls_records *records, const struct rg_tls_half *half,
                      const unsigned char *head, size_t n, unsigned char extra[13])
{
    if (records->is_13) {
        memcpy(extra, head, RG_TLS_HEAD);
        return RG_TLS_HEAD;
    }
    rg_tls_put_u64(extra, half->seq);
    put_head(extra + 8, head[0], n);
    return 13;
}

static size_t explicit_n(const struct rg_tls_records *records)
{
    return !records->is_13 && records->suite->is_gcm ? EXPLICIT_NONCE : 0;
}

/* ---- sealing ---- */

static void encrypt(const struct rg_tls_records *records, const unsigned char *nonce,
                    const unsigned char *extra, int extra_n, int type, const char *p, size_t n,
                    unsigned char *out)
{
    EVP_CIPHER_CTX *context = context_for(records->suite);
    const unsigned char inner_type = (unsigned char)type;
    int took = 0, inner = 0, rest = 0;

    rg_assert(EVP_EncryptInit_ex(context, NULL, NULL, records->out.key, nonce) == 1);
    rg_assert(EVP_EncryptUpdate(context, NULL, &took, extra, extra_n) == 1);
    took = 0;
    if (n > 0)
        rg_assert(EVP_EncryptUpdate(context, out, &took, (const unsigned char *)p, (int)n) == 1);
    if (records->is_13)
        rg_assert(EVP_EncryptUpdate(context, out + took, &inner, &inner_type, 1) == 1);
    rg_assert(EVP_EncryptFinal_ex(context, out + took + inner, &rest) == 1);
    rg_assert(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, out + took + inner + rest) ==
              1);
}

static size_t seal_one(struct rg_tls_records *records, int type, const char *p, size_t n,
                       unsigned char *out)
{
    unsigned char nonce[12], extra[13];
    unsigned char *behind_head = out + RG_TLS_HEAD;
    size_t nonce_n = explicit_n(records);
    size_t length = nonce_n + n + (records->is_13 ? 1 : 0) + TAG;

    put_head(out, records->is_13 ? RG_TLS_DATA : type, length);
    if (nonce_n > 0)
        rg_tls_put_u64(behind_head,
                       records->out.seq); /* never the same twice; need not be secret */
    make_nonce(records, &records->out, behind_head, nonce);
    int extra_n = make_extra(records, &records->out, out, n, extra);
    encrypt(records, nonce, extra, extra_n, type, p, n, behind_head + nonce_n);
    records->out.seq++;
    return RG_TLS_HEAD + length;
}

size_t rg_tls_records_seal(struct rg_tls_records *records, int type, const char *p, size_t n,
                           char *out)
{
    static const char update[UPDATE_BYTES] = {KEY_UPDATE, 0, 0, 1, 0};
    unsigned char *to = (unsigned char *)out;
    size_t at = 0;

    rg_assert(n <= RG_TLS_MAX_PLAIN);
    records->owes_update |= records->is_13 && records->out.seq >= RECORDS_PER_KEY;
    /* An answer to many requests is due once, before the next data (RFC 8446 4.6.3). */
    if (records->owes_update && type == RG_TLS_DATA) {
        at = seal_one(records, RG_TLS_HANDSHAKE, update, sizeof(update), to);
        update_keys(records->suite, &records->out);
        records->owes_update = false;
    }
    return at + seal_one(records, type, p, n, to + at);
}

/* ---- opening ---- */

int rg_tls_records_length(const char *p, size_t n)
{
    const unsigned char *head = (const unsigned char *)p;

    if (n < RG_TLS_HEAD)
        return 0;
    int length = head[3] << 8 | head[4];
    if (head[0] < RG_TLS_ALERT || head[0] > RG_TLS_DATA)
        return -RG_ALERT_UNEXPECTED_MESSAGE;
    return length <= RG_TLS_MAX_PLAIN + MAX_EXPANSION ? RG_TLS_HEAD + length
                                                      : -RG_ALERT_RECORD_OVERFLOW;
}

/* False if anybody but the peer has made or touched it. */
static bool decrypt(const struct rg_tls_records *records, const unsigned char *nonce,
                    const unsigned char *extra, int extra_n, unsigned char *p, size_t n)
{
    EVP_CIPHER_CTX *context = context_for(records->suite);
    int took = 0, rest = 0;

    rg_assert(EVP_DecryptInit_ex(context, NULL, NULL, records->in.key, nonce) == 1);
    rg_assert(EVP_DecryptUpdate(context, NULL, &took, extra, extra_n) == 1);
    took = 0;
    if (n > 0 && EVP_DecryptUpdate(context, p, &took, p, (int)n) != 1)
        return false;
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, p + n) == 1 &&
           EVP_DecryptFinal_ex(context, p + took, &rest) == 1;
}

/* Takes padding and type off the end of what was encrypted (RFC 8446 5.4). 0: there is no type. */
static int inner_type(const unsigned char *p, size_t *n)
{
    while (*n > 0 && p[*n - 1] == 0)
        (*n)--;
    if (*n == 0)
        return 0;
    (*n)--;
    return p[*n];
}

static int take_handshake(struct rg_tls_records *records, const unsigned char *p, size_t n)
{
    if (!records->is_13)
        return -RG_ALERT_NO_RENEGOTIATION;
    /* Nothing else is ours to expect: we ask for no certificate and no early data. */
    if (n != UPDATE_BYTES || p[0] != KEY_UPDATE || records->updates == MAX_UPDATES)
        return -RG_ALERT_UNEXPECTED_MESSAGE;
    if (p[1] != 0 || p[2] != 0 || p[3] != 1 || p[4] > 1)
        return -RG_ALERT_DECODE_ERROR;
    records->updates++;
    records->owes_update |= p[4] == 1;
    update_keys(records->suite, &records->in);
    return RG_TLS_HANDSHAKE;
}

int rg_tls_records_open(struct rg_tls_records *records, char *p, char **text, size_t *text_n)
{
    unsigned char nonce[12], extra[13];
    unsigned char *head = (unsigned char *)p, *body = head + RG_TLS_HEAD;
    size_t nonce_n = explicit_n(records);
    size_t n = (size_t)head[3] << 8 | head[4];
    int type = head[0];

    if (records->is_13 && type != RG_TLS_DATA)
        return -RG_ALERT_UNEXPECTED_MESSAGE;
    if (n < nonce_n + TAG)
        return -RG_ALERT_DECODE_ERROR;
    n -= nonce_n + TAG;
    make_nonce(records, &records->in, body, nonce);
    int extra_n = make_extra(records, &records->in, head, n, extra);
    body += nonce_n;
    if (!decrypt(records, nonce, extra, extra_n, body, n))
        return -RG_ALERT_BAD_RECORD_MAC;
    records->in.seq++;
    if (records->is_13)
        type = inner_type(body, &n);
    if (n > RG_TLS_MAX_PLAIN)
        return -RG_ALERT_RECORD_OVERFLOW;
    *text = (char *)body;
    *text_n = n;
    if (type == RG_TLS_HANDSHAKE) {
        *text_n = 0;
        return take_handshake(records, body, n);
    }
    if (type != RG_TLS_DATA && type != RG_TLS_ALERT)
        return -RG_ALERT_UNEXPECTED_MESSAGE;
    records->updates = 0;
    return type;
}
