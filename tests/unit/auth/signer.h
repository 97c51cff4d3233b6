/*
 * signer.h - the other side of a verifier: makes keys and signs tokens, with OpenSSL alone.
 *
 * Thread: the test's; signing, any.
 */
#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"

struct signer {
    const char *alg;
    EVP_PKEY *pkey;       /* NULL: an HMAC */
    struct rg_str secret; /* of an HMAC */
};

static inline const char *signer_curve(const char *alg)
{
    return strcmp(alg, "ES256") == 0 ? "P-256" : strcmp(alg, "ES384") == 0 ? "P-384" : "P-521";
}

/* RSA keys take long to make, so all signers of a program share one, freed by nobody. */
static inline EVP_PKEY *signer_rsa_key(void)
{
    static EVP_PKEY *key;

    if (key == NULL)
        key = EVP_RSA_gen(2048);
    rg_assert(key != NULL);
    EVP_PKEY_up_ref(key);
    return key;
}

static inline struct signer signer_new(const char *alg)
{
    struct signer signer = {.alg = alg};

    if (alg[0] == 'H')
        signer.secret = RG_STR(
            "a secret that is long enough for each of the three hash functions, SHA-512 too");
    else if (alg[0] == 'R' || alg[0] == 'P')
        signer.pkey = signer_rsa_key();
    else if (strcmp(alg, "EdDSA") == 0)
        signer.pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else
        signer.pkey = EVP_EC_gen(signer_curve(alg));
    rg_assert(signer.secret.n > 0 || signer.pkey != NULL);
    return signer;
}

static inline void signer_done(struct signer *signer)
{
    EVP_PKEY_free(signer->pkey);
}

static inline const EVP_MD *signer_hash(const char *alg)
{
    const char *bits = alg + strlen(alg) - 3;

    return strcmp(bits, "256") == 0   ? EVP_sha256()
           : strcmp(bits, "384") == 0 ? EVP_sha384()
           : strcmp(bits, "512") == 0 ? EVP_sha512()
                                      : NULL;
}

/* From DER to the two numbers side by side (RFC 7518 section 3.4). Returns the length. */
static inline size_t signer_flatten(const char *alg, unsigned char *signature, size_t n)
{
    const unsigned char *p = signature;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &p, (long)n);
    int half = strcmp(alg, "ES256") == 0 ? 32 : strcmp(alg, "ES384") == 0 ? 48 : 66;

    rg_assert(pair != NULL);
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, half);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + half, half);
    ECDSA_SIG_free(pair);
    return 2 * (size_t)half;
}

static inline size_t signer_raw(const struct signer *signer, struct rg_str text,
                                unsigned char signature[512])
{
    const unsigned char *p = (const unsigned char *)text.p;
    size_t n = 512;
    unsigned hmac_n;

    if (signer->pkey == NULL) {
        HMAC(signer_hash(signer->alg), signer->secret.p, (int)signer->secret.n, p, text.n,
             signature, &hmac_n);
        return hmac_n;
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_ctx;
    rg_assert(EVP_DigestSignInit(ctx, &key_ctx, signer_hash(signer->alg), NULL, signer->pkey) == 1);
    if (signer->alg[0] == 'P') {
        EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST);
    }
    rg_assert(EVP_DigestSign(ctx, signature, &n, p, text.n) == 1);
    EVP_MD_CTX_free(ctx);
    return strncmp(signer->alg, "ES", 2) == 0 ? signer_flatten(signer->alg, signature, n) : n;
}

/* Appends a token with exactly this header and payload. */
static inline void signer_sign(const struct signer *signer, struct rg_str header,
                               struct rg_str payload, struct rg_buf *out)
{
    unsigned char signature[512];
    size_t start = out->n;

    rg_base64url_add(out, header.p, header.n);
    rg_buf_add_char(out, '.');
    rg_base64url_add(out, payload.p, payload.n);
    size_t n = signer_raw(signer, rg_str_n(out->p + start, out->n - start), signature);
    rg_buf_add_char(out, '.');
    rg_base64url_add(out, signature, n);
}

/* Appends a token with the header that goes without saying; kid may be NULL. */
static inline void signer_token(const struct signer *signer, const char *kid, const char *payload,
                                struct rg_buf *out)
{
    char header[128];

    if (kid != NULL)
        snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"%s\"}", signer->alg, kid);
    else
        snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", signer->alg);
    signer_sign(signer, rg_str_c(header), rg_str_c(payload), out);
}

/* Appends what JWT_SECRET_KEY has to be: the secret, or the public key in PEM. */
static inline void signer_key(const struct signer *signer, struct rg_buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;

    if (signer->pkey == NULL) {
        rg_buf_add_str(out, signer->secret);
    } else {
        rg_assert(PEM_write_bio_PUBKEY(bio, signer->pkey) == 1);
        long n = BIO_get_mem_data(bio, &p);
        rg_buf_add(out, p, (size_t)n);
    }
    BIO_free(bio);
}

/* Appends ,"name":"number" with a number of the key in base64url, n bytes long (0: as it is). */
static inline void signer_add_number(const struct signer *signer, const char *name,
                                     const char *param, int n, struct rg_buf *out)
{
    unsigned char bytes[512];
    BIGNUM *bn = NULL;

    rg_assert(EVP_PKEY_get_bn_param(signer->pkey, param, &bn) == 1);
    n = BN_bn2binpad(bn, bytes, n > 0 ? n : BN_num_bytes(bn));
    BN_free(bn);
    rg_buf_addf(out, ",\"%s\":\"", name);
    rg_base64url_add(out, bytes, (size_t)n);
    rg_buf_add_char(out, '"');
}

static inline void signer_add_numbers(const struct signer *signer, struct rg_buf *out)
{
    unsigned char x[32];
    size_t n = sizeof(x);

    if (signer->pkey == NULL) {
        rg_buf_add_c(out, "\"kty\":\"oct\",\"k\":\"");
        rg_base64url_add(out, signer->secret.p, signer->secret.n);
        rg_buf_add_char(out, '"');
    } else if (EVP_PKEY_is_a(signer->pkey, "RSA")) {
        rg_buf_add_c(out, "\"kty\":\"RSA\"");
        signer_add_number(signer, "n", OSSL_PKEY_PARAM_RSA_N, 0, out);
        signer_add_number(signer, "e", OSSL_PKEY_PARAM_RSA_E, 0, out);
    } else if (EVP_PKEY_is_a(signer->pkey, "EC")) {
        int bytes = (EVP_PKEY_get_bits(signer->pkey) + 7) / 8;
        rg_buf_addf(out, "\"kty\":\"EC\",\"crv\":\"%s\"", signer_curve(signer->alg));
        signer_add_number(signer, "x", OSSL_PKEY_PARAM_EC_PUB_X, bytes, out);
        signer_add_number(signer, "y", OSSL_PKEY_PARAM_EC_PUB_Y, bytes, out);
    } else {
        rg_assert(EVP_PKEY_get_raw_public_key(signer->pkey, x, &n) == 1);
        rg_buf_add_c(out, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
        rg_base64url_add(out, x, n);
        rg_buf_add_char(out, '"');
    }
}

/* Appends the public key (or the secret) as a JWK; members begins with a comma, or is empty. */
static inline void signer_jwk(const struct signer *signer, const char *members, struct rg_buf *out)
{
    rg_buf_add_char(out, '{');
    signer_add_numbers(signer, out);
    rg_buf_addf(out, "%s}", members);
}
