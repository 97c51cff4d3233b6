#include "auth/key.h"

#include <cjose/cjose.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "auth/object.h"
#include "base/alloc.h"
#include "base/base64.h"

#define MIN_RSA_BITS   2048 /* RFC 7518 3.3 */
#define ED25519_BYTES  32
#define MAX_COORDINATE 66   /* P-521 */
#define MAX_MODULUS    1024 /* bytes; a check takes longer with every one */
#define MAX_EXPONENT   8    /* bytes */
#define MAX_SIGNATURE  MAX_MODULUS

enum family {
    HMAC,
    RSA_KEY,
    EC_KEY_P,
    ED25519
};

static const struct algorithm {
    const char *name;
    enum family family;
    const char *curve; /* EC: its name in OpenSSL */
    const char *crv;   /* EC: its name in a JWK */
    cjose_jwk_ec_curve cjose_curve;
    unsigned signature_bytes; /* 0: as many as the key's modulus has */
} algorithms[] = {
    /* The first HMACS are. */
    {"HS256", HMAC, NULL, NULL, 0, 32},
    {"HS384", HMAC, NULL, NULL, 0, 48},
    {"HS512", HMAC, NULL, NULL, 0, 64},
    {"RS256", RSA_KEY, NULL, NULL, 0, 0},
    {"RS384", RSA_KEY, NULL, NULL, 0, 0},
    {"RS512", RSA_KEY, NULL, NULL, 0, 0},
    {"PS256", RSA_KEY, NULL, NULL, 0, 0},
    {"PS384", RSA_KEY, NULL, NULL, 0, 0},
    {"PS512", RSA_KEY, NULL, NULL, 0, 0},
    {"ES256", EC_KEY_P, "prime256v1", "P-256", CJOSE_JWK_EC_P_256, 64},
    {"ES384", EC_KEY_P, "secp384r1", "P-384", CJOSE_JWK_EC_P_384, 96},
    {"ES512", EC_KEY_P, "secp521r1", "P-521", CJOSE_JWK_EC_P_521, 132},
    {"EdDSA", ED25519, NULL, NULL, 0, 64},
};
#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))
#define HMACS      3

/* One of the three kinds. */
struct rg_key {
    unsigned allowed; /* bit i: algorithms[i] */
    bool is_symmetric;
    EVP_MAC_CTX *hmacs[HMACS]; /* a secret: begun, to be copied for each token; NULL: not allowed */
    EVP_PKEY *ed25519;         /* which cjose does not know */
    cjose_jwk_t *jwk;
    size_t signature_bytes;              /* not of a secret */
    unsigned char order[MAX_COORDINATE]; /* EC: of the group, half a signature long */
};

static const struct algorithm *find(struct rg_str name)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (rg_str_eq(name, rg_str_c(algorithms[i].name)))
            return &algorithms[i];
    }
    return NULL;
}

bool rg_key_is_algorithm(const char *name)
{
    return find(rg_str_c(name)) != NULL;
}

static unsigned bit_of(const struct algorithm *a)
{
    return 1U << (a - algorithms);
}

static int key_problem(struct rg_why *why, const char *text)
{
    return rg_why_set(why, RG_EINVAL, "key", "%s", text);
}

static struct rg_key *key_new(unsigned allowed)
{
    struct rg_key *key = rg_zalloc(sizeof(*key));

    key->allowed = allowed;
    return key;
}

static void set_order(struct rg_key *key, cjose_jwk_ec_curve curve)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name((int)curve);

    rg_assert(group != NULL);
    int n = BN_bn2binpad(EC_GROUP_get0_order(group), key->order, (int)key->signature_bytes / 2);
    rg_assert(n > 0);
    EC_GROUP_free(group);
}

/* Takes jwk, which is NULL for what is no key; then the key is not complete. */
static void set_jwk(struct rg_key *key, const struct algorithm *a, cjose_jwk_t *jwk)
{
    cjose_err err;

    key->jwk = jwk;
    if (jwk == NULL)
        return;
    key->signature_bytes =
        a->family == RSA_KEY ? cjose_jwk_get_keysize(jwk, &err) / 8 : a->signature_bytes;
    if (a->family == EC_KEY_P)
        set_order(key, a->cjose_curve);
}

