/*
 * Keys in all the forms they come in, and against the vectors of Project Wycheproof, whose every
 * valid signature must be taken and whose every other one refused; skipped where they are not
 * there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/x509.h>

#include "auth/jws.h"
#include "auth/keyset.h"
#include "base/alloc.h"
#include "base/log.h"
#include "signer.h"

/*
 * Vectors that do not say what they mean: 367 and 370 are the valid vector 357, byte for byte; 372
 * and 373 have a '?' in their base64url and count as valid, which RFC 7515 does not let them.
 */
static bool is_meant_valid(json_int_t id, bool is_valid)
{
    if (id == 367 || id == 370)
        return true;
    return is_valid && id != 372 && id != 373;
}

static json_t *load(const char *name)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/jws/%s", RG_VECTORS_DIR, name);
    json_t *root = json_load_file(path, 0, NULL);
    if (root == NULL) {
        print_message("SKIPPED: there is no %s\n", path);
        skip();
    }
    return root;
}

static struct rg_str text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return rg_str_c(value);
}

/* What the gateway does with a token, up to its claims. */
static bool accepts(const struct rg_keyset *set, struct rg_str token)
{
    RG_CLEANUP(rg_jws_done) struct rg_jws jws = {0};

    if (rg_jws_read(token, &jws) < 0)
        return false;
    struct rg_str kid = jws.has_kid ? rg_buf_str(&jws.kid) : (struct rg_str){NULL, 0};
    const struct rg_key *key = rg_keyset_find(set, kid, rg_buf_str(&jws.alg));
    return key != NULL && rg_key_allows(key, rg_buf_str(&jws.alg)) &&
           rg_key_verify(key, rg_buf_str(&jws.alg), token) == 0;
}

/* The public half as a set; a secret is its own. NULL if the set is refused. */
static struct rg_keyset *set_of(const json_t *group)
{
    const json_t *jwk = json_object_get(group, "public");
    struct rg_why why = {0};

    if (jwk == NULL)
        jwk = json_object_get(group, "private");
    json_t *set = json_object_get(jwk, "keys") != NULL ? json_deep_copy(jwk)
                                                       : json_pack("{s:[O]}", "keys", jwk);
    char *encoded = json_dumps(set, 0);
    struct rg_keyset *keys = rg_keyset_parse(rg_str_c(encoded), &why);
    free(encoded);
    json_decref(set);
    return keys;
}

/*
 * The vectors from RFC 7520 carry keys that say one algorithm (or "ES521", which there is none of)
 * and tokens that say another, and count them as valid. A key is for the algorithm it names (RFC
 * 8725 3.1), so here they are not.
 */
static bool names_another_algorithm(const json_t *group, struct rg_str token)
{
    RG_CLEANUP(rg_jws_done) struct rg_jws jws = {0};
    struct rg_str alg = text(json_object_get(group, "public"), "alg");

    return alg.p != NULL && rg_jws_read(token, &jws) == 0 && !rg_str_eq(alg, rg_buf_str(&jws.alg));
}

/* Returns how many vectors were looked at. */
static size_t run_group(const json_t *group)
{
    struct rg_keyset *set = set_of(group);
    const json_t *tests = json_object_get(group, "tests");
    const json_t *test;
    size_t i;

    json_array_foreach(tests, i, test)
    {
        json_int_t id = json_integer_value(json_object_get(test, "tcId"));
        struct rg_str token = text(test, "jws");
        bool is_valid = is_meant_valid(id, rg_str_eq(text(test, "result"), RG_STR("valid"))) &&
                        !(token.p != NULL && names_another_algorithm(group, token));
        bool is_accepted = set != NULL && token.p != NULL && accepts(set, token);
        if (is_accepted != is_valid)
            fail_msg("vector %lld (%s, group %s) is %s", (long long)id, text(test, "comment").p,
                     text(group, "comment").p, is_accepted ? "accepted" : "refused");
    }
    rg_keyset_unref(&set);
    return i;
}

static size_t run_file(const char *name)
{
    json_t *root = load(name);
    const json_t *groups = json_object_get(root, "testGroups");
    const json_t *group;
    size_t i, n = 0;

    json_array_foreach(groups, i, group)
    {
        n += run_group(group);
    }
    json_decref(root);
    return n;
}

static void every_wycheproof_signature_is_judged_rightly(void **state)
{
    (void)state;
    assert_int_equal(run_file("json_web_signature_test.json"), 401);
}

static void every_wycheproof_key_set_is_judged_rightly(void **state)
{
    (void)state;
    assert_int_equal(run_file("json_web_key_test.json"), 26);
}

/* ---- PEM and secrets ---- */

static bool signs_for(const struct signer *signer, const struct rg_key *key)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};

    signer_token(signer, NULL, "{}", &token);
    return rg_key_verify(key, rg_str_c(signer->alg), rg_buf_str(&token)) == 0;
}

