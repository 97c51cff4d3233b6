#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "proxy/outgoing.h"

#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define PARENT   "00-" TRACE_ID "-b7ad6b7169203331-01"

/* ---- a request, an API, and what becomes of them ---- */

static struct {
    struct rg_outgoing_settings settings;
    struct rg_api api;
    struct rg_endpoint endpoint;
    struct rg_request req;
    struct rg_trace trace;
    struct rg_outgoing_client client;
    struct rg_buf lines;   /* of the request; fields are slices of it */
    struct rg_buf scratch; /* of the last call */
    struct rg_http_field fields[RG_OUTGOING_MAX];
    size_t n;
    struct rg_buf got; /* the last result, as lines */
} t;

static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    t.settings = (struct rg_outgoing_settings){
        .writes = RG_WRITES_FORWARDED, .by = "127.0.0.1", .via = "rgate"};
    t.api.dialect = RG_DIALECT_APIS;
    t.endpoint = (struct rg_endpoint){.api = &t.api, .host = (char *)"127.0.0.1:9100"};
    t.req = (struct rg_request){.method = RG_GET, .minor = 1};
    t.client = (struct rg_outgoing_client){.req = &t.req, .peer = "192.0.2.7", .trace = &t.trace};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct rg_networks *trusted = (struct rg_networks *)t.settings.trusted;
    struct rg_claims *claims = (struct rg_claims *)t.client.claims;

    rg_networks_free(&trusted);
    rg_claims_unref(&claims);
    rg_buf_done(&t.lines);
    rg_buf_done(&t.scratch);
    rg_buf_done(&t.got);
    return 0;
}

static __attribute__((unused)) void use_trusted(const char *network)
{
    struct rg_networks *trusted = rg_networks_new();

    assert_int_equal(rg_networks_add(trusted, rg_str_c(network), NULL), 0);
    t.settings.trusted = trusted;
}

static __attribute__((unused)) void use_claims(const char *json)
{
    struct rg_claims *old = (struct rg_claims *)t.client.claims;

    rg_claims_unref(&old);
    t.client.claims = rg_claims_new(rg_str_c(json), 0, RG_STR(""), RG_STR(""));
}

/* "Name: value" lines, each with LF. */
static void read_lines(const char *lines)
{
    rg_buf_clear(&t.lines);
    rg_buf_add_c(&t.lines, lines);
    struct rg_str rest = rg_buf_str(&t.lines);
    t.req.fields_n = 0;
    while (rest.n > 0) {
        struct rg_str value = rg_str_split(&rest, '\n');
        struct rg_str name = rg_str_split(&value, ':');
        assert_in_range(t.req.fields_n, 0, RG_MAX_FIELDS_PER_MESSAGE - 1);
        t.req.fields[t.req.fields_n++] =
            (struct rg_http_field){name, value.p != NULL ? rg_str_trim(value) : RG_STR("")};
    }
}

static void run(bool keeps_upgrade)
{
    rg_trace_begin(&t.req, &t.trace);
    rg_buf_done(&t.scratch);
    t.n = rg_outgoing_fields(&t.settings, &t.endpoint, &t.client, keeps_upgrade, &t.scratch,
                             t.fields);
}

static struct rg_str got_field(const char *name)
{
    for (size_t i = 0; i < t.n; i++) {
        if (rg_str_eq_nocase(t.fields[i].name, rg_str_c(name)))
            return t.fields[i].value;
    }
    return rg_str_c(NULL);
}

/* The result as lines, without the trace, which is never the same. */
static const char *got_lines(void)
{
    rg_buf_clear(&t.got);
    for (size_t i = 0; i < t.n; i++) {
        if (!rg_str_eq(t.fields[i].name, RG_STR("traceparent")))
            rg_buf_addf(&t.got, "%.*s: %.*s\n", RG_STR_ARG(t.fields[i].name),
                        RG_STR_ARG(t.fields[i].value));
    }
    rg_buf_add_char(&t.got, '\0');
    return t.got.p;
}

static void expect(const char *lines, const char *wanted)
{
    read_lines(lines);
    run(false);
    assert_string_equal(got_lines(), wanted);
}

static void assert_value(const char *name, const char *wanted)
{
    struct rg_str value = got_field(name);

    if (wanted == NULL) {
        assert_null(value.p);
        return;
    }
    assert_non_null(value.p);
    assert_int_equal(value.n, strlen(wanted));
    assert_memory_equal(value.p, wanted, value.n);
}

/* ---- the client's ---- */

static void what_is_end_to_end_goes_on_in_its_order(void **state)
{
    (void)state;
    expect("Host: a\nAuthorization: Bearer x\nCookie: a=b\nX-A: 1\nx-a: 2\nUser-Agent: u\n",
           "host: 127.0.0.1:9100\nAuthorization: Bearer x\nCookie: a=b\nX-A: 1\nx-a: 2\n"
           "User-Agent: u\nforwarded: for=192.0.2.7;by=127.0.0.1\n");
}

