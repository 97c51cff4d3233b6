#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/jws.h"
#include "base/alloc.h"
#include "base/base64.h"

/* header, payload and signature, each of them encoded. */
static int read(struct rg_str header, struct rg_str payload, struct rg_jws *jws)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};

    rg_base64url_add(&token, header.p, header.n);
    rg_buf_add_char(&token, '.');
    rg_base64url_add(&token, payload.p, payload.n);
    rg_buf_add_c(&token, ".c2lnbmF0dXJl");
    RG_CLEANUP(rg_free_ptr) char *copy = rg_strndup(token.p, token.n);
    return rg_jws_read(rg_str_n(copy, token.n), jws);
}

static int read_header(const char *header)
{
    RG_CLEANUP(rg_jws_done) struct rg_jws jws = {0};

    return read(rg_str_c(header), RG_STR("{}"), &jws);
}

static int read_token(const char *token)
{
    RG_CLEANUP(rg_jws_done) struct rg_jws jws = {0};

    return rg_jws_read(rg_str_c(token), &jws);
}

static void a_token_is_algorithm_kid_and_payload(void **state)
{
    RG_CLEANUP(rg_jws_done) struct rg_jws jws = {0};

    (void)state;
    assert_int_equal(
        read(RG_STR(" {\"kid\":\"k \\u00e4\", \"alg\":\"ES256\"}\n"), RG_STR("\0\xff x"), &jws), 0);
    assert_true(rg_str_eq(rg_buf_str(&jws.alg), RG_STR("ES256")));
    assert_true(jws.has_kid);
    assert_true(rg_str_eq(rg_buf_str(&jws.kid), RG_STR("k \xc3\xa4")));
    assert_true(rg_str_eq(rg_buf_str(&jws.payload), RG_STR("\0\xff x")));
}

static void a_kid_may_be_empty_or_missing(void **state)
{
    struct rg_jws jws;

    (void)state;
    assert_int_equal(read(RG_STR("{\"alg\":\"a\"}"), RG_STR(""), &jws), 0);
    assert_false(jws.has_kid);
    assert_int_equal(jws.payload.n, 0);
    rg_jws_done(&jws);
    assert_int_equal(read(RG_STR("{\"alg\":\"a\",\"kid\":\"\"}"), RG_STR(""), &jws), 0);
    assert_true(jws.has_kid);
    assert_int_equal(jws.kid.n, 0);
    rg_jws_done(&jws);
}

static void other_forms_are_refused(void **state)
{
    static const char *const tokens[] = {
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "foobar",
        "eyJhbGciOiJhIn0.e30",       /* two parts */
        "eyJhbGciOiJhIn0.e30.",      /* no signature */
        "eyJhbGciOiJhIn0.e30.YQ.YQ", /* four parts */
        ".e30.YQ",                   /* no header */
        "eyJhbGciOiJhIn0.e30.YQ==",  /* padding */
        "eyJhbGciOiJhIn0=.e30.YQ",   /* padding */
        "eyJhbGciOiJhIn0.e3A=.YQ",   /* padding */
        "eyJhbGciOiJhIn0.e30 .YQ",   /* white space */
        "eyJhbGciOiJhIn0.e30.YQ\n",  /* white space */
        "eyJhbGciOiJhIn0.e3+.YQ",    /* base64 */
        "eyJhbGciOiJhIn0.e3/.YQ",    /* base64 */
        "eyJhbGciOiJhIn0.e31.YQ",    /* bits that are not used */
        "eyJhbGciOiJhIn0.e.YQ",      /* half a byte */
        "eyJhbGciOiJhIn0.e30.Y",     /* half a byte */
        "eyJhbGciOiJhIn0.e30.\xc3\xa4\xc3\xa4",
    };

    (void)state;
    assert_int_equal(read_token("eyJhbGciOiJhIn0.e30.YQ"), 0);
    for (size_t i = 0; i < RG_COUNT_OF(tokens); i++)
        assert_int_equal(read_token(tokens[i]), RG_ESYNTAX);
    assert_int_equal(read_token(NULL), RG_ESYNTAX);
}

static void a_header_must_say_one_algorithm(void **state)
{
    static const char *const headers[] = {
        "",
        "{}",
        "[]",
        "\"alg\"",
        "null",
        "{\"alg\":null}",
        "{\"alg\":7}",
        "{\"alg\":[\"HS256\"]}",
        "{\"alg\":\"HS256\",\"alg\":\"none\"}",
        "{\"alg\":\"HS256\",\"al\\u0067\":\"none\"}",
        "{\"alg\":\"HS256\",\"x\":{\"y\":1,\"y\":2}}",
        "{\"alg\":\"HS256\\u0000\"}",
        "{\"alg\":\"HS256\",\"kid\":1}",
        "{\"alg\":\"HS256\",\"kid\":null}",
        "{\"alg\":\"HS256\"}{}",
        "{\"alg\":\"HS256\"",
        "{'alg':'HS256'}",
        "\xef\xbb\xbf{\"alg\":\"HS256\"}",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(headers); i++)
        assert_int_equal(read_header(headers[i]), RG_ESYNTAX);
}

static void what_must_be_understood_is_refused(void **state)
{
    (void)state;
    assert_int_equal(read_header("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}"), RG_EINVAL);
    assert_int_equal(read_header("{\"alg\":\"HS256\",\"crit\":[]}"), RG_EINVAL);
    assert_int_equal(read_header("{\"alg\":\"HS256\",\"crit\":null}"), RG_EINVAL);
    assert_int_equal(read_header("{\"alg\":\"HS256\",\"b64\":false}"), RG_EINVAL);
    assert_int_equal(read_header("{\"alg\":\"HS256\",\"x\":\"y\",\"typ\":\"at+jwt\"}"), 0);
}

static void a_header_is_neither_deep_nor_long(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf header = {0};

    (void)state;
    rg_buf_add_c(&header, "{\"alg\":\"a\",\"x\":");
    for (int i = 0; i < 500; i++)
        rg_buf_add_char(&header, '[');
    for (int i = 0; i < 500; i++)
        rg_buf_add_char(&header, ']');
    rg_buf_add(&header, "}", 2);
    assert_int_equal(read_header(header.p), RG_ESYNTAX);
    rg_buf_clear(&header);
    rg_buf_add_c(&header, "{\"alg\":\"a\",\"x\":\"");
    for (int i = 0; i < 5000; i++)
        rg_buf_add_char(&header, 'x');
    rg_buf_add(&header, "\"}", 3);
    assert_int_equal(read_header(header.p), RG_ESYNTAX);
}

static void a_token_has_a_longest_length(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};
    struct rg_jws jws;

    (void)state;
    rg_buf_add_c(&token, "eyJhbGciOiJhIn0.");
    while (token.n < RG_JWS_MAX_BYTES - 4)
        rg_buf_add_char(&token, 'A');
    rg_buf_add_c(&token, ".AAA");
    assert_int_equal(token.n, RG_JWS_MAX_BYTES);
    assert_int_equal(rg_jws_read(rg_buf_str(&token), &jws), 0);
    rg_jws_done(&jws);
    rg_buf_add_c(&token, "A");
    assert_int_equal(rg_jws_read(rg_buf_str(&token), &jws), RG_EFULL);
    rg_jws_done(&jws);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_algorithm_kid_and_payload),
        cmocka_unit_test(a_kid_may_be_empty_or_missing),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test(a_header_must_say_one_algorithm),
        cmocka_unit_test(what_must_be_understood_is_refused),
        cmocka_unit_test(a_header_is_neither_deep_nor_long),
        cmocka_unit_test(a_token_has_a_longest_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