static void assert_takes(const struct signer *signer, struct rg_str pem)
{
    struct rg_why why;
    struct rg_key *key = rg_key_new(signer->alg, pem, &why);

    if (key == NULL)
        fail_msg("%s", why.text);
    assert_true(signs_for(signer, key));
    rg_key_free(&key);
}

static void assert_refuses(const char *alg, struct rg_str text, const char *reason)
{
    struct rg_why why;

    assert_null(rg_key_new(alg, text, &why));
    if (strstr(why.text, reason) == NULL)
        fail_msg("%s", why.text);
}

/* What a function of OpenSSL writes. */
static struct rg_buf written(BIO *bio)
{
    struct rg_buf out = {0};
    char *p;
    long n = BIO_get_mem_data(bio, &p);

    assert_true(n > 0);
    rg_buf_add(&out, p, (size_t)n);
    BIO_free(bio);
    return out;
}

static struct rg_buf certificate_of(EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());
    X509 *certificate = X509_new();

    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, pkey);
    assert_true(X509_sign(certificate, pkey, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    X509_free(certificate);
    return written(bio);
}

static struct rg_buf private_key_of(EVP_PKEY *pkey, const char *password)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const EVP_CIPHER *cipher = password != NULL ? EVP_aes_128_cbc() : NULL;
    int n = password != NULL ? (int)strlen(password) : 0;

    assert_int_equal(
        PEM_write_bio_PrivateKey(bio, pkey, cipher, (const unsigned char *)password, n, NULL, NULL),
        1);
    return written(bio);
}

static void a_certificate_is_as_good_as_its_key(void **state)
{
    struct signer rsa = signer_new("PS384"), ec = signer_new("ES256");
    RG_CLEANUP(rg_buf_done) struct rg_buf of_rsa = certificate_of(rsa.pkey);
    RG_CLEANUP(rg_buf_done) struct rg_buf of_ec = certificate_of(ec.pkey);

    (void)state;
    assert_takes(&rsa, rg_buf_str(&of_rsa));
    assert_takes(&ec, rg_buf_str(&of_ec));
    signer_done(&rsa);
    signer_done(&ec);
}

static void text_around_a_pem_does_not_matter(void **state)
{
    struct signer signer = signer_new("ES384");
    RG_CLEANUP(rg_buf_done) struct rg_buf pem = {0};

    (void)state;
    rg_buf_add_c(&pem, "Our key, of 2024\n");
    signer_key(&signer, &pem);
    rg_buf_add_c(&pem, "\n\n");
    assert_takes(&signer, rg_buf_str(&pem));
    signer_done(&signer);
}

static void an_rsa_key_may_stand_in_the_older_form(void **state)
{
    struct signer signer = signer_new("RS256");
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char *der = NULL;

    (void)state;
    int n = i2d_PublicKey(signer.pkey, &der);
    assert_true(n > 0);
    assert_true(PEM_write_bio(bio, "RSA PUBLIC KEY", "", der, n) > 0);
    RG_CLEANUP(rg_buf_done) struct rg_buf pem = written(bio);
    assert_takes(&signer, rg_buf_str(&pem));
    OPENSSL_free(der);
    signer_done(&signer);
}

static void a_private_key_is_refused(void **state)
{
    struct signer signer = signer_new("ES256");
    RG_CLEANUP(rg_buf_done) struct rg_buf plain = private_key_of(signer.pkey, NULL);
    /* It must not ask for the password on the terminal, either. */
    RG_CLEANUP(rg_buf_done) struct rg_buf locked = private_key_of(signer.pkey, "password");

    (void)state;
    assert_refuses("ES256", rg_buf_str(&plain), "this is a private key");
    assert_refuses("ES256", rg_buf_str(&locked), "this is a private key");
    signer_done(&signer);
}

static void a_key_must_fit_its_algorithm(void **state)
{
    static const char *const algorithms[] = {"RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(algorithms); i++) {
        struct signer signer = signer_new(algorithms[i]);
        RG_CLEANUP(rg_buf_done) struct rg_buf pem = {0};
        signer_key(&signer, &pem);
        assert_takes(&signer, rg_buf_str(&pem));
        for (size_t k = 2; k < RG_COUNT_OF(algorithms); k++) {
            if (k != i)
                assert_refuses(algorithms[k], rg_buf_str(&pem), "which the algorithm needs");
        }
        if (i >= 2)
            assert_refuses("RS256", rg_buf_str(&pem), "which the algorithm needs");
        /* Anybody has it, so that it is no secret. */
        assert_refuses("HS256", rg_buf_str(&pem), "cannot be the secret of HS256");
        signer_done(&signer);
    }
}

