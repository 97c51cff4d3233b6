#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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

static void use_trusted(const char *network)
{
    struct rg_networks *trusted = rg_networks_new();

    assert_int_equal(rg_networks_add(trusted, rg_str_c(network), NULL), 0);
    t.settings.trusted = trusted;
}

static void use_claims(const char *json)
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

static void a_tracestate_without_a_trace_stays_here(void **state)
{
    (void)state;
    read_lines("tracestate: a=1\n");
    run(false);
    assert_int_equal(got_field("traceparent").n, RG_TRACEPARENT_LEN);
    assert_null(got_field("tracestate").p);
}

static void via_names_the_version_that_came_and_us(void **state)
{
    (void)state;
    t.settings.writes = RG_WRITES_VIA;
    expect("via: 1.0 fred\n", "host: 127.0.0.1:9100\nvia: 1.0 fred\nvia: 1.1 rgate\n");
    t.req.minor = 0;
    expect("", "host: 127.0.0.1:9100\nvia: 1.0 rgate\n");
    t.req.minor = 1;
    t.req.is_h2 = true;
    expect("", "host: 127.0.0.1:9100\nvia: 2.0 rgate\n");
}

static void answers_carry_via_where_requests_do(void **state)
{
    char out[RG_OUTGOING_VIA_SIZE];

    (void)state;
    assert_int_equal(rg_outgoing_via_answer(&t.settings, out).n, 0);
    t.settings.writes |= RG_WRITES_VIA;
    assert_true(rg_str_eq(rg_outgoing_via_answer(&t.settings, out), RG_STR("1.1 rgate")));
}

static void a_request_id_is_the_clients_or_a_new_one(void **state)
{
    (void)state;
    t.settings.writes = RG_WRITES_REQUEST_ID;
    expect("X-Request-Id: 01234567890123456789\nX_Request_Id: x\n",
           "host: 127.0.0.1:9100\nx-request-id: 01234567890123456789\n");
    read_lines("X-Request-Id: short\n");
    run(false);
    assert_true(
        rg_str_eq(got_field("x-request-id"), rg_str_n(t.trace.request_id, t.trace.request_id_n)));
    assert_int_equal(t.n, 3);
}

static void x_forwarded_says_what_was_asked_of_us(void **state)
{
    (void)state;
    t.settings.writes = RG_WRITES_X_FORWARDED;
    expect("Host: a.example\nX-Forwarded-For: 9.9.9.9\nX_Forwarded_Host: evil\n"
           "X-Forwarded-Proto: https\nX-Forwarded-Port: 1\nX-Forwarded-Prefix: /x\n",
           "host: 127.0.0.1:9100\nX-Forwarded-Prefix: /x\nx-forwarded-for: 192.0.2.7\n"
           "x-forwarded-host: a.example\nx-forwarded-proto: http\nx-forwarded-port: 80\n");
    t.client.is_secure = true;
    t.client.peer = "2001:db8::1";
    expect("Host: [::1]:4001\n",
           "host: 127.0.0.1:9100\nx-forwarded-for: 2001:db8::1\nx-forwarded-host: [::1]:4001\n"
           "x-forwarded-proto: https\nx-forwarded-port: 4001\n");
    t.client.peer = "";
    expect("Host: [::1]\n",
           "host: 127.0.0.1:9100\nx-forwarded-for: unknown\nx-forwarded-host: [::1]\n"
           "x-forwarded-proto: https\nx-forwarded-port: 443\n");
}

/* ---- trusted proxies ---- */

static void expect_forwarded(const char *lines, const char *wanted)
{
    read_lines(lines);
    run(false);
    assert_value("forwarded", wanted);
}

static void what_a_trusted_proxy_says_is_continued(void **state)
{
    (void)state;
    use_trusted("192.0.2.0/24");
    expect_forwarded("host: a.example:80\nForwarded: for=9.9.9.9;x=\"y,z\"\nforwarded:\n"
                     "forwarded: for=8.8.8.8\n",
                     "for=9.9.9.9;x=\"y,z\", for=8.8.8.8, for=192.0.2.7;by=127.0.0.1;"
                     "host=\"a.example:80\";proto=http");
    expect_forwarded("X-Forwarded-For: 9.9.9.9, 2001:db8::1,unknown\nx-forwarded-for: 8.8.8.8:99\n",
                     "for=9.9.9.9, for=\"[2001:db8::1]\", for=unknown, for=8.8.8.8, "
                     "for=192.0.2.7;by=127.0.0.1;proto=http");
    expect_forwarded("x: y\n", "for=192.0.2.7;by=127.0.0.1;proto=http");
}

