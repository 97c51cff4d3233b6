#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/utf8.h"

static bool is_scalar_value(uint32_t cp)
{
    return cp <= 0x10ffff && !(cp >= 0xd800 && cp <= 0xdfff);
}

static void every_code_point_is_written_and_read_back(void **state)
{
    struct rg_buf out = {0};

    (void)state;
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        size_t expected = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        rg_buf_clear(&out);
        rg_utf8_add(&out, cp);
        assert_int_equal(out.n, expected);
        assert_int_equal(rg_utf8_sequence(out.p, out.n), is_scalar_value(cp) ? expected : 0);
        assert_int_equal(rg_utf8_sequence(out.p, out.n - 1), 0);
    }
    rg_buf_clear(&out);
    rg_utf8_add(&out, 0x20ac);
    assert_memory_equal(out.p, "\xe2\x82\xac", 3);
    rg_buf_done(&out);
}

/* All texts of three bytes (and 80 behind them) against the table of RFC 3629 section 4. */
static bool is_in_table(const unsigned char *b, size_t *n)
{
#define TAIL(c)          ((c) >= 0x80 && (c) <= 0xbf)
#define RANGE(c, lo, hi) ((c) >= (lo) && (c) <= (hi))
    if (b[0] <= 0x7f)
        return *n = 1, true;
    if (RANGE(b[0], 0xc2, 0xdf))
        return *n = 2, TAIL(b[1]);
    *n = 3;
    if (b[0] == 0xe0)
        return RANGE(b[1], 0xa0, 0xbf) && TAIL(b[2]);
    if (RANGE(b[0], 0xe1, 0xec) || RANGE(b[0], 0xee, 0xef))
        return TAIL(b[1]) && TAIL(b[2]);
    if (b[0] == 0xed)
        return RANGE(b[1], 0x80, 0x9f) && TAIL(b[2]);
    *n = 4;
    if (b[0] == 0xf0)
        return RANGE(b[1], 0x90, 0xbf) && TAIL(b[2]) && TAIL(b[3]);
    if (RANGE(b[0], 0xf1, 0xf3))
        return TAIL(b[1]) && TAIL(b[2]) && TAIL(b[3]);
    return b[0] == 0xf4 && RANGE(b[1], 0x80, 0x8f) && TAIL(b[2]) && TAIL(b[3]);
}

static void sequences_are_those_of_rfc_3629(void **state)
{
    unsigned char b[4] = {0, 0, 0, 0x80};

    (void)state;
    for (uint32_t i = 0; i < 1u << 24; i++) {
        size_t n;
        b[0] = (unsigned char)(i >> 16);
        b[1] = (unsigned char)(i >> 8);
        b[2] = (unsigned char)i;
        bool is_valid = is_in_table(b, &n);
        if (rg_utf8_sequence((const char *)b, 4) != (is_valid ? n : 0))
            fail_msg("%02x %02x %02x %02x", b[0], b[1], b[2], b[3]);
    }
    assert_int_equal(rg_utf8_sequence("\xf0\x9f\x98\x7f", 4), 0);
    assert_int_equal(rg_utf8_sequence("\xf0\x9f\x98\xc0", 4), 0);
    assert_int_equal(rg_utf8_sequence("a", 0), 0);
}

/* At every place of a text that is looked at eight bytes at a time. */
static void one_bad_byte_anywhere_makes_text_invalid(void **state)
{
    char text[32];

    (void)state;
    for (size_t n = 0; n <= sizeof(text); n++) {
        memset(text, 'a', sizeof(text));
        assert_true(rg_utf8_is_valid(rg_str_n(text, n)));
        for (size_t i = 0; i < n; i++) {
            text[i] = '\xff';
            assert_false(rg_utf8_is_valid(rg_str_n(text, n)));
            text[i] = 'a';
        }
        for (size_t i = 0; i + 1 < n; i++) {
            memcpy(text + i, "\xc3\xa9", 2);
            assert_true(rg_utf8_is_valid(rg_str_n(text, n)));
            assert_false(rg_utf8_is_valid(rg_str_n(text, i + 1)));
            memset(text + i, 'a', 2);
        }
    }
    assert_true(rg_utf8_is_valid((struct rg_str){NULL, 0}));
    assert_true(rg_utf8_is_valid(RG_STR("a\0b")));
}

/* Cut anywhere, valid text is the beginning of text; a byte that fits nowhere is seen at once. */
static void a_beginning_is_told_from_what_can_never_become_text(void **state)
{
    static const char text[] = "a\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf";
    static const size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 9, 9, 9, 9, 13, 13, 13, 13, 17};
    size_t got;

    (void)state;
    for (size_t n = 0; n < sizeof(text); n++) {
        assert_true(rg_utf8_is_beginning(rg_str_n(text, n), &got));
        assert_int_equal(got, whole[n]);
    }
    static const char *const hopeless[] = {"\x80",
                                           "\xc1",
                                           "\xf5",
                                           "\xc2"
                                           "a",
                                           "\xe0\x9f",
                                           "\xed\xa0",
                                           "\xe1\x80"
                                           "a",
                                           "\xf0\x8f",
                                           "\xf4\x90",
                                           "\xf1\x80\xc0",
                                           "\xf1\x80\x80"
                                           "a"};
    for (size_t i = 0; i < sizeof(hopeless) / sizeof(hopeless[0]); i++) {
        assert_false(rg_utf8_is_beginning(rg_str_c(hopeless[i]), &got));
        assert_int_equal(got, 0);
    }
    assert_false(rg_utf8_is_beginning(RG_STR("ab\xc2"
                                             "c"),
                                      &got));
    assert_int_equal(got, 2);
    assert_true(rg_utf8_is_beginning((struct rg_str){NULL, 0}, &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_is_written_and_read_back),
        cmocka_unit_test(sequences_are_those_of_rfc_3629),
        cmocka_unit_test(one_bad_byte_anywhere_makes_text_invalid),
        cmocka_unit_test(a_beginning_is_told_from_what_can_never_become_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
