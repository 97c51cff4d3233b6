/*
 * Connections that begin with a header of the PROXY protocol, plain and with TLS: whose they are
 * for handlers, and what becomes of those without one.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "../net/peer.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "http/server_priv.h"
#include "net/tls.h"

static struct rg_reactor reactor;
static struct rg_http_settings settings;
static struct rg_http_server *server;
static struct peer peer;

static void echo(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 200};
    char address[RG_PEER_SIZE];
    char text[100];

    (void)arg;
    rg_exchange_peer(exchange, address);
    snprintf(text, sizeof(text), "<%s %d>", address, rg_exchange_is_secure(exchange));
    response.body = rg_str_c(text);
    rg_exchange_respond(exchange, &response);
}

static const struct rg_route routes[] = {{RG_METHODS_ALL, "*", echo, NULL, 0}};

#define LINE "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"
#define GET  "GET / HTTP/1.1\r\nhost: h\r\n\r\n"

static int setup(void **state)
{
    (void)state;
    settings = rg_http_default_settings;
    settings.has_proxy_protocol = true;
    peer_reactor_init(&reactor);
    server = rg_http_server_new(&reactor, &settings, routes, RG_COUNT_OF(routes));
    peer = (struct peer){.fd = -1};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&peer);
    rg_http_server_close_all(server);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_int_equal(reactor.wheel.pending, 0);
    rg_http_server_free(&server);
    rg_reactor_done(&reactor);
    return 0;
}

/* Connects when these bytes have come. */
static void connect_with(struct rg_str bytes)
{
    int theirs;

    peer_close(&peer);
    peer = peer_open(&theirs, 0);
    if (bytes.n > 0)
        peer_put(&peer, bytes.p, bytes.n);
    rg_http_server_accept(server, theirs);
    peer_turn(&reactor);
}

static void expect_peer(const char *text)
{
    peer_read(&reactor, &peer);
    assert_true(peer_has(&peer, text));
}

static uint64_t errors(void)
{
    return (uint64_t)rg_counters_get(rg_http_server_counters(server), RG_HTTP_PROXY_ERRORS);
}

