#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "proxy/forwarded.h"

static struct rg_forwarded read_so_far;

/* Hops as "node|address|host|proto", separated by spaces; NULL: malformed. */
static void expect_with(int (*read)(struct rg_forwarded *, struct rg_str), const char *value,
                        const char *wanted)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf got = {0};

    read_so_far.n = 0;
    read_so_far.bytes = 0;
    int err = read(&read_so_far, rg_str_c(value));
    if (wanted == NULL) {
        if (err != RG_ESYNTAX)
            fail_msg("%s: %d", value, err);
        return;
    }
    if (err < 0)
        fail_msg("%s is refused", value);
    for (size_t i = 0; i < read_so_far.n; i++) {
        const struct rg_forwarded_hop *hop = &read_so_far.hops[i];
        rg_buf_addf(&got, "%s%.*s|%s|%.*s|%.*s", i > 0 ? " " : "", RG_STR_ARG(hop->node),
                    hop->address, RG_STR_ARG(hop->host), RG_STR_ARG(hop->proto));
    }
    rg_buf_add_char(&got, '\0');
    assert_string_equal(got.p, wanted);
}

static void expect(const char *value, const char *wanted)
{
    expect_with(rg_forwarded_read, value, wanted);
}

static void expect_x(const char *value, const char *wanted)
{
    expect_with(rg_forwarded_read_x, value, wanted);
}

/* ---- Forwarded ---- */

static void elements_are_read_in_all_their_forms(void **state)
{
    (void)state;
    expect("", "");
    expect("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60|192.0.2.60||http");
    expect("For=\"[2001:DB8:cafe::17]:4711\"", "[2001:DB8:cafe::17]:4711|2001:db8:cafe::17||");
    expect("for=\"192.0.2.43:47011\",for=\"_a:_b\"", "192.0.2.43:47011|192.0.2.43|| _a:_b|||");
    expect("for=_gazonk , FOR=unknown;HOST=example.com;by=_x", "_gazonk||| unknown||example.com|");
    expect("host=\"a.example:8080\" ; proto=https", "||a.example:8080|https");
    expect("for=\"[::ffff:192.0.2.1]\"", "[::ffff:192.0.2.1]|192.0.2.1||");
    expect("for=\"_SEVKISEK\";secret=\"a\\\"b,c;d\", for=192.0.2.9",
           "_SEVKISEK||| 192.0.2.9|192.0.2.9||");
}

static void empty_elements_and_pairs_are_no_stations(void **state)
{
    (void)state;
    expect(", ,for=192.0.2.1,,;", "192.0.2.1|192.0.2.1||");
    expect(";;for=192.0.2.1;;", "192.0.2.1|192.0.2.1||");
    expect(",", "");
}

static void what_is_malformed_says_nothing(void **state)
{
    static const char *const bad[] = {
        "for",
        "for=",
        "=192.0.2.1",
        "for =192.0.2.1",
        "for= 192.0.2.1",
        "for=192.0.2.1 x",
        "for=192.0.2.1;for=192.0.2.2",
        "proto=http;proto=http",
        "for=\"192.0.2.1",
        "for=\"192.0.2.1\"x",
        "for=\"192.0.2\\.1\"",
        "host=\"a\\\"\"",
        "for=192.0.2.1:80",
        "for=[::1]",
        "for=\"::1\"",
        "for=\"[192.0.2.1]\"",
        "for=192.0.2.256",
        "for=192.0.2",
        "for=example.com",
        "for=_",
        "for=\"_a b\"",
        "for=_a!",
        "for=\"192.0.2.1:\"",
        "for=\"192.0.2.1:65536\"",
        "for=\"192.0.2.1:x\"",
        "for=\"[::1]x\"",
        "for=\"[::1\"",
        "for=\"[]\"",
        "by=example.com",
        "for=192.0.2.1, \"garbage",
        "x=\"\001\"",
        "x=\"a\\",
        "for=192.0.2.1\r",
        "for=\"[fe80::1%eth0]\"",
        "192.0.2.1",
        "for=\"unknown:0x1\"",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(bad); i++)
        expect(bad[i], NULL);
}

static void lines_add_up_to_the_limits(void **state)
{
    (void)state;
    read_so_far.n = 0;
    read_so_far.bytes = 0;
    for (size_t i = 0; i < RG_FORWARDED_MAX_HOPS; i++)
        assert_int_equal(rg_forwarded_read(&read_so_far, RG_STR("for=192.0.2.1")), 0);
    assert_int_equal(read_so_far.n, RG_FORWARDED_MAX_HOPS);
    assert_int_equal(rg_forwarded_read(&read_so_far, RG_STR("for=192.0.2.1")), RG_EFULL);

    char *text = rg_alloc(RG_FORWARDED_MAX_BYTES);
    memset(text, ',', RG_FORWARDED_MAX_BYTES);
    read_so_far.n = 0;
    read_so_far.bytes = 0;
    assert_int_equal(rg_forwarded_read(&read_so_far, rg_str_n(text, RG_FORWARDED_MAX_BYTES)), 0);
    assert_int_equal(rg_forwarded_read(&read_so_far, RG_STR(",")), RG_EFULL);
    rg_free(text);
}

