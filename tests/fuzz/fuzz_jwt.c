/*
 * Anything as a token, as the claims of a token that is signed, as its header, and as a key set.
 * The first byte says which. No token is taken that our keys have not signed; what claims are taken
 * is an object that says when it ends.
 */
#include <openssl/hmac.h>

#include "auth/jws.h"
#include "auth/keyset.h"
#include "auth/verifier.h"
#include "base/alloc.h"
#include "base/base64.h"
#include "base/log.h"
#include "event/json.h"

#define SECRET RG_STR("a secret of thirty-two bytes !!!")
#define NOW    INT64_C(1700000000)

/* The one of RFC 8037 appendix A.2, and one with the secret. */
#define PUBLIC_SET                                                                                 \
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\","                               \
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"                                      \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"b\","                                             \
    "\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","                                       \
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}]}"

static struct rg_verifier *verifier;
static struct rg_keyset *keys;

static void prepare(void)
{
    const struct rg_verifier_settings settings = {
        .alg = "HS256", .key = SECRET, .session_field = "/a/0/b~1", .leeway_s = 5};

    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    verifier = rg_verifier_new(&settings, NULL);
    keys = rg_keyset_parse(RG_STR(PUBLIC_SET), NULL);
    rg_assert(verifier != NULL && keys != NULL);
}

/* Appends the dot and what signs all before it. */
static void sign(struct rg_buf *token)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n;

    HMAC(EVP_sha256(), SECRET.p, (int)SECRET.n, (const unsigned char *)token->p, token->n, mac, &n);
    rg_buf_add_char(token, '.');
    rg_base64url_add(token, mac, n);
}

static bool is_signed(struct rg_str token)
{
    const char *dot = memrchr(token.p, '.', token.n);
    struct rg_buf again = {0};

    if (dot == NULL)
        return false;
    rg_buf_add(&again, token.p, (size_t)(dot - token.p));
    sign(&again);
    bool is = rg_str_eq(rg_buf_str(&again), token);
    rg_buf_done(&again);
    return is;
}

/* What was taken must hold what the header promises. */
static void use_claims(struct rg_claims *claims)
{
    struct rg_json root, exp;

    rg_assert(claims->exp_s > NOW);
    rg_assert(rg_json_check(claims->text, &root, NULL) == 0 && root.kind == RG_JSON_OBJECT);
    exp = rg_json_member(root, RG_STR("exp"));
    rg_assert(exp.kind == RG_JSON_NUMBER);
}

static void check(struct rg_str token)
{
    struct rg_claims *claims = NULL;
    struct rg_why why;
    int err = rg_verifier_check_at(verifier, token, NOW, &claims, &why);

    rg_assert(err == 0 || err == RG_EDENIED);
    rg_assert((err == 0) == (claims != NULL));
    if (err < 0)
        return;
    rg_assert(is_signed(token));
    use_claims(claims);
    rg_claims_unref(&claims);
}

static void check_against_set(const struct rg_keyset *set, struct rg_str token)
{
    struct rg_jws jws;

    if (rg_jws_read(token, &jws) == 0) {
        struct rg_str alg = rg_buf_str(&jws.alg);
        struct rg_str kid = jws.has_kid ? rg_buf_str(&jws.kid) : (struct rg_str){NULL, 0};
        const struct rg_key *key = rg_keyset_find(set, kid, alg);
        if (key != NULL && rg_key_allows(key, alg))
            rg_assert(rg_key_verify(key, alg, token) < 0 || rg_key_is_symmetric(key));
    }
    rg_jws_done(&jws);
}

/* A token of ours with this header and these claims. */
static void check_made(struct rg_str header, struct rg_str claims)
{
    struct rg_buf token = {0};

    rg_base64url_add(&token, header.p, header.n);
    rg_buf_add_char(&token, '.');
    rg_base64url_add(&token, claims.p, claims.n);
    sign(&token);
    check(rg_buf_str(&token));
    check_against_set(keys, rg_buf_str(&token));
    rg_buf_done(&token);
}

static void read_set(struct rg_str text)
{
    struct rg_why why = {0};
    struct rg_keyset *set = rg_keyset_parse(text, &why);

    rg_assert((set != NULL) == (why.text[0] == '\0'));
    if (set == NULL)
        return;
    rg_assert(rg_keyset_count(set) > 0 && rg_keyset_count(set) <= RG_KEYSET_MAX_KEYS);
    check_against_set(set, RG_STR("eyJhbGciOiJIUzI1NiJ9.e30.YQ"));
    check_against_set(set, RG_STR("eyJhbGciOiJFUzI1NiIsImtpZCI6ImIifQ.e30.YQ"));
    rg_keyset_unref(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (verifier == NULL)
        prepare();
    if (n == 0)
        return 0;

    struct rg_str text = {(const char *)data + 1, n - 1};
    switch (data[0]) {
    case 't':
        check(text);
        check_against_set(keys, text);
        break;
    case 'c':
        check_made(RG_STR("{\"alg\":\"HS256\"}"), text);
        break;
    case 'h':
        check_made(text, RG_STR("{\"exp\":4e9}"));
        break;
    case 'k':
        read_set(text);
        break;
    default:
        break;
    }
    return 0;
}
