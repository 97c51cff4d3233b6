#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "auth/seal.h"
#include "base/alloc.h"

#define SECRET RG_STR("a secret of some length")

static struct rg_buf sealed(const struct rg_seal *seal, const char *payload, size_t n)
{
    struct rg_buf token = {0};

    rg_seal_add(seal, payload, n, &token);
    return token;
}

static void what_is_sealed_opens_to_the_same_bytes(void **state)
{
    RG_CLEANUP(rg_seal_free) struct rg_seal *seal = rg_seal_new(SECRET, "test");
    char payload[RG_SEAL_MAX_PAYLOAD];
    char opened[RG_SEAL_MAX_PAYLOAD];

    (void)state;
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (char)(i * 7);
    for (size_t n = 0; n <= sizeof(payload); n++) {
        RG_CLEANUP(rg_buf_done) struct rg_buf token = sealed(seal, payload, n);
        memset(opened, 0, sizeof(opened));
        assert_int_equal(rg_seal_open(seal, rg_buf_str(&token), opened, n), 0);
        assert_memory_equal(opened, payload, n);
    }
}

static void no_changed_character_opens(void **state)
{
    RG_CLEANUP(rg_seal_free) struct rg_seal *seal = rg_seal_new(SECRET, "test");
    RG_CLEANUP(rg_buf_done) struct rg_buf token = sealed(seal, "payload!", 8);
    char opened[8] = "kept";

    (void)state;
    for (size_t i = 0; i < token.n; i++) {
        char before = token.p[i];
        token.p[i] = before == 'A' ? 'B' : 'A';
        assert_int_equal(rg_seal_open(seal, rg_buf_str(&token), opened, 8), RG_EINVAL);
        token.p[i] = before;
    }
    assert_string_equal(opened, "kept");
}

static void another_length_does_not_open(void **state)
{
    RG_CLEANUP(rg_seal_free) struct rg_seal *seal = rg_seal_new(SECRET, "test");
    RG_CLEANUP(rg_buf_done) struct rg_buf token = sealed(seal, "payload!", 8);
    char opened[RG_SEAL_MAX_PAYLOAD];

    (void)state;
    assert_int_equal(rg_seal_open(seal, rg_buf_str(&token), opened, 7), RG_EINVAL);
    assert_int_equal(rg_seal_open(seal, rg_buf_str(&token), opened, 9), RG_EINVAL);
    for (size_t n = 0; n < token.n; n++)
        assert_int_equal(rg_seal_open(seal, rg_str_n(token.p, n), opened, 8), RG_EINVAL);
    rg_buf_add_char(&token, 'A');
    assert_int_equal(rg_seal_open(seal, rg_buf_str(&token), opened, 8), RG_EINVAL);
    assert_int_equal(rg_seal_open(seal, RG_STR(""), opened, 8), RG_EINVAL);
    assert_int_equal(rg_seal_open(seal, RG_STR("not base64!"), opened, 8), RG_EINVAL);
}

static void a_much_too_long_token_does_not_open(void **state)
{
    RG_CLEANUP(rg_seal_free) struct rg_seal *seal = rg_seal_new(SECRET, "test");
    char token[4096];
    char opened[8];

    (void)state;
    memset(token, 'A', sizeof(token));
    assert_int_equal(rg_seal_open(seal, rg_str_n(token, sizeof(token)), opened, 8), RG_EINVAL);
}

static void a_secret_gives_the_same_key_everywhere(void **state)
{
    RG_CLEANUP(rg_seal_free) struct rg_seal *one = rg_seal_new(SECRET, "test");
    RG_CLEANUP(rg_seal_free) struct rg_seal *two = rg_seal_new(SECRET, "test");
    RG_CLEANUP(rg_buf_done) struct rg_buf token = sealed(one, "payload!", 8);
    char opened[8];

    (void)state;
    assert_int_equal(rg_seal_open(two, rg_buf_str(&token), opened, 8), 0);
}

static void another_secret_or_purpose_or_start_does_not_open(void **state)
{
    RG_CLEANUP(rg_seal_free) struct rg_seal *seal = rg_seal_new(SECRET, "test");
    RG_CLEANUP(rg_seal_free) struct rg_seal *secret = rg_seal_new(RG_STR("other"), "test");
    RG_CLEANUP(rg_seal_free) struct rg_seal *purpose = rg_seal_new(SECRET, "other");
    RG_CLEANUP(rg_seal_free) struct rg_seal *start1 = rg_seal_new(RG_STR(""), "test");
    RG_CLEANUP(rg_seal_free) struct rg_seal *start2 = rg_seal_new(RG_STR(""), "test");
    RG_CLEANUP(rg_buf_done) struct rg_buf token = sealed(seal, "payload!", 8);
    RG_CLEANUP(rg_buf_done) struct rg_buf random = sealed(start1, "payload!", 8);
    char opened[8];

    (void)state;
    assert_int_equal(rg_seal_open(secret, rg_buf_str(&token), opened, 8), RG_EINVAL);
    assert_int_equal(rg_seal_open(purpose, rg_buf_str(&token), opened, 8), RG_EINVAL);
    assert_int_equal(rg_seal_open(start1, rg_buf_str(&token), opened, 8), RG_EINVAL);
    assert_int_equal(rg_seal_open(start1, rg_buf_str(&random), opened, 8), 0);
    assert_int_equal(rg_seal_open(start2, rg_buf_str(&random), opened, 8), RG_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens_to_the_same_bytes),
        cmocka_unit_test(no_changed_character_opens),
        cmocka_unit_test(another_length_does_not_open),
        cmocka_unit_test(a_much_too_long_token_does_not_open),
        cmocka_unit_test(a_secret_gives_the_same_key_everywhere),
        cmocka_unit_test(another_secret_or_purpose_or_start_does_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