/* ---- X-Forwarded-For ---- */

static void lists_of_addresses_are_read_in_all_their_forms(void **state)
{
    (void)state;
    expect_x("", "");
    expect_x("192.0.2.1, 2001:DB8::1 ,[2001:db8::2],192.0.2.3:80,[2001:db8::4]:443",
             "192.0.2.1|192.0.2.1|| 2001:DB8::1|2001:db8::1|| [2001:db8::2]|2001:db8::2|| "
             "192.0.2.3:80|192.0.2.3|| [2001:db8::4]:443|2001:db8::4||");
    expect_x("unknown, _hidden,, ::ffff:192.0.2.1",
             "unknown||| _hidden||| ::ffff:192.0.2.1|192.0.2.1||");
}

static void a_list_with_anything_else_says_nothing(void **state)
{
    static const char *const bad[] = {
        "example.com", "192.0.2.1 192.0.2.2", "192.0.2.1, x", "192.0.2.1:",
        "::1%lo",      "\"192.0.2.1\"",       "[::1",         "192.0.2.1\t\001"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(bad); i++)
        expect_x(bad[i], NULL);
}

static void lists_of_addresses_have_the_same_limits(void **state)
{
    (void)state;
    read_so_far.n = 0;
    read_so_far.bytes = 0;
    for (size_t i = 0; i < RG_FORWARDED_MAX_HOPS; i++)
        assert_int_equal(rg_forwarded_read_x(&read_so_far, RG_STR("192.0.2.1")), 0);
    assert_int_equal(rg_forwarded_read_x(&read_so_far, RG_STR("192.0.2.1")), RG_EFULL);
}

/* ---- the client ---- */

/* Which hop, counted from the left; -1: none. */
static void assert_client(const char *value, int wanted)
{
    struct rg_networks *trusted = rg_networks_new();

    assert_int_equal(rg_networks_add(trusted, RG_STR("10.0.0.0/8"), NULL), 0);
    read_so_far.n = 0;
    read_so_far.bytes = 0;
    assert_int_equal(rg_forwarded_read_x(&read_so_far, rg_str_c(value)), 0);
    const struct rg_forwarded_hop *client = rg_forwarded_client(&read_so_far, trusted);
    assert_int_equal(client != NULL ? (int)(client - read_so_far.hops) : -1, wanted);
    rg_networks_free(&trusted);
}

static void the_client_is_the_last_who_is_not_trusted(void **state)
{
    (void)state;
    assert_client("", -1);
    assert_client("192.0.2.1", 0);
    assert_client("192.0.2.1, 192.0.2.2", 1);
    assert_client("192.0.2.1, 192.0.2.2, 10.0.0.1, 10.0.0.2", 1);
    assert_client("10.0.0.1, 10.0.0.2", 0);
    assert_client("10.0.0.9, 192.0.2.2, 10.0.0.1", 1);
}

static void who_hides_is_not_trusted(void **state)
{
    (void)state;
    assert_client("192.0.2.1, unknown, 10.0.0.1", 1);
    assert_client("192.0.2.1, _x", 1);
}

/* ---- writing ---- */

static void assert_written(void (*add)(struct rg_buf *, struct rg_str), const char *text,
                           const char *wanted)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};

    add(&out, rg_str_c(text));
    rg_buf_add_char(&out, '\0');
    assert_string_equal(out.p, wanted);
}

static void values_are_quoted_where_they_are_no_tokens(void **state)
{
    (void)state;
    assert_written(rg_forwarded_add_value, "127.0.0.1", "127.0.0.1");
    assert_written(rg_forwarded_add_value, "[2001:db8::7]", "\"[2001:db8::7]\"");
    assert_written(rg_forwarded_add_value, "a:80", "\"a:80\"");
    assert_written(rg_forwarded_add_value, "a\"b\\", "\"a\\\"b\\\\\"");
    assert_written(rg_forwarded_add_value, "", "\"\"");
}

static void addresses_are_written_as_nodes(void **state)
{
    (void)state;
    assert_written(rg_forwarded_add_address, "192.0.2.1", "192.0.2.1");
    assert_written(rg_forwarded_add_address, "2001:db8::1", "\"[2001:db8::1]\"");
    assert_written(rg_forwarded_add_address, "", "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_read_in_all_their_forms),
        cmocka_unit_test(empty_elements_and_pairs_are_no_stations),
        cmocka_unit_test(what_is_malformed_says_nothing),
        cmocka_unit_test(lines_add_up_to_the_limits),
        cmocka_unit_test(lists_of_addresses_are_read_in_all_their_forms),
        cmocka_unit_test(a_list_with_anything_else_says_nothing),
        cmocka_unit_test(lists_of_addresses_have_the_same_limits),
        cmocka_unit_test(the_client_is_the_last_who_is_not_trusted),
        cmocka_unit_test(who_hides_is_not_trusted),
        cmocka_unit_test(values_are_quoted_where_they_are_no_tokens),
        cmocka_unit_test(addresses_are_written_as_nodes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