/* The same for the other kind of key. */
static void set_ed25519(struct rg_key *key, const struct algorithm *a, EVP_PKEY *pkey)
{
    key->ed25519 = pkey;
    key->signature_bytes = a->signature_bytes;
}

/*
 * The same for secrets. An HMAC begins with what the key makes of the hash, which is the same for
 * every token: half of the work.
 */
static EVP_MAC_CTX *hmac_of(const char *hash, struct rg_str secret)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)hash, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);

    rg_assert(ctx != NULL &&
              EVP_MAC_init(ctx, (const unsigned char *)secret.p, secret.n, params) == 1);
    EVP_MAC_free(mac);
    return ctx;
}

static void set_secret(struct rg_key *key, struct rg_str secret, struct rg_why *why)
{
    static const char *const hashes[HMACS] = {OSSL_DIGEST_NAME_SHA2_256, OSSL_DIGEST_NAME_SHA2_384,
                                              OSSL_DIGEST_NAME_SHA2_512};

    key->is_symmetric = true;
    /* Under an empty key anybody can sign. */
    if (secret.n == 0)
        key_problem(why, "the secret is empty");
    for (size_t i = 0; i < HMACS && secret.n > 0; i++) {
        if (key->allowed & bit_of(&algorithms[i]))
            key->hmacs[i] = hmac_of(hashes[i], secret);
    }
}

static bool is_complete(const struct rg_key *key)
{
    bool is_secret = key->hmacs[0] != NULL || key->hmacs[1] != NULL || key->hmacs[2] != NULL;
    return key->jwk != NULL || key->ed25519 != NULL || is_secret;
}

void rg_key_free(struct rg_key **keyp)
{
    struct rg_key *key = RG_STEAL(*keyp);

    if (key == NULL)
        return;
    for (size_t i = 0; i < HMACS; i++)
        EVP_MAC_CTX_free(key->hmacs[i]);
    EVP_PKEY_free(key->ed25519);
    cjose_jwk_release(key->jwk);
    rg_free(key);
}

/* ---- from the numbers ---- */

/*
 * Keys of one vendor's broken generator (CVE-2017-15361) can be factored. Their primes are powers
 * of 65537 modulo many small primes, and so is their product; of other moduli none in 2^27 is.
 */
static bool is_factorable(const BIGNUM *n)
{
    static const unsigned primes[] = {11, 13, 17,  19,  37,  53,  61,  71, 73,
                                      79, 97, 103, 107, 109, 127, 151, 157};

    for (size_t i = 0; i < RG_COUNT_OF(primes); i++) {
        unsigned p = primes[i], rest = (unsigned)BN_mod_word(n, p), power = 1;
        bool is_power = false;
        for (unsigned k = 0; k < p && !is_power; k++) {
            is_power = power == rest;
            power = power * (65537 % p) % p;
        }
        if (!is_power)
            return false;
    }
    return true;
}

static const char *problem_of_rsa(const BIGNUM *n, const BIGNUM *e)
{
    if (BN_num_bits(n) < MIN_RSA_BITS)
        return "an RSA key must have at least 2048 bits";
    if (BN_num_bytes(n) > MAX_MODULUS)
        return "an RSA key must have at most 8192 bits";
    if (!BN_is_odd(e) || BN_is_one(e) || BN_num_bytes(e) > MAX_EXPONENT)
        return "the public exponent is not an odd number above 1";
    return is_factorable(n) ? "this RSA key can be factored (CVE-2017-15361)" : NULL;
}

