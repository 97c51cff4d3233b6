#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"

static void every_code_has_its_sentence(void **state)
{
    static const int own[] = {RG_EFULL, RG_EAGAIN, RG_ESYNTAX, RG_EGONE, RG_EINVAL, RG_ENOTFOUND};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(own); i++) {
        assert_string_not_equal(rg_strerror(own[i]), "unknown error");
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rg_strerror(own[i]), rg_strerror(own[k]));
    }
    assert_string_equal(rg_strerror(0), "success");
    assert_string_equal(rg_strerror(-ENOENT), "No such file or directory");
    assert_string_equal(rg_strerror(-3999), "unknown error");
    assert_string_equal(rg_strerror(-1000000), "unknown error");
    assert_string_equal(rg_strerror(17), "unknown error");
}

static void a_reason_has_a_place_and_a_sentence_and_keeps_the_code(void **state)
{
    struct rg_why why;

    (void)state;
    assert_int_equal(rg_why_set(&why, RG_EINVAL, "/0/oneOf", "%d of %s", 3, "them"), RG_EINVAL);
    assert_string_equal(why.place, "/0/oneOf");
    assert_string_equal(why.text, "3 of them");
    assert_int_equal(rg_why_set(NULL, RG_EFULL, "x", "y"), RG_EFULL);
}

static void what_does_not_fit_is_cut(void **state)
{
    char longer[1000];
    struct rg_why why;

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    rg_why_set(&why, RG_EINVAL, longer, "%s", longer);
    assert_int_equal(strlen(why.place), sizeof(why.place) - 1);
    assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_sentence),
        cmocka_unit_test(a_reason_has_a_place_and_a_sentence_and_keeps_the_code),
        cmocka_unit_test(what_does_not_fit_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
