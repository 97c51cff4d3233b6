#include "definitions.h"
#include "proxy/service.h"

static struct rg_service_url url;

static void expect_url(const char *text, const char *host, unsigned port, bool is_https,
                       bool has_more)
{
    struct rg_why why = {0};

    if (rg_service_url_parse(rg_str_c(text), &url, &why) < 0)
        fail_msg("%s: %s", text, why.text);
    assert_string_equal(url.host, host);
    assert_int_equal(url.port, port);
    assert_int_equal(url.is_https, is_https);
    assert_int_equal(url.has_more, has_more);
}

static void a_service_is_a_host_maybe_with_scheme_and_port(void **state)
{
    (void)state;
    expect_url("localhost", "localhost", 0, false, false);
    expect_url(" orders-1.example_x ", "orders-1.example_x", 0, false, false);
    expect_url("10.0.0.7:8080", "10.0.0.7", 8080, false, false);
    expect_url("host:", "host", 0, false, false);
    expect_url("http://127.0.0.1", "127.0.0.1", 0, false, false);
    assert_true(url.has_scheme);
    expect_url("HTTPS://a.example:8443", "a.example", 8443, true, false);
    expect_url("a", "a", 0, false, false);
    assert_false(url.has_scheme);
}

static void addresses_of_ipv6_may_stand_in_brackets(void **state)
{
    (void)state;
    expect_url("[::1]", "::1", 0, false, false);
    expect_url("[::1]:80", "::1", 80, false, false);
    expect_url("https://[2001:db8::7]:443/", "2001:db8::7", 443, true, true);
    expect_url("::1", "::1", 0, false, false);
    expect_url("fe80::1%eth0", "fe80::1%eth0", 0, false, false);
}

static void what_else_a_url_has_is_dropped(void **state)
{
    (void)state;
    expect_url("http://127.0.0.1:1/base", "127.0.0.1", 1, false, true);
    expect_url("http://user:secret@host:9/p?q#f", "host", 9, false, true);
    expect_url("http://host?q=http://other", "host", 0, false, true);
    expect_url("host/path", "host", 0, false, true);
    expect_url("http://a@b@host", "host", 0, false, true);
}

static void what_names_no_host_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",           " ",
        "http://",    "https:///x",
        "ftp://a",    "kafka://x/y",
        "a b",        "a:b",
        "a:0",        "a:65536",
        "a:-1",       "a:80:90",
        "[::1",       "[]",
        "[a]",        "[::1]80",
        "[::1]x",     "::g",
        "a,b",        "a\nb",
        "1::2::3",    "http:a",
        "mailto:a@b", "http://a b/",
        "\xc3\xa9",   "http://ftp://a",
        "[1.2.3.4]",  "fe80::1%",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(wrong); i++) {
        struct rg_why why = {0};
        if (rg_service_url_parse(rg_str_c(wrong[i]), &url, &why) == 0)
            fail_msg("accepted: %s", wrong[i]);
        assert_true(rg_str_starts_with(rg_str_c(why.text), RG_STR("must be")));
    }
}

static void a_host_has_at_most_255_bytes(void **state)
{
    char text[RG_SERVICE_MAX_HOST + 2];

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_int_equal(rg_service_url_parse(rg_str_n(text, RG_SERVICE_MAX_HOST), &url, NULL), 0);
    assert_int_equal(strlen(url.host), RG_SERVICE_MAX_HOST);
    assert_int_equal(rg_service_url_parse(rg_str_n(text, RG_SERVICE_MAX_HOST + 1), &url, NULL),
                     RG_EINVAL);
}

static void expect_field(const char *host, unsigned port, const char *text)
{
    struct rg_buf out = {0};

    rg_service_add_host(&out, host, port);
    rg_buf_add_char(&out, '\0');
    assert_string_equal(out.p, text);
    rg_buf_done(&out);
}

static void the_field_host_always_has_the_port(void **state)
{
    (void)state;
    expect_field("127.0.0.1", 9100, "127.0.0.1:9100");
    expect_field("a.example", 80, "a.example:80");
    expect_field("::1", 80, "[::1]:80");
    expect_field("fe80::1%eth0", 443, "[fe80::1]:443");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_is_a_host_maybe_with_scheme_and_port),
        cmocka_unit_test(addresses_of_ipv6_may_stand_in_brackets),
        cmocka_unit_test(what_else_a_url_has_is_dropped),
        cmocka_unit_test(what_names_no_host_is_refused),
        cmocka_unit_test(a_host_has_at_most_255_bytes),
        cmocka_unit_test(the_field_host_always_has_the_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