static cjose_jwk_t *rsa_of(struct rg_str n, struct rg_str e, struct rg_why *why)
{
    BIGNUM *bn_n = BN_bin2bn((const unsigned char *)n.p, (int)n.n, NULL);
    BIGNUM *bn_e = BN_bin2bn((const unsigned char *)e.p, (int)e.n, NULL);
    cjose_jwk_rsa_keyspec spec = {
        .n = (uint8_t *)n.p, .nlen = n.n, .e = (uint8_t *)e.p, .elen = e.n};
    cjose_err err;

    const char *problem = problem_of_rsa(bn_n, bn_e);
    BN_free(bn_n);
    BN_free(bn_e);
    cjose_jwk_t *jwk = problem == NULL ? cjose_jwk_create_RSA_spec(&spec, &err) : NULL;
    if (jwk == NULL)
        key_problem(why, problem != NULL ? problem : "the RSA key cannot be used");
    return jwk;
}

static cjose_jwk_t *point_of(const struct algorithm *a, struct rg_str x, struct rg_str y,
                             struct rg_why *why)
{
    size_t n = a->signature_bytes / 2;
    cjose_jwk_ec_keyspec spec = {
        .crv = a->cjose_curve, .x = (uint8_t *)x.p, .xlen = x.n, .y = (uint8_t *)y.p, .ylen = y.n};
    cjose_err err;

    cjose_jwk_t *jwk = x.n == n && y.n == n ? cjose_jwk_create_EC_spec(&spec, &err) : NULL;
    ERR_clear_error();
    if (jwk == NULL)
        key_problem(why, "is not a point on its curve");
    return jwk;
}

static EVP_PKEY *ed25519_of(struct rg_str x, struct rg_why *why)
{
    EVP_PKEY *pkey = NULL;

    if (x.n == ED25519_BYTES)
        pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)x.p, x.n);
    if (pkey == NULL)
        key_problem(why, "an Ed25519 key has 32 bytes");
    return pkey;
}

/* ---- from a secret or PEM ---- */

static bool contains(struct rg_str text, struct rg_str part)
{
    return text.n > 0 && memmem(text.p, text.n, part.p, part.n) != NULL;
}

/* What everybody may have must not be taken for a secret: everybody could sign (CVE-2015-9235). */
static bool is_public_pem(struct rg_str text)
{
    return contains(text, RG_STR("-----BEGIN ")) && (contains(text, RG_STR("PUBLIC KEY-----")) ||
                                                     contains(text, RG_STR("CERTIFICATE-----")));
}

static struct rg_key *from_secret(const struct algorithm *a, struct rg_str secret,
                                  struct rg_why *why)
{
    if (is_public_pem(secret)) {
        rg_why_set(why, RG_EINVAL, "key",
                   "this is a public key or certificate, which cannot be the secret of %s",
                   a->name);
        return NULL;
    }
    struct rg_key *key = key_new(bit_of(a));
    set_secret(key, secret, why);
    if (!is_complete(key))
        rg_key_free(&key);
    return key;
}

/* Instead of a question on the terminal. */
static int no_password(char *p, int n, int is_writing, void *arg)
{
    (void)p;
    (void)n;
    (void)is_writing;
    (void)arg;
    return -1;
}

static EVP_PKEY *read_certificate(struct rg_str text)
{
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL);
    EVP_PKEY *pkey = certificate != NULL ? X509_get_pubkey(certificate) : NULL;

    X509_free(certificate);
    BIO_free(bio);
    return pkey;
}

static EVP_PKEY *read_public_key(struct rg_str text)
{
    EVP_PKEY *pkey = NULL;
    const unsigned char *p = (const unsigned char *)text.p;
    size_t n = text.n;
    OSSL_DECODER_CTX *decoder = OSSL_DECODER_CTX_new_for_pkey(
        &pkey, "PEM", NULL, NULL, OSSL_KEYMGMT_SELECT_PUBLIC_KEY, NULL, NULL);

    rg_assert(decoder != NULL);
    if (OSSL_DECODER_from_data(decoder, &p, &n) != 1)
        pkey = NULL;
    OSSL_DECODER_CTX_free(decoder);
    return pkey;
}

static EVP_PKEY *read_pem(struct rg_str text, struct rg_why *why)
{
    EVP_PKEY *pkey;

    if (contains(text, RG_STR("PRIVATE KEY-----"))) {
        key_problem(why, "this is a private key; the public key is needed, and only that");
        return NULL;
    }
    pkey = read_public_key(text);
    if (pkey == NULL)
        pkey = read_certificate(text);
    if (pkey == NULL)
        key_problem(why,
                    "is neither a public key nor a certificate in PEM form, nor a file with one");
    ERR_clear_error();
    return pkey;
}

