#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "http/ws_extension.h"

#define OURS    "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
#define OURS_15 OURS "; server_max_window_bits=15"

static struct rg_request req;

static void given(const char *first, const char *second)
{
    req.fields_n = 0;
    req.fields[req.fields_n++] =
        (struct rg_http_field){RG_STR("Sec-WebSocket-Extensions"), rg_str_c(first)};
    req.fields[req.fields_n++] = (struct rg_http_field){RG_STR("Sec-WebSocket-Key"), RG_STR(",;=")};
    if (second != NULL)
        req.fields[req.fields_n++] =
            (struct rg_http_field){RG_STR("sec-websocket-extensions"), rg_str_c(second)};
}

/* The fields make a sound handshake and are answered so; NULL: no offer is taken. */
static void expect(const char *first, const char *second, const char *answer)
{
    struct rg_buf got = {0};
    struct rg_why why;

    given(first, second);
    if (rg_ws_check_extensions(&req, &why) != 0)
        fail_msg("refused: %s", first);
    if (rg_ws_accept_deflate(&req, &got) != (answer != NULL))
        fail_msg("%s", first);
    if (answer == NULL)
        assert_int_equal(got.n, 0);
    else if (!rg_str_eq(rg_buf_str(&got), rg_str_c(answer)))
        fail_msg("%s is answered %.*s", first, (int)got.n, got.p);
    rg_buf_done(&got);
}

static void offers_that_browsers_make_are_taken(void **state)
{
    (void)state;
    expect("permessage-deflate; client_max_window_bits", NULL, OURS);
    expect("permessage-deflate", NULL, OURS);
    expect("x-webkit-deflate-frame, permessage-deflate", NULL, OURS);
}

static void each_parameter_of_the_rfc_is_known(void **state)
{
    (void)state;
    expect("permessage-deflate; server_no_context_takeover", NULL, OURS);
    expect("permessage-deflate; client_no_context_takeover", NULL, OURS);
    expect("permessage-deflate;client_max_window_bits=8", NULL, OURS);
    expect("permessage-deflate;client_max_window_bits=15", NULL, OURS);
    expect("permessage-deflate;server_max_window_bits=15", NULL, OURS_15);
    expect("permessage-deflate ;\tserver_max_window_bits = \"15\"", NULL, OURS_15);
    expect("permessage-deflate;server_max_window_bits=\"\\1\\5\"", NULL, OURS_15);
    expect("permessage-deflate; client_max_window_bits; server_no_context_takeover; "
           "server_max_window_bits=15; client_no_context_takeover",
           NULL, OURS_15);
}

/* RFC 7692 7.1: unknown, repeated and wrong parameters. */
static void offers_with_wrong_parameters_are_declined(void **state)
{
    static const char *const offers[] = {
        "permessage-deflate; unknown",
        "permessage-deflate; Client_max_window_bits",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=\"true\"",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=09",
        "permessage-deflate; client_max_window_bits=a",
        "permessage-deflate; client_max_window_bits=100",
        "permessage-deflate; client_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=\"015\"",
        "permessage-deflate-frame",
        "permessage-bzip2",
        "",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(offers); i++)
        expect(offers[i], NULL, NULL);
}

/* What was compressed for everybody does not fit into a smaller window. */
static void a_smaller_window_is_declined(void **state)
{
    (void)state;
    expect("permessage-deflate; server_max_window_bits=14", NULL, NULL);
    expect("permessage-deflate; server_max_window_bits=8", NULL, NULL);
}

static void the_first_offer_that_fits_is_taken(void **state)
{
    (void)state;
    expect("permessage-deflate; server_max_window_bits=9, permessage-deflate", NULL, OURS);
    expect("permessage-deflate; x=1, , permessage-deflate; server_max_window_bits=15, "
           "permessage-deflate",
           NULL, OURS_15);
    expect("permessage-deflate; server_max_window_bits=9", "other, permessage-deflate", OURS);
    expect("permessage-deflate", "permessage-deflate; server_max_window_bits=15", OURS);
}

/* RFC 6455 9.1: what is no list of extensions fails the handshake. */
static void what_is_no_list_of_extensions_is_refused(void **state)
{
    static const char *const fields[] = {
        ";",
        "=",
        "a b",
        "a;",
        "a;;b",
        "a; b=",
        "a; b=;c",
        "a; b=c d",
        "a; b=\"",
        "a; b=\"c",
        "a; b=\"\"",
        "a; b=\"c d\"",
        "a; b=\"c\\\"",
        "a; b=\"c\"d",
        "a; b==c",
        "a; \"b\"",
        "\"a\"",
        "a, b; c=1; ,d",
        "a/b",
        "a\x80",
        "permessage-deflate; server_max_window_bits=",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(fields); i++) {
        struct rg_why why;
        given(fields[i], NULL);
        if (rg_ws_check_extensions(&req, &why) != -400)
            fail_msg("%s", fields[i]);
        given("permessage-deflate", fields[i]);
        if (rg_ws_check_extensions(&req, NULL) != -400)
            fail_msg("%s", fields[i]);
    }
}

static void without_the_field_nothing_is_taken(void **state)
{
    struct rg_buf got = {0};

    (void)state;
    req.fields_n = 0;
    assert_int_equal(rg_ws_check_extensions(&req, NULL), 0);
    assert_false(rg_ws_accept_deflate(&req, &got));
    assert_int_equal(got.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_that_browsers_make_are_taken),
        cmocka_unit_test(each_parameter_of_the_rfc_is_known),
        cmocka_unit_test(offers_with_wrong_parameters_are_declined),
        cmocka_unit_test(a_smaller_window_is_declined),
        cmocka_unit_test(the_first_offer_that_fits_is_taken),
        cmocka_unit_test(what_is_no_list_of_extensions_is_refused),
        cmocka_unit_test(without_the_field_nothing_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
