#include "auth/key.h"

#include <cjose/cjose.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/alloc.h"
#include "base/base64.h"

#define MIN_RSA_BITS   2048 /* RFC 7518 3.3 */
#define ED25519_BYTES  32
#define ED25519_SIG    64
#define MAX_COORDINATE 66 /* P-521 */
#define MAX_MODULUS    2048

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

const char rg_key_algorithms[] =
    "HS256,HS384,HS512,RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA";

struct rg_key {
    unsigned allowed; /* bit i: algorithms[i] */
    bool is_symmetric;
    cjose_jwk_t *jwk; /* NULL: Ed25519, which cjose does not know */
    EVP_PKEY *ed25519;
};

static const struct algorithm *find(struct rg_str name)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (rg_str_eq(name, rg_str_c(algorithms[i].name)))
            return &algorithms[i];
    }
    return NULL;
}

static unsigned bit_of(const struct algorithm *a)
{
    return 1U << (a - algorithms);
}

static int key_problem(struct rg_why *why, const char *text)
{
    return rg_why_set(why, RG_EINVAL, "key", "%s", text);
}

static struct rg_key *key_new(cjose_jwk_t *jwk, unsigned allowed)
{
    struct rg_key *key = rg_zalloc(sizeof(*key));

    key->jwk = jwk;
    key->allowed = allowed;
    return key;
}

void rg_key_free(struct rg_key **keyp)
{
    struct rg_key *key = RG_STEAL(*keyp);

    if (key == NULL)
        return;
    cjose_jwk_release(key->jwk);
    EVP_PKEY_free(key->ed25519);
    rg_free(key);
}

/* ---- from a secret or PEM ---- */

static struct rg_key *from_secret(const struct algorithm *a, struct rg_str secret,
                                  struct rg_why *why)
{
    cjose_err err;

    /* Under an empty key anybody can sign. */
    if (secret.n == 0) {
        key_problem(why, "the secret is empty");
        return NULL;
    }
    cjose_jwk_t *jwk = cjose_jwk_create_oct_spec((const uint8_t *)secret.p, secret.n, &err);
    if (jwk == NULL) {
        key_problem(why, "the secret cannot be used");
        return NULL;
    }
    struct rg_key *key = key_new(jwk, bit_of(a));
    key->is_symmetric = true;
    return key;
}

static EVP_PKEY *read_pem(struct rg_str text, struct rg_why *why)
{
    BIO *bio = BIO_new_mem_buf(text.p != NULL ? text.p : "", (int)text.n);
    EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);

    if (pkey == NULL) {
        BIO_reset(bio);
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (cert != NULL)
            pkey = X509_get_pubkey(cert);
        X509_free(cert);
    }
    BIO_free(bio);
    if (pkey == NULL && memmem(text.p, text.n, "PRIVATE KEY", 11) != NULL)
        key_problem(why, "this is a private key; the public key is needed, and only that");
    else if (pkey == NULL)
        key_problem(why,
                    "is neither a public key nor a certificate in PEM form, nor a file with one");
    ERR_clear_error();
    return pkey;
}

static size_t number_of(const EVP_PKEY *pkey, const char *param, unsigned char *out, size_t max)
{
    BIGNUM *n = NULL;
    size_t size = 0;

    if (EVP_PKEY_get_bn_param(pkey, param, &n) == 1 && (size_t)BN_num_bytes(n) <= max)
        size = (size_t)BN_bn2bin(n, out);
    BN_free(n);
    return size;
}

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

static const char *rsa_problem(const EVP_PKEY *pkey)
{
    BIGNUM *n = NULL, *e = NULL;
    const char *problem = "cannot be used";

    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1) {
        if (BN_num_bits(n) < MIN_RSA_BITS)
            problem = "an RSA key must have at least 2048 bits";
        else if (!BN_is_odd(e) || BN_is_one(e))
            problem = "the public exponent is not an odd number above 1";
        else if (is_factorable(n))
            problem = "this RSA key can be factored (CVE-2017-15361)";
        else
            problem = NULL;
    }
    BN_free(n);
    BN_free(e);
    return problem;
}