/* A number of a key as n bytes (0: as many as it has, at most max); n == 0 if there is none. */
static struct rg_str number_of(const EVP_PKEY *pkey, const char *param, unsigned char *out,
                               size_t n, size_t max)
{
    BIGNUM *number = NULL;
    bool fits = false;

    if (EVP_PKEY_get_bn_param(pkey, param, &number) == 1) {
        n = n > 0 ? n : (size_t)BN_num_bytes(number);
        fits = n <= max && BN_bn2binpad(number, out, (int)n) >= 0;
    }
    BN_free(number);
    return fits ? rg_str_n((char *)out, n) : (struct rg_str){NULL, 0};
}

static cjose_jwk_t *rsa_of_pkey(const EVP_PKEY *pkey, struct rg_why *why)
{
    unsigned char n[MAX_MODULUS + 1], e[MAX_EXPONENT];

    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA) {
        key_problem(why, "is not an RSA key, which the algorithm needs");
        return NULL;
    }
    return rsa_of(number_of(pkey, OSSL_PKEY_PARAM_RSA_N, n, 0, sizeof(n)),
                  number_of(pkey, OSSL_PKEY_PARAM_RSA_E, e, 0, sizeof(e)), why);
}

static cjose_jwk_t *point_of_pkey(const EVP_PKEY *pkey, const struct algorithm *a,
                                  struct rg_why *why)
{
    unsigned char x[MAX_COORDINATE], y[MAX_COORDINATE];
    size_t n = a->signature_bytes / 2;
    char curve[64] = "";

    if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC)
        EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), NULL);
    if (strcmp(curve, a->curve) != 0) {
        rg_why_set(why, RG_EINVAL, "key", "is not a key on the curve %s, which the algorithm needs",
                   a->crv);
        return NULL;
    }
    return point_of(a, number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_X, x, n, sizeof(x)),
                    number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, y, n, sizeof(y)), why);
}

static struct rg_key *from_pem(const struct algorithm *a, struct rg_str text, struct rg_why *why)
{
    EVP_PKEY *pkey = read_pem(text, why);

    if (pkey == NULL)
        return NULL;
    struct rg_key *key = key_new(bit_of(a));
    if (a->family == RSA_KEY)
        set_jwk(key, a, rsa_of_pkey(pkey, why));
    else if (a->family == EC_KEY_P)
        set_jwk(key, a, point_of_pkey(pkey, a, why));
    else if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519)
        set_ed25519(key, a, RG_STEAL(pkey));
    else
        key_problem(why, "is not an Ed25519 key, which the algorithm needs");
    EVP_PKEY_free(pkey);
    if (!is_complete(key))
        rg_key_free(&key);
    return key;
}

struct rg_key *rg_key_new(const char *alg, struct rg_str text, struct rg_why *why)
{
    const struct algorithm *a = find(rg_str_c(alg));

    if (a == NULL) {
        rg_why_set(why, RG_EINVAL, "alg", "must be one of " RG_KEY_ALGORITHMS);
        return NULL;
    }
    return a->family == HMAC ? from_secret(a, text, why) : from_pem(a, text, why);
}

/* ---- from a JWK ---- */

/* Which algorithms a key of this type may be used with, if it does not say so itself. */
static unsigned allowed_by_type(const json_t *jwk)
{
    struct rg_str kty = rg_object_string(jwk, "kty"), crv = rg_object_string(jwk, "crv");
    unsigned allowed = 0;

    for (size_t i = 0; i < ALGORITHMS; i++) {
        const struct algorithm *a = &algorithms[i];
        bool fits = (a->family == HMAC && rg_str_eq(kty, RG_STR("oct"))) ||
                    (a->family == RSA_KEY && rg_str_eq(kty, RG_STR("RSA"))) ||
                    (a->family == EC_KEY_P && rg_str_eq(kty, RG_STR("EC")) &&
                     rg_str_eq(crv, rg_str_c(a->crv))) ||
                    (a->family == ED25519 && rg_str_eq(kty, RG_STR("OKP")) &&
                     rg_str_eq(crv, RG_STR("Ed25519")));
        allowed |= fits ? bit_of(a) : 0;
    }
    return allowed;
}