static void other_texts_are_no_keys(void **state)
{
    (void)state;
    assert_refuses("RS256", RG_STR(""), "neither a public key nor a certificate");
    assert_refuses("RS256", rg_str_c(NULL), "neither a public key nor a certificate");
    assert_refuses("ES256", RG_STR("secret"), "neither a public key nor a certificate");
    assert_refuses("EdDSA", RG_STR("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
                   "neither a public key nor a certificate");
    assert_refuses("HS256", RG_STR(""), "the secret is empty");
    assert_refuses("HS256", rg_str_c(NULL), "the secret is empty");
    assert_refuses("none", RG_STR("secret"), "must be one of HS256,HS384");
    assert_refuses("hs256", RG_STR("secret"), "must be one of HS256,HS384");
    assert_refuses("", RG_STR("secret"), "must be one of HS256,HS384");
}

static void an_rsa_key_is_neither_short_nor_endless(void **state)
{
    struct signer signer = {.alg = "RS256", .pkey = EVP_RSA_gen(1024)};
    RG_CLEANUP(rg_buf_done) struct rg_buf pem = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf modulus = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    struct rg_why why;

    (void)state;
    signer_key(&signer, &pem);
    assert_refuses("RS256", rg_buf_str(&pem), "at least 2048 bits");
    signer_done(&signer);
    for (int i = 0; i < 1025; i++)
        rg_buf_add_char(&modulus, (char)0xf1);
    rg_buf_add_c(&text, "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"");
    rg_base64url_add(&text, modulus.p, modulus.n);
    rg_buf_add_c(&text, "\"}]}");
    assert_null(rg_keyset_parse(rg_buf_str(&text), &why));
}

/* A token whose signature begins with a zero byte, as one of 256 does, and the one without it. */
static void a_signature_has_one_form(void **state)
{
    struct signer signer = signer_new("PS256");
    RG_CLEANUP(rg_buf_done) struct rg_buf pem = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};
    unsigned char signature[256];
    size_t dot;

    (void)state;
    signer_key(&signer, &pem);
    struct rg_key *key = rg_key_new("PS256", rg_buf_str(&pem), NULL);
    do {
        rg_buf_clear(&token);
        signer_token(&signer, NULL, "{}", &token);
        dot = (size_t)((const char *)memrchr(token.p, '.', token.n) - token.p);
        assert_int_equal(rg_base64url_decode(rg_str_n(token.p + dot + 1, token.n - dot - 1),
                                             signature, sizeof(signature)),
                         sizeof(signature));
    } while (signature[0] != 0);
    assert_int_equal(rg_key_verify(key, RG_STR("PS256"), rg_buf_str(&token)), 0);
    token.n = dot + 1;
    rg_base64url_add(&token, signature + 1, sizeof(signature) - 1);
    assert_int_equal(rg_key_verify(key, RG_STR("PS256"), rg_buf_str(&token)), RG_EDENIED);
    rg_key_free(&key);
    signer_done(&signer);
}

static void a_secret_without_an_algorithm_is_good_for_each(void **state)
{
    static const char *const algs[] = {"HS256", "HS384", "HS512"};
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    struct signer signers[] = {signer_new(algs[0]), signer_new(algs[1]), signer_new(algs[2])};

    (void)state;
    signer_jwk(&signers[0], "", &text);
    json_t *jwk = json_loadb(text.p, text.n, 0, NULL);
    struct rg_key *key = rg_key_from_jwk(jwk, NULL);
    for (size_t i = 0; i < RG_COUNT_OF(algs); i++)
        assert_true(signs_for(&signers[i], key));
    rg_key_free(&key);
    json_decref(jwk);
}

static void each_algorithm_has_a_name(void **state)
{
    struct rg_str rest = RG_STR(RG_KEY_ALGORITHMS);
    size_t n = 0;

    (void)state;
    while (rest.p != NULL) {
        struct rg_str name = rg_str_split(&rest, ',');
        RG_CLEANUP(rg_free_ptr) char *copy = rg_strndup(name.p, name.n);
        assert_true(rg_key_is_algorithm(copy));
        n++;
    }
    assert_int_equal(n, 13);
    assert_false(rg_key_is_algorithm("none"));
    assert_false(rg_key_is_algorithm(""));
    assert_false(rg_key_is_algorithm(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wycheproof_signature_is_judged_rightly),
        cmocka_unit_test(every_wycheproof_key_set_is_judged_rightly),
        cmocka_unit_test(a_certificate_is_as_good_as_its_key),
        cmocka_unit_test(text_around_a_pem_does_not_matter),
        cmocka_unit_test(an_rsa_key_may_stand_in_the_older_form),
        cmocka_unit_test(a_private_key_is_refused),
        cmocka_unit_test(a_key_must_fit_its_algorithm),
        cmocka_unit_test(other_texts_are_no_keys),
        cmocka_unit_test(an_rsa_key_is_neither_short_nor_endless),
        cmocka_unit_test(a_signature_has_one_form),
        cmocka_unit_test(a_secret_without_an_algorithm_is_good_for_each),
        cmocka_unit_test(each_algorithm_has_a_name),
    };

    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