static void what_others_say_is_replaced(void **state)
{
    (void)state;
    use_trusted("192.0.2.8");
    expect_forwarded("Forwarded: for=9.9.9.9\n", "for=192.0.2.7;by=127.0.0.1;proto=http");
    expect_forwarded("x-forwarded-for: 9.9.9.9\n", "for=192.0.2.7;by=127.0.0.1;proto=http");
}

static void what_is_malformed_is_replaced(void **state)
{
    (void)state;
    use_trusted("192.0.2.7");
    expect_forwarded("Forwarded: for=9.9.9.9, \"\n", "for=192.0.2.7;by=127.0.0.1;proto=http");
    expect_forwarded("Forwarded: for=9.9.9.9\nForwarded: for=\"\n",
                     "for=192.0.2.7;by=127.0.0.1;proto=http");
    expect_forwarded("x-forwarded-for: 9.9.9.9, x\n", "for=192.0.2.7;by=127.0.0.1;proto=http");
}

static void x_forwarded_is_continued(void **state)
{
    (void)state;
    use_trusted("192.0.2.7");
    t.settings.writes = RG_WRITES_X_FORWARDED;
    expect("Host: b\nX-Forwarded-For: 9.9.9.9:80, _x\nX-Forwarded-Host: a.example\n"
           "X-Forwarded-Proto: https\n",
           "host: 127.0.0.1:9100\nx-forwarded-for: 9.9.9.9, _x, 192.0.2.7\n"
           "x-forwarded-host: a.example\nx-forwarded-proto: https\nx-forwarded-port: 443\n");
    expect("Host: b\nX-Forwarded-Host: a.example\nX-Forwarded-Proto: https\nX-Forwarded-Port: 99\n",
           "host: 127.0.0.1:9100\nx-forwarded-for: 192.0.2.7\n"
           "x-forwarded-host: a.example\nx-forwarded-proto: https\nx-forwarded-port: 99\n");
    expect(
        "Host: b\nForwarded: for=\"[2001:db8::1]:9\";proto=https;host=a.example, for=192.0.2.7\n",
        "host: 127.0.0.1:9100\n"
        "Forwarded: for=\"[2001:db8::1]:9\";proto=https;host=a.example, for=192.0.2.7\n"
        "x-forwarded-for: 2001:db8::1, 192.0.2.7, 192.0.2.7\n"
        "x-forwarded-host: a.example\nx-forwarded-proto: https\nx-forwarded-port: 443\n");
    /* Said twice, or what cannot be: as if it were not said. */
    expect("Host: b\nX-Forwarded-Host: a.example\nX-Forwarded-Host: c\nX-Forwarded-Proto: gopher\n"
           "X-Forwarded-Port: 65536\n",
           "host: 127.0.0.1:9100\nx-forwarded-for: 192.0.2.7\nx-forwarded-host: b\n"
           "x-forwarded-proto: http\nx-forwarded-port: 80\n");
}

/* A proxy that knows one of both passes the other as its client sent it. */
static void lists_that_disagree_count_neither(void **state)
{
    (void)state;
    use_trusted("192.0.2.7");
    expect_forwarded("X-Forwarded-For: 8.8.8.8\nForwarded: for=6.6.6.6\n",
                     "for=192.0.2.7;by=127.0.0.1;proto=http");
    expect_forwarded("X-Forwarded-For: 8.8.8.8\nForwarded: for=8.8.8.8\n",
                     "for=8.8.8.8, for=192.0.2.7;by=127.0.0.1;proto=http");
    expect_forwarded("X-Forwarded-For: 8.8.8.8\nForwarded: for=\"\n",
                     "for=192.0.2.7;by=127.0.0.1;proto=http");
    t.settings.writes = RG_WRITES_X_FORWARDED;
    expect("X-Forwarded-For: 8.8.8.8\nX-Forwarded-Proto: https\nForwarded: for=6.6.6.6\n",
           "host: 127.0.0.1:9100\nForwarded: for=6.6.6.6\nx-forwarded-for: 192.0.2.7\n"
           "x-forwarded-proto: http\nx-forwarded-port: 80\n");
}

