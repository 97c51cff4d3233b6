#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "auth/jwt.h"
#include "base/alloc.h"

#define SECRET RG_STR("mysecret")

/* Computed with another implementation of RFC 7515. */
static const struct {
    const char *alg;
    const char *token;
} known[] = {
    {"HS256", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJqb2huIiwibiI6MX0."
              "3TAvzGzMO16arcgb_Zd_5PHsQHS_-W7jpwIXTdAUWeg"},
    {"HS384", "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJqb2huIiwibiI6MX0."
              "2nD5ZIsXxLDC_kUWdROVbBNwVIVzQTF6dktejc3nEuysTlwTXaZM-tpJ9OCHYIR9"},
    {"HS512",
     "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJqb2huIiwibiI6MX0."
     "oR3q3aTjub2vREEKRNr0KDyI9vFVVgUF27In_M9BhgMlgmsTOTKyYbcWYeorkieJ0xeKKaJ9j0nO7L2b1_WDWg"},
};

static void every_hmac_algorithm_signs_as_others_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(known); i++) {
        RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
        struct rg_why why;
        assert_int_equal(
            rg_jwt_mint(known[i].alg, SECRET, RG_STR("{\"sub\":\"john\",\"n\":1}"), &out, &why), 0);
        rg_buf_add_char(&out, '\0');
        assert_string_equal(out.p, known[i].token);
    }
}

static void assert_refused(const char *alg, struct rg_str secret, struct rg_str claims,
                           const char *text)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_why why;

    assert_int_equal(rg_jwt_mint(alg, secret, claims, &out, &why), RG_EINVAL);
    assert_non_null(strstr(why.text, text));
    assert_int_equal(out.n, 0);
}

static void other_algorithms_are_refused(void **state)
{
    static const char *const algorithms[] = {"none", "RS256", "ES256", "hs256", "HS25", "", "dir"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(algorithms); i++)
        assert_refused(algorithms[i], SECRET, RG_STR("{}"), "the algorithm must be");
}

static void an_empty_secret_signs_nothing(void **state)
{
    (void)state;
    assert_refused("HS256", RG_STR(""), RG_STR("{}"), "the secret is empty");
    assert_refused("HS256", rg_str_c(NULL), RG_STR("{}"), "the secret is empty");
}

static void claims_must_be_a_json_object(void **state)
{
    (void)state;
    assert_refused("HS256", SECRET, RG_STR("[]"), "must be a JSON object");
    assert_refused("HS256", SECRET, RG_STR("\"sub\""), "must be a JSON object");
    assert_refused("HS256", SECRET, RG_STR("{"), "not JSON");
    assert_refused("HS256", SECRET, RG_STR(""), "not JSON");
    assert_refused("HS256", SECRET, rg_str_c(NULL), "not JSON");
    assert_refused("HS256", SECRET, RG_STR("{\"sub\":\"a\",\"sub\":\"b\"}"), "not JSON");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_hmac_algorithm_signs_as_others_do),
        cmocka_unit_test(other_algorithms_are_refused),
        cmocka_unit_test(an_empty_secret_signs_nothing),
        cmocka_unit_test(claims_must_be_a_json_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