static cjose_jwk_t *rsa_jwk(const EVP_PKEY *pkey, struct rg_why *why)
{
    unsigned char n[MAX_MODULUS], e[16];
    cjose_jwk_rsa_keyspec spec = {.n = n, .e = e};
    cjose_err err;

    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA) {
        key_problem(why, "is not an RSA key, which the algorithm needs");
        return NULL;
    }
    const char *problem = rsa_problem(pkey);
    if (problem != NULL) {
        key_problem(why, problem);
        return NULL;
    }
    spec.nlen = number_of(pkey, OSSL_PKEY_PARAM_RSA_N, n, sizeof(n));
    spec.elen = number_of(pkey, OSSL_PKEY_PARAM_RSA_E, e, sizeof(e));
    cjose_jwk_t *jwk =
        spec.nlen > 0 && spec.elen > 0 ? cjose_jwk_create_RSA_spec(&spec, &err) : NULL;
    if (jwk == NULL)
        key_problem(why, "the RSA key cannot be used");
    return jwk;
}

static cjose_jwk_t *ec_jwk(const EVP_PKEY *pkey, const struct algorithm *a, struct rg_why *why)
{
    unsigned char x[MAX_COORDINATE], y[MAX_COORDINATE];
    cjose_jwk_ec_keyspec spec = {.crv = a->cjose_curve, .x = x, .y = y};
    char curve[64] = "";
    cjose_err err;

    if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC)
        EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), NULL);
    if (strcmp(curve, a->curve) != 0) {
        rg_why_set(why, RG_EINVAL, "key", "is not a key on the curve %s, which the algorithm needs",
                   a->crv);
        return NULL;
    }
    spec.xlen = number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_X, x, sizeof(x));
    spec.ylen = number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, y, sizeof(y));
    cjose_jwk_t *jwk = cjose_jwk_create_EC_spec(&spec, &err);
    if (jwk == NULL)
        key_problem(why, "the key cannot be used");
    return jwk;
}

static struct rg_key *from_pem(const struct algorithm *a, struct rg_str text, struct rg_why *why)
{
    EVP_PKEY *pkey = read_pem(text, why);
    struct rg_key *key = NULL;
    cjose_jwk_t *jwk = NULL;

    if (pkey == NULL)
        return NULL;
    if (a->family == ED25519 && EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519) {
        key = key_new(NULL, bit_of(a));
        key->ed25519 = RG_STEAL(pkey);
    } else if (a->family == ED25519) {
        key_problem(why, "is not an Ed25519 key, which the algorithm needs");
    } else {
        jwk = a->family == RSA_KEY ? rsa_jwk(pkey, why) : ec_jwk(pkey, a, why);
        key = jwk != NULL ? key_new(jwk, bit_of(a)) : NULL;
    }
    EVP_PKEY_free(pkey);
    return key;
}

struct rg_key *rg_key_new(const char *alg, struct rg_str text, struct rg_why *why)
{
    const struct algorithm *a = find(rg_str_c(alg));

    if (a == NULL) {
        rg_why_set(why, RG_EINVAL, "alg", "must be one of %s", rg_key_algorithms);
        return NULL;
    }
    return a->family == HMAC ? from_secret(a, text, why) : from_pem(a, text, why);
}

/* ---- from a JWK ---- */

static struct rg_str member(const json_t *jwk, const char *name)
{
    const json_t *value = json_object_get(jwk, name);
    return json_is_string(value) ? rg_str_n(json_string_value(value), json_string_length(value))
                                 : (struct rg_str){NULL, 0};
}

/* Which algorithms a key of this type may be used with, if it does not say so itself. */
static unsigned allowed_by_type(const json_t *jwk)
{
    struct rg_str kty = member(jwk, "kty"), crv = member(jwk, "crv");
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

    if (use != NULL && !rg_str_eq(member(jwk, "use"), RG_STR("sig")))
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

static EVP_PKEY *ed25519_of(const json_t *jwk)
{
    unsigned char x[ED25519_BYTES];

    if (rg_base64url_decode(member(jwk, "x"), x, sizeof(x)) != ED25519_BYTES)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof(x));
}

/* A secret must be as long as what its hash yields (RFC 7518 3.2). Keeps the algorithms it is long
 * enough for. */
static unsigned allowed_by_length(const json_t *jwk, unsigned allowed)
{
    static const unsigned hmac_bytes[] = {32, 48, 64};
    size_t bytes = member(jwk, "k").n * 3 / 4;

    for (size_t i = 0; i < RG_COUNT_OF(hmac_bytes); i++)
        allowed &= bytes < hmac_bytes[i] ? ~(1U << i) : ~0U;
    return allowed;
}