static void what_is_of_the_hop_stays_here(void **state)
{
    (void)state;
    expect("host: a\nKeep-Alive: 5\nProxy-Connection: x\nTE: trailers\nTrailer: x\nUpgrade: h2c\n"
           "HTTP2-Settings: x\nExpect: 100-continue\nProxy-Authorization: x\nProxy-Anything: x\n"
           "Proxy: x\nContent-Length: 5\nTransfer-Encoding: chunked\nContent_Length: 6\nb: 1\n",
           "host: 127.0.0.1:9100\nb: 1\nforwarded: for=192.0.2.7;by=127.0.0.1\n");
}

static void what_connection_names_stays_here(void **state)
{
    (void)state;
    expect("connection: keep-alive, X-Hop ,,x_other\nx-hop: 1\nx-b: 2\nX-Hop: 3\nx-other: 4\n"
           "Connection: x-B\nc: 5\n",
           "host: 127.0.0.1:9100\nc: 5\nforwarded: for=192.0.2.7;by=127.0.0.1\n");
}

static void nothing_of_ours_can_be_named_away(void **state)
{
    (void)state;
    t.settings.writes |= RG_WRITES_REQUEST_ID;
    expect("Connection: host, forwarded, traceparent, x-request-id\nhost: a\n"
           "x-request-id: 01234567890123456789\n",
           "host: 127.0.0.1:9100\nforwarded: for=192.0.2.7;by=127.0.0.1\n"
           "x-request-id: 01234567890123456789\n");
    assert_int_equal(got_field("traceparent").n, RG_TRACEPARENT_LEN);
}

static void crumbs_of_a_cookie_become_one(void **state)
{
    (void)state;
    t.req.is_h2 = true;
    expect("cookie: a=1\nx: 1\ncookie: b=2\ncookie: c=3\n",
           "host: 127.0.0.1:9100\ncookie: a=1; b=2; c=3\nx: 1\n"
           "forwarded: for=192.0.2.7;by=127.0.0.1\n");
}

/* ---- ours ---- */

static void the_clients_forwarded_is_replaced(void **state)
{
    (void)state;
    read_lines("Forwarded: for=9.9.9.9\nforwarded: for=8.8.8.8\n");
    run(false);
    assert_value("forwarded", "for=192.0.2.7;by=127.0.0.1");
    assert_int_equal(t.n, 3); /* host, forwarded, traceparent */
}

static void addresses_of_ipv6_are_quoted(void **state)
{
    (void)state;
    t.client.peer = "2001:db8::1";
    t.settings.by = "[2001:db8::7]";
    read_lines("");
    run(false);
    assert_value("forwarded", "for=\"[2001:db8::1]\";by=\"[2001:db8::7]\"");
    t.client.peer = "";
    t.settings.by = "unknown";
    run(false);
    assert_value("forwarded", "for=unknown;by=unknown");
}

static void what_we_do_not_write_passes(void **state)
{
    (void)state;
    expect("X-Forwarded-For: 1.2.3.4\nVia: 1.1 a\nx-request-id: 1\n",
           "host: 127.0.0.1:9100\nX-Forwarded-For: 1.2.3.4\nVia: 1.1 a\nx-request-id: 1\n"
           "forwarded: for=192.0.2.7;by=127.0.0.1\n");
    t.settings.writes = 0;
    expect("Forwarded: for=9.9.9.9\n", "host: 127.0.0.1:9100\nForwarded: for=9.9.9.9\n");
}

static void the_trace_goes_on_with_a_span_of_its_own(void **state)
{
    (void)state;
    read_lines("traceparent: " PARENT "\ntracestate: a=1\n");
    run(false);
    struct rg_str parent = got_field("traceparent");
    assert_int_equal(parent.n, RG_TRACEPARENT_LEN);
    assert_memory_equal(parent.p, "00-" TRACE_ID "-", 36);
    assert_memory_not_equal(parent.p + 36, PARENT + 36, 16);
    assert_memory_not_equal(parent.p + 36, t.trace.traceparent + 36, 16);
    assert_memory_equal(parent.p + 52, "-01", 3);
    assert_value("tracestate", "a=1");
    assert_int_equal(t.n, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_end_to_end_goes_on_in_its_order, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_of_the_hop_stays_here, setup, teardown),
        cmocka_unit_test_setup_teardown(what_connection_names_stays_here, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_of_ours_can_be_named_away, setup, teardown),
        cmocka_unit_test_setup_teardown(crumbs_of_a_cookie_become_one, setup, teardown),
        cmocka_unit_test_setup_teardown(the_clients_forwarded_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_of_ipv6_are_quoted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_we_do_not_write_passes, setup, teardown),
        cmocka_unit_test_setup_teardown(the_trace_goes_on_with_a_span_of_its_own, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