/* RFC 7517 4.2 and 4.3: what the key says it is for. */
static bool is_for_signatures(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use");
    const json_t *ops = json_object_get(jwk, "key_ops");
    const json_t *op;
    size_t i;

    if (use != NULL && !rg_str_eq(rg_object_string(jwk, "use"), RG_STR("sig")))
        return false;
    if (ops == NULL)
        return true;
    json_array_foreach(ops, i, op)
    {
        if (json_is_string(op) && strcmp(json_string_value(op), "verify") == 0)
            return true;
    }
    return false;
}

/* A secret must be as long as what its hash yields (RFC 7518 3.2). Keeps the algorithms it is long
 * enough for. */
static unsigned allowed_by_length(const json_t *jwk, unsigned allowed)
{
    size_t bytes = rg_object_string(jwk, "k").n * 3 / 4;

    for (size_t i = 0; i < HMACS; i++)
        allowed &= bytes < algorithms[i].signature_bytes ? ~(1U << i) : ~0U;
    return allowed;
}

/*
 * Decodes a member into out; n == 0 if there is none or it is not base64url. Not with cjose's own
 * import: that ends the process where there is a '=' in the wrong place.
 */
static struct rg_str decoded(const json_t *jwk, const char *name, void *out, size_t max)
{
    long n = rg_base64url_decode(rg_object_string(jwk, name), out, max);

    return n > 0 ? rg_str_n(out, (size_t)n) : (struct rg_str){NULL, 0};
}

static void read_secret(struct rg_key *key, const json_t *jwk, struct rg_why *why)
{
    size_t max = rg_object_string(jwk, "k").n;
    RG_CLEANUP(rg_free_ptr) char *bytes = rg_alloc(max);

    set_secret(key, decoded(jwk, "k", bytes, max), why);
    OPENSSL_cleanse(bytes, max);
}

/* What the key allows: by its type, and by what it says itself. */
static unsigned allowed_by(const json_t *jwk, struct rg_why *why)
{
    unsigned allowed = allowed_by_type(jwk);
    const struct algorithm *named = find(rg_object_string(jwk, "alg"));

    if (allowed == 0) {
        key_problem(why, "its type or curve is not one that signs");
        return 0;
    }
    if (json_object_get(jwk, "alg") != NULL)
        allowed &= named != NULL ? bit_of(named) : 0;
    if (!is_for_signatures(jwk))
        allowed = 0;
    if (allowed == 0)
        key_problem(why, "is not for a signature algorithm that fits its type");
    else if (rg_str_eq(rg_object_string(jwk, "kty"), RG_STR("oct")) &&
             (allowed = allowed_by_length(jwk, allowed)) == 0)
        key_problem(why, "the secret is shorter than the hash of its algorithm");
    return allowed;
}

static void read_numbers(struct rg_key *key, const json_t *jwk, struct rg_why *why)
{
    /* Those that a key allows differ in their hash only. */
    const struct algorithm *a = &algorithms[__builtin_ctz(key->allowed)];
    unsigned char x[MAX_MODULUS + 1], y[MAX_COORDINATE];

    switch (a->family) {
    case ED25519:
        set_ed25519(key, a, ed25519_of(decoded(jwk, "x", x, sizeof(x)), why));
        break;
    case RSA_KEY:
        set_jwk(key, a,
                rsa_of(decoded(jwk, "n", x, sizeof(x)), decoded(jwk, "e", y, sizeof(y)), why));
        break;
    case EC_KEY_P:
        set_jwk(key, a,
                point_of(a, decoded(jwk, "x", x, sizeof(x)), decoded(jwk, "y", y, sizeof(y)), why));
        break;
    default:
        read_secret(key, jwk, why);
    }
}