static void nothing_a_trusted_proxy_says_can_be_named_away(void **state)
{
    (void)state;
    use_trusted("192.0.2.7");
    expect_forwarded("Forwarded: for=9.9.9.9\nConnection: forwarded\n",
                     "for=9.9.9.9, for=192.0.2.7;by=127.0.0.1;proto=http");
}

static void assert_client(const char *lines, const char *wanted)
{
    char out[RG_PEER_SIZE];

    read_lines(lines);
    rg_client_address(&t.settings, &t.req, t.client.peer, out);
    assert_string_equal(out, wanted);
}

static void the_client_is_who_trusted_proxies_say(void **state)
{
    (void)state;
    assert_client("Forwarded: for=9.9.9.9\n", "192.0.2.7");
    use_trusted("192.0.2.0/24");
    assert_client("", "192.0.2.7");
    assert_client("Forwarded: for=9.9.9.9\n", "9.9.9.9");
    assert_client("X-Forwarded-For: 8.8.8.8, 2001:DB8::1, 192.0.2.9\n", "2001:db8::1");
    assert_client("Forwarded: for=9.9.9.9, for=192.0.2.9\nForwarded: for=192.0.2.8\n", "9.9.9.9");
    assert_client("Forwarded: for=192.0.2.10, for=192.0.2.9\n", "192.0.2.10");
    assert_client("Forwarded: for=_x\n", "192.0.2.7");
    assert_client("Forwarded: for=9.9.9.9, for=unknown, for=192.0.2.9\n", "192.0.2.9");
    assert_client("Forwarded: for=9.9.9.9, \"\n", "192.0.2.7");
    assert_client("Forwarded: for=9.9.9.9\nx-forwarded-for: 8.8.8.8\n", "192.0.2.7");
    assert_client("Forwarded: for=9.9.9.9\nx-forwarded-for: 8.8.8.8, 9.9.9.9\n", "9.9.9.9");
    t.client.peer = "192.0.3.1";
    assert_client("Forwarded: for=9.9.9.9\n", "192.0.3.1");
    t.client.peer = "";
    assert_client("Forwarded: for=9.9.9.9\n", "");
}

/* ---- claims and added headers ---- */

#define FIELD(name, value)                                                                         \
    {                                                                                              \
        (char *)(name), (char *)(value)                                                            \
    }

static void claims_are_fields_that_nobody_can_bring_along(void **state)
{
    struct rg_api_field fields[] = {FIELD("x-user", "/sub"), FIELD("x-level", "/level"),
                                    FIELD("x-roles", "/roles"), FIELD("x-none", "/none")};

    (void)state;
    t.settings.writes = 0;
    t.api.claim_headers = fields;
    t.api.claim_headers_n = RG_COUNT_OF(fields);
    const char *lines = "X-User: root\nx_user: root\nX-Level: 9\nx-none: 1\nx-b: 1\n";
    expect(lines, "host: 127.0.0.1:9100\nx-b: 1\n");
    use_claims("{\"sub\":\"ad\\u0061\",\"level\":1.50,\"roles\":[\"a\",\n{\"b\":true}]}");
    expect(lines, "host: 127.0.0.1:9100\nx-b: 1\nx-user: ada\nx-level: 1.50\n"
                  "x-roles: [\"a\", {\"b\":true}]\n");
    use_claims("{\"sub\":\"ada\",\"level\":false,\"roles\":{},\"none\":null}");
    expect(lines, "host: 127.0.0.1:9100\nx-b: 1\nx-user: ada\nx-level: false\nx-roles: {}\n");
    use_claims("[]");
    expect(lines, "host: 127.0.0.1:9100\nx-b: 1\n");
}