static EVP_PKEY *rsa_of(const json_t *jwk)
{
    unsigned char n[MAX_MODULUS], e[16];
    long n_size = rg_base64url_decode(member(jwk, "n"), n, sizeof(n));
    long e_size = rg_base64url_decode(member(jwk, "e"), e, sizeof(e));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *pkey = NULL;

    if (n_size > 0 && e_size > 0) {
        BIGNUM *bn_n = BN_bin2bn(n, (int)n_size, NULL), *bn_e = BN_bin2bn(e, (int)e_size, NULL);
        OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, bn_n);
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, bn_e);
        OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
        if (EVP_PKEY_fromdata_init(ctx) == 1)
            EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
        OSSL_PARAM_free(params);
        OSSL_PARAM_BLD_free(builder);
        BN_free(bn_n);
        BN_free(bn_e);
    }
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return pkey;
}

static cjose_jwk_t *import_jwk(const json_t *jwk)
{
    cjose_err err;
    char *text = json_dumps(jwk, JSON_COMPACT);
    cjose_jwk_t *imported = text != NULL ? cjose_jwk_import(text, strlen(text), &err) : NULL;

    free(text);
    ERR_clear_error();
    return imported;
}

struct rg_key *rg_key_from_jwk(const void *jwk, struct rg_why *why)
{
    const json_t *json = jwk;
    unsigned allowed = allowed_by_type(json);
    const json_t *alg = json_object_get(json, "alg");

    if (allowed == 0) {
        key_problem(why, "its type or curve is not one that signs");
        return NULL;
    }
    if (alg != NULL) {
        const struct algorithm *a = find(member(json, "alg"));
        allowed &= a != NULL ? bit_of(a) : 0;
    }
    if (allowed == 0 || !is_for_signatures(json)) {
        key_problem(why, "is not for a signature algorithm that fits its type");
        return NULL;
    }
    struct rg_str kty = member(json, "kty");
    struct rg_key *key = key_new(NULL, allowed);
    key->is_symmetric = rg_str_eq(kty, RG_STR("oct"));
    key_problem(why, "its numbers are not those of a key");
    if (rg_str_eq(kty, RG_STR("OKP"))) {
        key->ed25519 = ed25519_of(json);
    } else if (rg_str_eq(kty, RG_STR("RSA"))) {
        EVP_PKEY *pkey = rsa_of(json);
        key->jwk = pkey != NULL ? rsa_jwk(pkey, why) : NULL;
        EVP_PKEY_free(pkey);
    } else if (key->is_symmetric && (key->allowed = allowed_by_length(json, allowed)) == 0) {
        key_problem(why, "the secret is shorter than the hash of its algorithm");
    } else {
        key->jwk = import_jwk(json);
    }
    if (key->jwk == NULL && key->ed25519 == NULL)
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

static int verify_ed25519(const struct rg_key *key, struct rg_str token)
{
    const char *dot = memrchr(token.p, '.', token.n);
    size_t signed_n = (size_t)(dot - token.p);
    struct rg_str text = rg_str_n(dot + 1, token.n - signed_n - 1);
    unsigned char signature[ED25519_SIG];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    rg_assert(ctx != NULL);
    bool is_good = rg_base64url_decode(text, signature, sizeof(signature)) == ED25519_SIG &&
                   EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->ed25519) == 1 &&
                   EVP_DigestVerify(ctx, signature, sizeof(signature),
                                    (const unsigned char *)token.p, signed_n) == 1;
    EVP_MD_CTX_free(ctx);
    return is_good ? 0 : RG_EDENIED;
}

/* cjose takes an elliptic curve signature with bytes behind it. */
static bool has_right_length(struct rg_str alg, struct rg_str token)
{
    const char *dot = memrchr(token.p, '.', token.n);
    size_t signature_n = token.n - (size_t)(dot - token.p) - 1;
    unsigned bytes = find(alg)->signature_bytes;

    return bytes == 0 || signature_n == (bytes * 8 + 5) / 6;
}

int rg_key_verify(const struct rg_key *key, struct rg_str alg, struct rg_str token)
{
    cjose_err err;
    int result;

    rg_assert(rg_key_allows(key, alg));
    if (!has_right_length(alg, token))
        return RG_EDENIED;
    if (key->ed25519 != NULL) {
        result = verify_ed25519(key, token);
    } else {
        cjose_jws_t *jws = cjose_jws_import(token.p, token.n, &err);
        result = jws != NULL && cjose_jws_verify(jws, key->jwk, &err) ? 0 : RG_EDENIED;
        cjose_jws_release(jws);
    }
    /* What failed is of no concern to the TLS connection that comes next. */
    ERR_clear_error();
    return result;
}