struct rg_key *rg_key_from_jwk(const struct json_t *jwk, struct rg_why *why)
{
    unsigned allowed = allowed_by(jwk, why);

    if (allowed == 0)
        return NULL;
    struct rg_key *key = key_new(allowed);
    read_numbers(key, jwk, why);
    if (!is_complete(key))
        rg_key_free(&key);
    return key;
}

/* ---- use ---- */

bool rg_key_allows(const struct rg_key *key, struct rg_str alg)
{
    const struct algorithm *a = find(alg);
    return a != NULL && (key->allowed & bit_of(a)) != 0;
}

bool rg_key_is_symmetric(const struct rg_key *key)
{
    return key->is_symmetric;
}

/* True if the number of n bytes at p is in 1 .. order-1 (CVE-2022-21449). */
static bool is_in_range(const unsigned char *p, const unsigned char *order, size_t n)
{
    bool is_zero = true;

    for (size_t i = 0; i < n && is_zero; i++)
        is_zero = p[i] == 0;
    return !is_zero && memcmp(p, order, n) < 0;
}

static bool verify_with_cjose(const struct rg_key *key, struct rg_str token)
{
    cjose_err err;
    cjose_jws_t *jws = cjose_jws_import(token.p, token.n, &err);
    bool is_good = jws != NULL && cjose_jws_verify(jws, key->jwk, &err);

    cjose_jws_release(jws);
    return is_good;
}

static bool verify_hmac(const EVP_MAC_CTX *begun, struct rg_str text,
                        const unsigned char *signature, size_t n)
{
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(begun);
    unsigned char right[EVP_MAX_MD_SIZE];
    size_t right_n = 0;

    rg_assert(ctx != NULL);
    bool is_good = EVP_MAC_update(ctx, (const unsigned char *)text.p, text.n) == 1 &&
                   EVP_MAC_final(ctx, right, &right_n, sizeof(right)) == 1 && right_n == n &&
                   CRYPTO_memcmp(right, signature, n) == 0;
    OPENSSL_cleanse(right, sizeof(right));
    EVP_MAC_CTX_free(ctx);
    return is_good;
}

static bool verify_ed25519(const struct rg_key *key, struct rg_str text,
                           const unsigned char *signature, size_t n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    rg_assert(ctx != NULL);
    bool is_good = EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->ed25519) == 1 &&
                   EVP_DigestVerify(ctx, signature, n, (const unsigned char *)text.p, text.n) == 1;
    EVP_MD_CTX_free(ctx);
    return is_good;
}

static bool verify(const struct rg_key *key, struct rg_str alg, struct rg_str token)
{
    unsigned char signature[MAX_SIGNATURE];
    const char *dot = memrchr(token.p, '.', token.n);
    struct rg_str text = rg_str_n(token.p, (size_t)(dot - token.p));
    struct rg_str encoded = rg_str_n(dot + 1, token.n - text.n - 1);
    const struct algorithm *a = find(alg);
    size_t n = a->family == HMAC ? a->signature_bytes : key->signature_bytes;

    /* cjose and OpenSSL forgive bytes that are too many or, of an RSA signature, leading zeros that
     * are missing; then one token has several forms. */
    if (rg_base64url_decode(encoded, signature, sizeof(signature)) != (long)n)
        return false;
    if (a->family == HMAC)
        return verify_hmac(key->hmacs[a - algorithms], text, signature, n);
    if (a->family == ED25519)
        return verify_ed25519(key, text, signature, n);
    if (a->family == EC_KEY_P && (!is_in_range(signature, key->order, n / 2) ||
                                  !is_in_range(signature + n / 2, key->order, n / 2)))
        return false;
    return verify_with_cjose(key, token);
}

int rg_key_verify(const struct rg_key *key, struct rg_str alg, struct rg_str token)
{
    rg_assert(rg_key_allows(key, alg));
    bool is_good = verify(key, alg, token);
    /* What failed is of no concern to the TLS connection that comes next. */
    ERR_clear_error();
    return is_good ? 0 : RG_EDENIED;
}