/* Behind the body nobody can bring along either what cannot be brought along in front of it. */
static void trailers_name_nothing_that_is_ours(void **state)
{
    static struct rg_api_field claims[] = {{(char *)"x-user", (char *)"/sub"}};
    static struct rg_api_field added[] = {{(char *)"x-tenant", (char *)"blue"}};
    static const struct rg_http_field trailers[] = {
        {RG_STR("X-User"), RG_STR("eve")},         {RG_STR("x_user"), RG_STR("eve")},
        {RG_STR("x-tenant"), RG_STR("red")},       {RG_STR("x_forwarded_for"), RG_STR("::1")},
        {RG_STR("traceparent"), RG_STR(PARENT)},   {RG_STR("x-request-id"), RG_STR("1")},
        {RG_STR("x-checksum"), RG_STR("0badf00d")}};
    struct rg_http_field kept[RG_COUNT_OF(trailers)];

    (void)state;
    t.api.claim_headers = claims;
    t.api.claim_headers_n = 1;
    t.api.add_headers = added;
    t.api.add_headers_n = 1;
    t.endpoint.adds_headers = true;
    assert_int_equal(rg_outgoing_trailers(&t.endpoint, trailers, RG_COUNT_OF(trailers), kept), 1);
    assert_true(rg_str_eq(kept[0].name, RG_STR("x-checksum")));
    t.endpoint.adds_headers = false;
    assert_int_equal(rg_outgoing_trailers(&t.endpoint, trailers, RG_COUNT_OF(trailers), kept), 2);
    assert_true(rg_str_eq(kept[0].name, RG_STR("x-tenant")));
}

static void claims_that_are_no_field_values_are_left_out(void **state)
{
    static const char *const bad[] = {"a\\nb", "a\\u0000", "\\u007f", " a", "a ", "a\\tb"};
    struct rg_api_field fields[] = {FIELD("x-user", "/sub"), FIELD("x-id", "/id")};
    RG_CLEANUP(rg_buf_done) struct rg_buf json = {0};

    (void)state;
    t.settings.writes = 0;
    t.api.claim_headers = fields;
    t.api.claim_headers_n = RG_COUNT_OF(fields);
    for (size_t i = 0; i < RG_COUNT_OF(bad); i++) {
        rg_buf_clear(&json);
        rg_buf_addf(&json, "{\"sub\":\"%s\",\"id\":\"\\u0031\"}%c", bad[i], '\0');
        use_claims(json.p);
        expect("x-user: root\n", "host: 127.0.0.1:9100\nx-id: 1\n");
    }
    use_claims("{\"sub\":\"\",\"id\":\"\303\244\"}");
    expect("", "host: 127.0.0.1:9100\nx-user: \nx-id: \303\244\n");
}

static void claims_have_a_limit(void **state)
{
    struct rg_api_field fields[] = {FIELD("x-user", "/sub")};

    (void)state;
    t.api.claim_headers = fields;
    t.api.claim_headers_n = RG_COUNT_OF(fields);
    for (int excess = 0; excess <= 1; excess++) {
        for (int is_text = 0; is_text <= 1; is_text++) {
            RG_CLEANUP(rg_buf_done) struct rg_buf json = {0};
            int n = RG_OUTGOING_MAX_CLAIM + excess - (is_text ? 0 : 4);
            rg_buf_addf(&json, is_text ? "{\"sub\":\"%0*d\"}%c" : "{\"sub\":[\"%0*d\"]}%c", n, 0,
                        '\0');
            use_claims(json.p);
            read_lines("");
            run(false);
            assert_int_equal(got_field("x-user").n, excess ? 0 : RG_OUTGOING_MAX_CLAIM);
        }
    }
}

