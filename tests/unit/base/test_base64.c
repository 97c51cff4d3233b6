#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/err.h"

/* RFC 4648 section 10, and the digits in which the two alphabets differ. */
static const struct {
    const char *plain, *standard, *url;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/", "-_-_"},
};

static void assert_content(const struct rg_buf *buf, const char *expected)
{
    assert_int_equal(buf->n, strlen(expected));
    if (buf->n > 0)
        assert_memory_equal(buf->p, expected, buf->n);
}

static void bytes_are_encoded_in_both_alphabets(void **state)
{
    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(vectors); i++) {
        struct rg_buf out = {0};
        rg_base64_add(&out, vectors[i].plain, strlen(vectors[i].plain));
        assert_content(&out, vectors[i].standard);
        rg_buf_clear(&out);
        rg_base64url_add(&out, vectors[i].plain, strlen(vectors[i].plain));
        assert_content(&out, vectors[i].url);
        rg_buf_done(&out);
    }
}

static void decoding_gives_back_what_was_encoded(void **state)
{
    unsigned char bytes[256], back[256];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 167 + 13);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        struct rg_buf text = {0};
        rg_base64url_add(&text, bytes, n);
        assert_int_equal(rg_base64url_decode(rg_buf_str(&text), back, n), n);
        assert_memory_equal(back, bytes, n);
        rg_buf_done(&text);
    }
}

static void padding_is_optional(void **state)
{
    char out[4];

    (void)state;
    assert_int_equal(rg_base64url_decode(RG_STR("Zg"), out, sizeof(out)), 1);
    assert_int_equal(rg_base64url_decode(RG_STR("Zg=="), out, sizeof(out)), 1);
    assert_int_equal(rg_base64url_decode(RG_STR("Zm8="), out, sizeof(out)), 2);
    assert_int_equal(rg_base64url_decode(RG_STR(""), out, sizeof(out)), 0);
}

static void what_is_not_base64url_is_refused(void **state)
{
    static const char *const bad[] = {
        "Z",      /* six bits are no byte */
        "Zm9vY",  /* the same at the end */
        "Zm+/",   /* the other alphabet */
        "Zm 8",   /* white space */
        "Zg===",  /* too much padding */
        "Zg=x",   /* padding in the middle */
        "Zh",     /* unused bits are not zero: the same byte would have two texts */
        "Zm9",    /* the same with two bytes */
        "Z\xc3g", /* beyond ASCII */
    };
    char out[8];

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(bad); i++)
        assert_int_equal(rg_base64url_decode(rg_str_c(bad[i]), out, sizeof(out)), RG_ESYNTAX);
}

static void each_alphabet_is_decoded_by_its_own(void **state)
{
    unsigned char out[4];

    (void)state;
    assert_int_equal(rg_base64_decode(RG_STR("+/+/"), out, sizeof(out)), 3);
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
    assert_int_equal(rg_base64url_decode(RG_STR("-_-_"), out, sizeof(out)), 3);
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
    assert_int_equal(rg_base64_decode(RG_STR("-_-_"), out, sizeof(out)), RG_ESYNTAX);
    assert_int_equal(rg_base64url_decode(RG_STR("+/+/"), out, sizeof(out)), RG_ESYNTAX);
}

static void a_result_that_does_not_fit_is_refused_and_nothing_is_written_behind(void **state)
{
    char out[4] = {1, 2, 3, 4};

    (void)state;
    assert_int_equal(rg_base64url_decode(RG_STR("Zm9v"), out, 3), 3);
    assert_int_equal(rg_base64url_decode(RG_STR("Zm9vYg"), out, 3), RG_EFULL);
    assert_int_equal(out[3], 4);
    assert_int_equal(rg_base64url_decode(RG_STR("Zg"), out, 0), RG_EFULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_encoded_in_both_alphabets),
        cmocka_unit_test(decoding_gives_back_what_was_encoded),
        cmocka_unit_test(padding_is_optional),
        cmocka_unit_test(what_is_not_base64url_is_refused),
        cmocka_unit_test(each_alphabet_is_decoded_by_its_own),
        cmocka_unit_test(a_result_that_does_not_fit_is_refused_and_nothing_is_written_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