static void expect_refused(uint64_t n)
{
    peer_read(&reactor, &peer);
    assert_true(peer.has_seen_end);
    assert_int_equal(peer.got.n, 0);
    assert_int_equal(errors(), n);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void handlers_see_whose_it_is(void **state)
{
    (void)state;
    connect_with(RG_STR(LINE GET));
    expect_peer("<192.0.2.7 0>");
    peer_forget(&peer);
    peer_send(&reactor, &peer, GET);
    expect_peer("<192.0.2.7 0>");
    assert_int_equal(errors(), 0);
    assert_int_equal(rg_counters_get(rg_http_server_counters(server), RG_HTTP_ACCEPTED), 1);
}

static void a_binary_header_does_too(void **state)
{
    (void)state;
    connect_with(
        RG_STR("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\xdc\4\1\xbb" GET));
    expect_peer("<192.0.2.7 0>");
}

static void the_balancers_own_keeps_its_address(void **state)
{
    (void)state;
    connect_with(RG_STR("PROXY UNKNOWN\r\n" GET));
    expect_peer("< 0>"); /* a socket pair has none */
}

static void a_header_may_be_cut_anywhere(void **state)
{
    const struct rg_str text = RG_STR(LINE GET);

    (void)state;
    for (size_t cut = 0; cut < text.n; cut++) {
        connect_with(rg_str_n(text.p, cut));
        assert_int_equal(rg_http_server_connections(server), 1);
        peer_put(&peer, text.p + cut, text.n - cut);
        expect_peer("<192.0.2.7 0>");
    }
    assert_int_equal(errors(), 0);
}

static void one_byte_at_a_time_is_the_same(void **state)
{
    const struct rg_str text = RG_STR(LINE GET);

    (void)state;
    connect_with(RG_STR(""));
    for (size_t i = 0; i < text.n; i++) {
        peer_put(&peer, text.p + i, 1);
        peer_turn(&reactor);
    }
    expect_peer("<192.0.2.7 0>");
}

static void http2_follows_as_well(void **state)
{
    (void)state;
    connect_with(RG_STR(LINE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"));
    assert_int_equal(rg_counters_get(rg_http_server_counters(server), RG_HTTP_H2_CONNECTIONS), 1);
    assert_int_equal(rg_http_server_connections(server), 1);
}

static void no_header_is_no_connection(void **state)
{
    (void)state;
    connect_with(RG_STR(GET));
    expect_refused(1);
    connect_with(RG_STR("PROXY "));
    peer_put(&peer, GET, strlen(GET));
    expect_refused(2);
}

static void half_a_header_is_no_connection(void **state)
{
    (void)state;
    connect_with(RG_STR("PROXY TCP4 "));
    peer_half_close(&peer);
    expect_refused(1);
}

static void a_balancer_may_look_whether_somebody_is_there(void **state)
{
    (void)state;
    connect_with(RG_STR(""));
    peer_half_close(&peer);
    expect_refused(0);
}

static void a_header_comes_in_time(void **state)
{
    (void)state;
    connect_with(RG_STR("PROXY TCP4 "));
    peer_let_pass(&reactor, settings.header_timeout_ms);
    expect_refused(1);
}

static void the_request_has_its_own_time(void **state)
{
    (void)state;
    connect_with(RG_STR("PROXY TCP4 "));
    peer_move_time(&reactor, settings.header_timeout_ms - 1000);
    peer_send(&reactor, &peer, LINE + 11);
    peer_move_time(&reactor, settings.header_timeout_ms - 1000);
    peer_send(&reactor, &peer, GET);
    expect_peer("<192.0.2.7 0>");
}

static void draining_closes_who_waits(void **state)
{
    (void)state;
    connect_with(RG_STR("PROXY TCP4 "));
    rg_http_server_drain(server);
    peer_turn(&reactor);
    expect_refused(0);
}

static void without_the_setting_a_header_is_a_malformed_request(void **state)
{
    (void)state;
    settings.has_proxy_protocol = false;
    connect_with(RG_STR(LINE GET));
    peer_read(&reactor, &peer);
    assert_true(peer_has(&peer, "HTTP/1.1 400 "));
}

/* ---- with TLS ---- */

static struct {
    struct rg_tls *tls;
    SSL_CTX *context;
    SSL *ssl;
} secure;

static void secure_open(void)
{
    struct rg_why why;

    secure.tls = rg_tls_new_self_signed(&why);
    assert_non_null(secure.tls);
    rg_http_server_set_tls(server, secure.tls);
    secure.context = SSL_CTX_new(TLS_client_method());
}

static void secure_close(void)
{
    SSL_CTX_free(secure.context);
    peer_close(&peer);
    rg_http_server_close_all(server);
    peer_turn(&reactor);
    rg_tls_free(&secure.tls);
}

/* Sends the header in two parts and asks through TLS. */
static void ask_securely(size_t cut)
{
    const struct rg_str line = RG_STR(LINE);
    char text[2000];
    int theirs, n = -1;

    peer_close(&peer);
    peer = peer_open(&theirs, 0);
    peer_put(&peer, line.p, cut);
    rg_http_server_accept_tls(server, theirs);
    peer_turn(&reactor);
    peer_put(&peer, line.p + cut, line.n - cut);
    secure.ssl = SSL_new(secure.context);
    SSL_set_fd(secure.ssl, peer.fd);
    for (int i = 0; i < 100 && SSL_connect(secure.ssl) != 1; i++)
        peer_turn(&reactor);
    assert_int_equal(SSL_write(secure.ssl, GET, (int)strlen(GET)), (int)strlen(GET));
    for (int i = 0; i < 100 && n <= 0; i++) {
        peer_turn(&reactor);
        n = SSL_read(secure.ssl, text, sizeof(text));
    }
    assert_true(n > 0);
    assert_non_null(memmem(text, (size_t)n, "<192.0.2.7 1>", 13));
    SSL_free(secure.ssl);
}

static void the_header_comes_before_tls(void **state)
{
    (void)state;
    secure_open();
    ask_securely(strlen(LINE));
    ask_securely(5);
    ask_securely(strlen(LINE) - 1);
    assert_int_equal(errors(), 0);
    secure_close();
}

static void tls_without_a_header_is_refused(void **state)
{
    int theirs;

    (void)state;
    secure_open();
    peer = peer_open(&theirs, 0);
    peer_put(&peer, "\x16\3\1\2\0\1", 6);
    rg_http_server_accept_tls(server, theirs);
    expect_refused(1);
    secure_close();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(handlers_see_whose_it_is),
        TEST(a_binary_header_does_too),
        TEST(the_balancers_own_keeps_its_address),
        TEST(a_header_may_be_cut_anywhere),
        TEST(one_byte_at_a_time_is_the_same),
        TEST(http2_follows_as_well),
        TEST(no_header_is_no_connection),
        TEST(half_a_header_is_no_connection),
        TEST(a_balancer_may_look_whether_somebody_is_there),
        TEST(a_header_comes_in_time),
        TEST(the_request_has_its_own_time),
        TEST(draining_closes_who_waits),
        TEST(without_the_setting_a_header_is_a_malformed_request),
        TEST(the_header_comes_before_tls),
        TEST(tls_without_a_header_is_refused),
    };

    signal(SIGPIPE, SIG_IGN);
    rg_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