static void added_fields_override_those_of_the_client_and_of_claims(void **state)
{
    struct rg_api_field added[] = {FIELD("x-tenant", "green"),  FIELD("x-tenant", "blue"),
                                   FIELD("x-user", "nobody"),   FIELD("content-length", "1"),
                                   FIELD("forwarded", "for=1"), FIELD("traceparent", "x")};
    struct rg_api_field claims[] = {FIELD("x-user", "/sub")};

    (void)state;
    t.api.add_headers = added;
    t.api.add_headers_n = RG_COUNT_OF(added);
    t.api.claim_headers = claims;
    t.api.claim_headers_n = RG_COUNT_OF(claims);
    use_claims("{\"sub\":\"ada\"}");
    expect("X-Tenant: red\nX-TENANT: pink\n",
           "host: 127.0.0.1:9100\nX-Tenant: red\nX-TENANT: pink\nx-user: ada\n"
           "forwarded: for=192.0.2.7;by=127.0.0.1\n");
    t.endpoint.adds_headers = true;
    expect("X-Tenant: red\nX-TENANT: pink\n",
           "host: 127.0.0.1:9100\nx-tenant: blue\nx-user: nobody\n"
           "forwarded: for=192.0.2.7;by=127.0.0.1\n");
    assert_int_equal(got_field("traceparent").n, RG_TRACEPARENT_LEN);
}

static void no_fields_to_add_add_none(void **state)
{
    (void)state;
    t.endpoint.adds_headers = true;
    expect("", "host: 127.0.0.1:9100\nforwarded: for=192.0.2.7;by=127.0.0.1\n");
}

static void a_host_that_is_added_wins(void **state)
{
    struct rg_api_field added[] = {FIELD("host", "other.example")};

    (void)state;
    t.settings.writes = 0;
    t.api.add_headers = added;
    t.api.add_headers_n = 1;
    expect("Host: a\n", "host: 127.0.0.1:9100\n");
    t.endpoint.adds_headers = true;
    expect("Host: a\n", "host: other.example\n");
}

static void more_fields_than_there_is_room_for_are_left_out(void **state)
{
    struct rg_api_field added[RG_OUTGOING_MAX_ADDED + 10];
    char names[RG_COUNT_OF(added)][8];
    RG_CLEANUP(rg_buf_done) struct rg_buf lines = {0};

    (void)state;
    t.settings.writes =
        RG_WRITES_FORWARDED | RG_WRITES_X_FORWARDED | RG_WRITES_VIA | RG_WRITES_REQUEST_ID;
    for (size_t i = 0; i < RG_COUNT_OF(added); i++) {
        snprintf(names[i], sizeof(names[i]), "a-%zu", i);
        added[i] = (struct rg_api_field)FIELD(names[i], "1");
    }
    t.api.add_headers = added;
    t.api.add_headers_n = RG_COUNT_OF(added);
    t.endpoint.adds_headers = true;
    for (size_t i = 0; i < RG_MAX_FIELDS_PER_MESSAGE - 3; i++)
        rg_buf_addf(&lines, "b: %zu\n", i);
    rg_buf_addf(&lines, "upgrade: x\ntraceparent: %s\ntracestate: a=1\n%c", PARENT, '\0');
    read_lines(lines.p);
    run(true);
    assert_int_equal(t.n, 1 + RG_MAX_FIELDS_PER_MESSAGE - 3 + RG_OUTGOING_MAX_ADDED + 2 + 1 + 3 +
                              1 + 1 + 2);
    assert_value("tracestate", "a=1");
}

/* ---- 2017 ---- */

static void in_2017_host_and_trace_are_the_clients(void **state)
{
    (void)state;
    t.api.dialect = RG_DIALECT_2017;
    expect("Host: a\nAuthorization: x\nForwarded: for=9.9.9.9\nTraceState: a=1\n"
           "Connection: x-hop\nX-Hop: 1\nX-Forwarded-For: 9.9.9.9\n",
           "Host: a\nAuthorization: x\nForwarded: for=9.9.9.9\nTraceState: a=1\n"
           "X-Forwarded-For: 9.9.9.9\n");
    assert_null(got_field("traceparent").p);
    t.settings.writes |= RG_WRITES_X_FORWARDED | RG_WRITES_VIA;
    expect("Host: a\nX-Forwarded-For: 9.9.9.9\n",
           "Host: a\nx-forwarded-for: 192.0.2.7\nx-forwarded-host: a\nx-forwarded-proto: http\n"
           "x-forwarded-port: 80\nvia: 1.1 rgate\n");
}

/* ---- a switch of protocols ---- */

