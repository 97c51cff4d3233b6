#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/keyset.h"
#include "base/alloc.h"
#include "base/log.h"
#include "signer.h"

/* Of RFC 8037 appendix A.2 and RFC 7517 appendix A.1, with other kids. */
#define ED                                                                                         \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define P256                                                                                       \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","      \
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\""
#define OCT                                                                                        \
    "\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i\""

#define KEY(members) "{" members "}"
#define SET(keys)    "{\"keys\":[" keys "]}"

static struct rg_keyset *parse(const char *text)
{
    struct rg_why why;
    struct rg_keyset *set = rg_keyset_parse(rg_str_c(text), &why);

    if (set == NULL)
        fail_msg("%s: %s: %s", text, why.place, why.text);
    return set;
}

static size_t count(const char *text)
{
    struct rg_keyset *set = parse(text);
    size_t n = rg_keyset_count(set);

    rg_keyset_unref(&set);
    return n;
}

static void assert_refused(const char *text, const char *reason)
{
    struct rg_why why = {0};

    assert_null(rg_keyset_parse(rg_str_c(text), &why));
    if (strstr(why.text, reason) == NULL)
        fail_msg("%s: %s", text, why.text);
}

static void keys_are_found_by_their_kid(void **state)
{
    struct rg_keyset *set = parse(SET(
        KEY(ED ",\"kid\":\"a\"") "," KEY(P256 ",\"kid\":\"b\"") "," KEY(P256 ",\"kid\":\"c\"")));

    (void)state;
    assert_int_equal(rg_keyset_count(set), 3);
    const struct rg_key *key = rg_keyset_find(set, RG_STR("a"), RG_STR("EdDSA"));
    assert_non_null(key);
    assert_true(rg_key_allows(key, RG_STR("EdDSA")));
    assert_false(rg_key_allows(key, RG_STR("ES256")));
    assert_ptr_equal(rg_keyset_find(set, RG_STR("a"), RG_STR("ES256")), key);
    assert_ptr_not_equal(rg_keyset_find(set, RG_STR("b"), RG_STR("ES256")), key);
    assert_null(rg_keyset_find(set, RG_STR("d"), RG_STR("ES256")));
    assert_null(rg_keyset_find(set, RG_STR("A"), RG_STR("ES256")));
    assert_null(rg_keyset_find(set, RG_STR(""), RG_STR("ES256")));
    rg_keyset_unref(&set);
}

static void without_a_kid_only_one_key_can_be_meant(void **state)
{
    const struct rg_str none = {NULL, 0};
    struct rg_keyset *set = parse(SET(KEY(ED ",\"kid\":\"a\"") "," KEY(P256) "," KEY(P256)));

    (void)state;
    assert_non_null(rg_keyset_find(set, none, RG_STR("EdDSA")));
    assert_null(rg_keyset_find(set, none, RG_STR("ES256"))); /* one of two */
    assert_null(rg_keyset_find(set, none, RG_STR("RS256")));
    rg_keyset_unref(&set);
}

