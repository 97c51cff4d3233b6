/*
 * Keys against the vectors of Project Wycheproof, whose every valid signature must be taken and
 * whose every other one refused; skipped where they are not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "auth/jws.h"
#include "auth/keyset.h"
#include "base/alloc.h"
#include "base/log.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wycheproof_signature_is_judged_rightly),
        cmocka_unit_test(every_wycheproof_key_set_is_judged_rightly),
    };

    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