static void an_upgrade_is_kept_where_it_may_be(void **state)
{
    (void)state;
    t.settings.writes = 0;
    const char *lines = "Connection: keep-alive, Upgrade, x-hop\nUpgrade: websocket\nX-Hop: 1\n"
                        "Sec-WebSocket-Key: k\n";
    expect(lines, "host: 127.0.0.1:9100\nSec-WebSocket-Key: k\n");
    run(true);
    assert_string_equal(got_lines(), "host: 127.0.0.1:9100\nSec-WebSocket-Key: k\n"
                                     "connection: upgrade\nupgrade: websocket\n");
    read_lines("x: 1\n");
    run(true);
    assert_string_equal(got_lines(), "host: 127.0.0.1:9100\nx: 1\n");
}

static void nobody_switches_to_http_2_behind_us(void **state)
{
    (void)state;
    t.settings.writes = 0;
    read_lines("Connection: Upgrade, HTTP2-Settings\nUpgrade: websocket, H2C\nHTTP2-Settings: x\n");
    run(true);
    assert_string_equal(got_lines(), "host: 127.0.0.1:9100\n");
}

static void an_extended_connect_becomes_an_upgrade(void **state)
{
    (void)state;
    t.settings.writes = 0;
    t.req.is_h2 = true;
    t.req.protocol = RG_STR("websocket");
    read_lines("sec-websocket-version: 13\n");
    run(true);
    assert_value("connection", "upgrade");
    assert_value("upgrade", "websocket");
    assert_int_equal(got_field("sec-websocket-key").n, 24);
}

/* ---- whatever comes ---- */

static uint32_t seed;

static uint32_t next_random(uint32_t bound)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % bound;
}

static const char *const names[] = {
    "Host",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Expect",
    "Content-Length",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Proxy",
    "HTTP2-Settings",
    "Forwarded",
    "X-Forwarded-For",
    "Via",
    "Cookie",
    "Authorization",
    "X-User",
    "x_user",
    "Traceparent",
    "X-Request-Id",
    "X-A",
    "x-b",
    "x-c",
    "close",
    "Content_Length",
};

static bool is_one_of(struct rg_str name, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (rg_str_eq_nocase(name, rg_str_c(*list)))
            return true;
    }
    return false;
}

/* Whether Connection names it, found the slow way. */
static bool is_nominated(struct rg_str name)
{
    for (size_t i = 0; i < t.req.fields_n; i++) {
        struct rg_str rest = t.req.fields[i].value;
        if (!rg_str_eq_nocase(t.req.fields[i].name, RG_STR("connection")))
            continue;
        while (rest.p != NULL) {
            if (rg_str_eq_nocase(rg_str_trim(rg_str_split(&rest, ',')), name))
                return true;
        }
    }
    return false;
}

static void make_request(struct rg_buf *lines)
{
    uint32_t n = next_random(40);

    rg_buf_clear(lines);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = names[next_random(RG_COUNT_OF(names))];
        rg_buf_addf(lines, "%s:", name);
        uint32_t options = strcmp(name, "Connection") == 0 ? next_random(6) : 0;
        for (uint32_t k = 0; k < options; k++)
            rg_buf_addf(lines, "%s %s", k > 0 ? "," : "", names[next_random(RG_COUNT_OF(names))]);
        if (options == 0)
            rg_buf_addf(lines, " theirs-%u", i);
        rg_buf_add_char(lines, '\n');
    }
    rg_buf_add_char(lines, '\0');
}

static bool is_theirs(struct rg_str value)
{
    return rg_str_starts_with(value, RG_STR("theirs"));
}