static void keys_that_check_no_signatures_are_left_out(void **state)
{
    static const char *const others[] = {
        KEY(ED ",\"use\":\"enc\""),
        KEY(ED ",\"use\":7"),
        KEY(ED ",\"key_ops\":[\"sign\"]"),
        KEY(ED ",\"key_ops\":[]"),
        KEY(ED ",\"key_ops\":\"verify\""),
        KEY(ED ",\"alg\":\"ES256\""),
        KEY(ED ",\"alg\":\"none\""),
        KEY(ED ",\"alg\":7"),
        KEY(P256 ",\"alg\":\"ES384\""),
        KEY(P256 ",\"alg\":\"ECDH-ES\""),
        "{}",
        "{\"kty\":\"EC\"}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"PQC\",\"alg\":\"ML-DSA-44\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
        "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IEyM\"}", /* not on the curve */
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11y=s3526iDZ8AiTo7Tu6KPAqv7D4\","
        "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}", /* not base64url */
        "{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}",
        "{\"kty\":\"oct\",\"k\":\"\"}",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(others); i++) {
        char text[1024];
        snprintf(text, sizeof(text), SET("%s," KEY(P256)), others[i]);
        if (count(text) != 1)
            fail_msg("%s is taken", others[i]);
        snprintf(text, sizeof(text), SET("%s"), others[i]);
        assert_refused(text, "no key that verifies signatures");
    }
    assert_int_equal(count(SET(KEY(ED ",\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"]"))), 1);
}

static void a_set_that_cannot_be_meant_is_refused(void **state)
{
    (void)state;
    assert_refused(SET(KEY(ED ",\"kid\":\"a\"") "," KEY(P256 ",\"kid\":\"a\"")), "another key");
    assert_refused(SET(KEY(P256 ",\"kid\":\"a\",\"d\":\"AQAB\"") "," KEY(ED)), "private key");
    assert_refused(SET(KEY("\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"p\":\"AQAB\"")),
                   "private key");
    assert_refused(SET(KEY(OCT) "," KEY(P256)), "secrets and public keys");
    assert_refused(SET(KEY(P256) "," KEY(OCT)), "secrets and public keys");
    assert_refused(SET("7"), "no JSON Web Key");
    assert_refused(SET(KEY(ED ",\"kid\":7")), "no JSON Web Key");
    assert_refused(SET(""), "no key that verifies signatures");
}

static void what_is_no_set_is_refused(void **state)
{
    (void)state;
    assert_refused("", "ends too early");
    assert_refused("<html></html>", "expected");
    assert_refused("[]", "not a JSON object");
    assert_refused(KEY(ED), "array");
    assert_refused("{\"keys\":{}}", "array");
    assert_refused("{\"keys\":[],\"keys\":[" KEY(ED) "]}", "duplicate");
    assert_refused(SET(KEY(ED ",\"x\":\"AQAB\"")), "duplicate");
}

static void secrets_alone_are_a_set(void **state)
{
    struct rg_keyset *set = parse(SET(KEY(OCT ",\"alg\":\"HS256\",\"kid\":\"a\"")));

    (void)state;
    const struct rg_key *key = rg_keyset_find(set, RG_STR("a"), RG_STR("HS256"));
    assert_true(rg_key_is_symmetric(key));
    assert_true(rg_key_allows(key, RG_STR("HS256")));
    assert_false(rg_key_allows(key, RG_STR("HS512")));
    rg_keyset_unref(&set);
    /* Without an algorithm a secret is good for the hashes that it is long enough for. */
    set = parse(SET(KEY(OCT)));
    key = rg_keyset_find(set, (struct rg_str){NULL, 0}, RG_STR("HS256"));
    assert_true(rg_key_allows(key, RG_STR("HS384")));
    assert_false(rg_key_allows(key, RG_STR("HS512")));
    rg_keyset_unref(&set);
}

static void a_set_has_limits(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    struct rg_why why;

    (void)state;
    rg_buf_add_c(&text, "{\"keys\":[");
    for (int i = 0; i < RG_KEYSET_MAX_KEYS; i++)
        rg_buf_addf(&text, "%s" KEY(ED ",\"kid\":\"%d\""), i > 0 ? "," : "", i);
    size_t inside = text.n;
    rg_buf_add_c(&text, "]}");
    struct rg_keyset *set = rg_keyset_parse(rg_buf_str(&text), &why);
    assert_int_equal(rg_keyset_count(set), RG_KEYSET_MAX_KEYS);
    rg_keyset_unref(&set);
    text.n = inside;
    rg_buf_add_c(&text, "," KEY(ED) "]}");
    assert_null(rg_keyset_parse(rg_buf_str(&text), &why));
    assert_string_equal(why.text, "has more than 100 keys");
    while (text.n <= RG_KEYSET_MAX_BYTES)
        rg_buf_add_char(&text, ' ');
    assert_null(rg_keyset_parse(rg_buf_str(&text), &why));
    assert_string_equal(why.text, "is longer than 1048576 bytes");
}

static void a_set_knows_its_text(void **state)
{
    struct rg_keyset *set = parse(SET(KEY(ED)));
    struct rg_keyset *other = rg_keyset_ref(set);

    (void)state;
    assert_true(rg_keyset_is_from(set, RG_STR(SET(KEY(ED)))));
    assert_false(rg_keyset_is_from(set, RG_STR(SET(KEY(ED)) " ")));
    rg_keyset_unref(&set);
    assert_null(set);
    assert_int_equal(rg_keyset_count(other), 1);
    rg_keyset_unref(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_by_their_kid),
        cmocka_unit_test(without_a_kid_only_one_key_can_be_meant),
        cmocka_unit_test(keys_that_check_no_signatures_are_left_out),
        cmocka_unit_test(a_set_that_cannot_be_meant_is_refused),
        cmocka_unit_test(what_is_no_set_is_refused),
        cmocka_unit_test(secrets_alone_are_a_set),
        cmocka_unit_test(a_set_has_limits),
        cmocka_unit_test(a_set_knows_its_text),
    };

    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
