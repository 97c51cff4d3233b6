#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "push/bearer.h"

/* The tokens of a field, each in brackets. */
static void expect(const char *field, const char *tokens)
{
    struct rg_str rest = rg_str_c(field), token = {NULL, 0};
    struct rg_buf got = {0};

    while (rg_bearer_next(&rest, &token))
        rg_buf_addf(&got, "[%.*s]", RG_STR_ARG(token));
    rg_buf_add_char(&got, '\0');
    assert_string_equal(got.p, tokens);
    rg_buf_done(&got);
}

static void the_word_bearer_is_recognised_in_any_case(void **state)
{
    (void)state;
    expect("Bearer a.b.c", "[a.b.c]");
    expect("bearer a.b.c", "[a.b.c]");
    expect("BEARER  a.b.c ", "[a.b.c]");
}

static void a_token_without_a_scheme_counts(void **state)
{
    (void)state;
    expect("a.b.c", "[a.b.c]");
    expect(" nonsense ", "[nonsense]");
    expect("abc==", "[abc==]");
    expect("Bearer", "[Bearer]");
}

static void other_schemes_are_ignored(void **state)
{
    (void)state;
    expect("Basic eDp5", "");
    expect("Bearers a.b.c", "");
    expect("Digest username=\"ada\", realm=\"a b\", qop=\"auth,auth-int\", nc=1, x=", "[x=]");
    expect("Digest username=ada, Bearer t, opaque=x==", "[t]");
    expect("Bearer\ta.b.c\td", "[Bearer\ta.b.c\td]");
}

static void several_tokens_come_in_their_order(void **state)
{
    (void)state;
    expect("Bearer one,bearer two , three,,Basic x, BEARER four", "[one][two][three][four]");
    expect(",", "");
    expect("", "");
    expect(", ,Bearer ", "[Bearer]");
}

static void a_token_that_cannot_be_one_is_still_handed_on(void **state)
{
    (void)state;
    /* So that its check fails, instead of its being overlooked. */
    expect("Bearer a b", "[a b]");
    expect("Bearer a=b", "[a=b]");
}

static void no_field_has_no_token(void **state)
{
    struct rg_str rest = {NULL, 0}, token;

    (void)state;
    assert_false(rg_bearer_next(&rest, &token));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_word_bearer_is_recognised_in_any_case),
        cmocka_unit_test(a_token_without_a_scheme_counts),
        cmocka_unit_test(other_schemes_are_ignored),
        cmocka_unit_test(several_tokens_come_in_their_order),
        cmocka_unit_test(a_token_that_cannot_be_one_is_still_handed_on),
        cmocka_unit_test(no_field_has_no_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