static void nothing_of_the_hop_ever_goes_out(void **state)
{
    static const char *const never[] = {"connection",
                                        "keep-alive",
                                        "te",
                                        "trailer",
                                        "transfer-encoding",
                                        "upgrade",
                                        "expect",
                                        "content-length",
                                        "proxy-authorization",
                                        "proxy-connection",
                                        "proxy",
                                        "http2-settings",
                                        "content_length",
                                        "close",
                                        NULL};
    static const char *const ours[] = {"host",   "forwarded", "traceparent",
                                       "x-user", "x_user",    NULL};
    struct rg_api_field claims[] = {FIELD("x-user", "/sub")};
    RG_CLEANUP(rg_buf_done) struct rg_buf lines = {0};

    (void)state;
    t.api.claim_headers = claims;
    t.api.claim_headers_n = 1;
    use_claims("{\"sub\":\"ada\"}");
    for (seed = 1; seed < 20000; seed += 7) {
        uint32_t start = seed;
        make_request(&lines);
        read_lines(lines.p);
        run(false);
        assert_value("host", "127.0.0.1:9100");
        assert_value("forwarded", "for=192.0.2.7;by=127.0.0.1");
        assert_value("x-user", "ada");
        size_t passed = 0, wanted = 0;
        for (size_t i = 0; i < t.n; i++) {
            struct rg_str name = t.fields[i].name;
            assert_false(is_one_of(name, never));
            if (!is_theirs(t.fields[i].value))
                continue;
            assert_false(is_one_of(name, ours));
            assert_false(is_nominated(name));
            passed++;
        }
        /* And nothing else is missing: cookies count once. */
        bool has_cookie = false;
        for (size_t i = 0; i < t.req.fields_n; i++) {
            struct rg_str name = t.req.fields[i].name;
            if (is_one_of(name, never) || is_one_of(name, ours) || is_nominated(name) ||
                !is_theirs(t.req.fields[i].value))
                continue;
            bool is_cookie = rg_str_eq_nocase(name, RG_STR("cookie"));
            wanted += !(is_cookie && has_cookie);
            has_cookie |= is_cookie;
        }
        assert_int_equal(passed, wanted);
        seed = start;
    }
}

/* The names and what Connection says are both the client's: neither makes the other slow. */
static void any_number_of_options_is_looked_up(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf lines = {0};

    (void)state;
    t.settings.writes = 0;
    rg_buf_add_c(&lines, "connection: zz");
    for (int i = 0; i < 10000; i++)
        rg_buf_addf(&lines, ",n%d", i);
    rg_buf_add_char(&lines, '\n');
    for (int i = 0; i < 98; i++)
        rg_buf_addf(&lines, "N%d: 1\n", 9950 + i);
    rg_buf_add_char(&lines, '\0');
    read_lines(lines.p);
    run(false);
    assert_int_equal(t.n, 1 + 48 + 1); /* host, n10000 to n10047, traceparent */
    assert_value("n9999", NULL);
    assert_value("n10000", "1");
}

static void long_names_are_told_apart(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf lines = {0};

    (void)state;
    t.settings.writes = 0;
    rg_buf_addf(&lines, "connection: x%0*d\nx%0*d: 1\nX%0*d: 2\nx%0*d: 3\n%c", 300, 1, 300, 2, 300,
                1, 64, 0, '\0');
    read_lines(lines.p);
    run(false);
    assert_int_equal(t.n, 1 + 2 + 1);
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
        cmocka_unit_test_setup_teardown(a_tracestate_without_a_trace_stays_here, setup, teardown),
        cmocka_unit_test_setup_teardown(via_names_the_version_that_came_and_us, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_carry_via_where_requests_do, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_id_is_the_clients_or_a_new_one, setup, teardown),
        cmocka_unit_test_setup_teardown(x_forwarded_says_what_was_asked_of_us, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_trusted_proxy_says_is_continued, setup, teardown),
        cmocka_unit_test_setup_teardown(what_others_say_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_malformed_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(x_forwarded_is_continued, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_that_disagree_count_neither, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_a_trusted_proxy_says_can_be_named_away, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_client_is_who_trusted_proxies_say, setup, teardown),
        cmocka_unit_test_setup_teardown(claims_are_fields_that_nobody_can_bring_along, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(trailers_name_nothing_that_is_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(claims_that_are_no_field_values_are_left_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(claims_have_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(added_fields_override_those_of_the_client_and_of_claims,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(no_fields_to_add_add_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_host_that_is_added_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(more_fields_than_there_is_room_for_are_left_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(in_2017_host_and_trace_are_the_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(an_upgrade_is_kept_where_it_may_be, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_switches_to_http_2_behind_us, setup, teardown),
        cmocka_unit_test_setup_teardown(an_extended_connect_becomes_an_upgrade, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_of_the_hop_ever_goes_out, setup, teardown),
        cmocka_unit_test_setup_teardown(any_number_of_options_is_looked_up, setup, teardown),
        cmocka_unit_test_setup_teardown(long_names_are_told_apart, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
