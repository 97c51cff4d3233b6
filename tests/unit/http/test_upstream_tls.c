/*
 * Services behind TLS, which OpenSSL's server plays in the thread of the test.
 */
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "../net/credentials.h"
#include "net/tls_client.h"
#include "upstream_stage.h"

static const char *const files[] = {
    "ca.pem",    "ca.key",      "good.pem",    "good.key",   "old.pem",    "old.key",   "other.pem",
    "other.key", "address.pem", "address.key", "client.pem", "client.key", "empty.pem", NULL};

/* ---- certificates ---- */

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *ca;
static EVP_PKEY *ca_key;

/* Writes name.pem and name.key, of a certificate that the CA has issued. */
static void issue(const char *name, const char *alternative, long days)
{
    EVP_PKEY *key = credentials_key();
    X509 *cert = credentials_cert(key, name, 1);
    char file[64];

    X509_set_version(cert, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(cert), -10L * 86400);
    X509_gmtime_adj(X509_getm_notAfter(cert), days * 86400);
    X509_set_issuer_name(cert, X509_get_subject_name(ca));
    add_extension(cert, ca, NID_subject_alt_name, alternative);
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    snprintf(file, sizeof(file), "%s.pem", name);
    credentials_write_cert(file, cert);
    snprintf(file, sizeof(file), "%s.key", name);
    credentials_write_key(file, key, CREDENTIALS_PKCS8, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void make_certificates(void)
{
    ca_key = credentials_key();
    ca = credentials_cert(ca_key, "the CA of the tests", 10);
    X509_set_version(ca, X509_VERSION_3);
    add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(ca, ca_key, EVP_sha256()) > 0);
    credentials_write_cert("ca.pem", ca);
    credentials_write_key("ca.key", ca_key, CREDENTIALS_PKCS8, NULL);
    issue("good", "DNS:a.test", 10);
    issue("old", "DNS:a.test", -1);
    issue("other", "DNS:b.test", 10);
    issue("address", "IP:127.0.0.1", 10);
    issue("client", "DNS:client.test", 10);
    credentials_write_text("empty.pem", "");
}

/* ---- the service's side ---- */

static SSL_CTX *server_ctx;
static struct rg_tls_client *tls;
static struct rg_upstream_service *to;

struct secured {
    int fd;
    SSL *ssl;
    struct rg_buf got;
    bool has_seen_end;
};

static int take_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                         const unsigned char *in, unsigned in_n, void *arg)
{
    static const unsigned char expected[] = "\x08http/1.1";

    (void)ssl;
    (void)arg;
    assert_int_equal(in_n, sizeof(expected) - 1);
    assert_memory_equal(in, expected, in_n);
    *out = in + 1;
    *out_n = 8;
    return SSL_TLSEXT_ERR_OK;
}

static void serve_with(const char *name, int version)
{
    char file[64];

    server_ctx = SSL_CTX_new(TLS_server_method());
    snprintf(file, sizeof(file), "%s.pem", name);
    assert_int_equal(
        SSL_CTX_use_certificate_file(server_ctx, credentials_path(file), SSL_FILETYPE_PEM), 1);
    snprintf(file, sizeof(file), "%s.key", name);
    assert_int_equal(
        SSL_CTX_use_PrivateKey_file(server_ctx, credentials_path(file), SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_alpn_select_cb(server_ctx, take_protocol, NULL);
    SSL_CTX_set_max_proto_version(server_ctx, version);
    SSL_CTX_set_session_id_context(server_ctx, (const unsigned char *)"t", 1);
    SSL_CTX_set_mode(server_ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static struct secured accept_secured(void)
{
    struct peer plain = service_accept(&reactor, &service);
    struct secured s = {.fd = plain.fd, .ssl = SSL_new(server_ctx)};

    SSL_set_fd(s.ssl, s.fd);
    SSL_set_accept_state(s.ssl);
    return s;
}

static void secured_close(struct secured *s)
{
    SSL_free(s->ssl);
    close(s->fd);
    rg_buf_done(&s->got);
}

/* Reads what is there; the handshake happens with it. */
static void secured_take(struct secured *s)
{
    int n;

    while ((n = SSL_read(s->ssl, rg_buf_reserve(&s->got, 65536), 65536)) > 0)
        s->got.n += (size_t)n;
    s->has_seen_end = SSL_get_error(s->ssl, n) != SSL_ERROR_WANT_READ;
}

static bool secured_has(struct secured *s, const char *text)
{
    secured_take(s);
    return s->got.n > 0 && memmem(s->got.p, s->got.n, text, strlen(text)) != NULL;
}

static bool secured_sees_end(struct secured *s)
{
    secured_take(s);
    return s->has_seen_end;
}

static void secured_put(struct secured *s, const void *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        int one = SSL_write(s->ssl, (const char *)p + done, (int)(n - done));
        done += one > 0 ? (size_t)one : 0;
        peer_turn(&reactor);
    }
}

/* ---- our side ---- */

static void trust(const char *ca_file, const char *own, bool is_unverified)
{
    char cert[160], key[160];
    struct rg_tls_client_settings of_tls = {.ca_file =
                                                ca_file != NULL ? credentials_path(ca_file) : NULL,
                                            .is_unverified = is_unverified};
    struct rg_why why = {0};

    if (own != NULL) {
        snprintf(cert, sizeof(cert), "%s/%s.pem", credentials_directory(), own);
        snprintf(key, sizeof(key), "%s/%s.key", credentials_directory(), own);
        of_tls.cert_file = cert;
        of_tls.key_file = key;
    }
    tls = rg_tls_client_new(&of_tls, &why);
    if (tls == NULL)
        fail_msg("%s: %s", why.place, why.text);
}

static void go_to(const char *server_name)
{
    struct rg_upstream_origin origin = {"127.0.0.1", service.port};
    struct rg_upstream_service_settings of_service = {.origins = &origin,
                                                      .origins_n = 1,
                                                      .tls = tls,
                                                      .tls_name = "t",
                                                      .server_name = server_name};

    to = rg_upstream_service_new(&of_service);
}

static void ask_it(struct told *who, int64_t streamed)
{
    struct rg_upstream_request request = {.method = RG_STR("POST"),
                                          .target = RG_STR("/"),
                                          .service = to,
                                          .is_streamed = streamed != 0,
                                          .body_length = streamed};

    forget(who);
    ask_with(who, &request);
}

static int teardown_tls(void **state)
{
    rg_upstreams_close_all(upstreams);
    rg_upstream_service_unref(&to);
    rg_tls_client_unref(&tls);
    SSL_CTX_free(server_ctx);
    server_ctx = NULL;
    return teardown(state);
}

/* One call on s. */
static void answer_one(struct secured *s)
{
    WAIT_FOR(&reactor, secured_has(s, "\r\n\r\n"));
    rg_buf_clear(&s->got);
    secured_put(s, OK, strlen(OK));
    expect_end(&told, "200 2|\nok");
}

static bool plays_on(struct secured *s)
{
    secured_take(s);
    return told.ends + told.failures > 0;
}

static void expect_no_trust(struct secured *s, const char *reason)
{
    WAIT_FOR(&reactor, plays_on(s));
    expect_failure(&told, RG_UPSTREAM_UNREACHABLE);
    assert_non_null(strstr(told.why.text, reason));
}

/* ---- who is believed ---- */

static void a_certificate_of_the_ca_and_the_name_is_believed(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    trust("ca.pem", NULL, false);
    go_to("a.test");
    for (size_t i = 0; i < RG_COUNT_OF(versions); i++) {
        serve_with("good", versions[i]);
        ask_it(&told, 0);
        struct secured s = accept_secured();
        answer_one(&s);
        assert_int_equal(SSL_version(s.ssl), versions[i]);
        assert_string_equal(SSL_get_servername(s.ssl, TLSEXT_NAMETYPE_host_name), "a.test");
        /* Kept, and used again. */
        ask_it(&told, 0);
        answer_one(&s);
        assert_true(told.timing.is_reused);
        rg_upstreams_close_all(upstreams);
        WAIT_FOR(&reactor, secured_sees_end(&s));
        /* With a goodbye. */
        assert_int_equal(SSL_get_shutdown(s.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
        secured_close(&s);
        SSL_CTX_free(server_ctx);
        server_ctx = NULL;
    }
}

static void an_address_is_checked_as_one_and_not_told(void **state)
{
    (void)state;
    trust("ca.pem", NULL, false);
    go_to(NULL);
    serve_with("address", 0);
    ask_it(&told, 0);
    struct secured s = accept_secured();
    answer_one(&s);
    assert_null(SSL_get_servername(s.ssl, TLSEXT_NAMETYPE_host_name));
    secured_close(&s);
}

struct refusal_row {
    const char *ca_file, *certificate, *server_name, *reason;
};

static void others_are_not_and_it_is_said_why(void **state)
{
    static const struct refusal_row rows[] = {
        {"ca.pem", "old", "a.test", "certificate has expired"},
        {"ca.pem", "other", "a.test", "hostname mismatch"},
        {"ca.pem", "good", NULL, "IP address mismatch"},
        {"client.pem", "good", "a.test", "unable to get local issuer certificate"},
        {NULL, "good", "a.test", "certificate"},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        trust(rows[i].ca_file, NULL, false);
        go_to(rows[i].server_name);
        serve_with(rows[i].certificate, 0);
        ask_it(&told, 0);
        struct secured s = accept_secured();
        expect_no_trust(&s, rows[i].reason);
        assert_int_equal(s.got.n, 0);
        secured_close(&s);
        rg_upstreams_close_all(upstreams);
        rg_upstream_service_unref(&to);
        rg_tls_client_unref(&tls);
        SSL_CTX_free(server_ctx);
        server_ctx = NULL;
    }
}

static void unverified_whoever_answers_is_believed(void **state)
{
    (void)state;
    trust(NULL, NULL, true);
    go_to("a.test");
    serve_with("old", 0);
    ask_it(&told, 0);
    struct secured s = accept_secured();
    answer_one(&s);
    secured_close(&s);
}

static void a_client_certificate_is_shown(void **state)
{
    (void)state;
    trust("ca.pem", "client", false);
    go_to("a.test");
    serve_with("good", 0);
    SSL_CTX_load_verify_file(server_ctx, credentials_path("ca.pem"));
    SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    ask_it(&told, 0);
    struct secured s = accept_secured();
    answer_one(&s);
    X509 *shown = SSL_get1_peer_certificate(s.ssl);
    assert_int_equal(X509_check_host(shown, "client.test", 0, 0, NULL), 1);
    X509_free(shown);
    secured_close(&s);
}

static void a_server_that_misses_one_says_so(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    trust("ca.pem", NULL, false);
    go_to("a.test");
    for (size_t i = 0; i < RG_COUNT_OF(versions); i++) {
        serve_with("good", versions[i]);
        SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        ask_it(&told, 0);
        struct secured s = accept_secured();
        WAIT_FOR(&reactor, plays_on(&s));
        assert_int_equal(told.failures, 1);
        assert_non_null(strstr(told.why.text, "alert"));
        secured_close(&s);
        SSL_CTX_free(server_ctx);
        server_ctx = NULL;
    }
}

static void sessions_are_resumed(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    go_to("a.test");
    rg_upstream_service_unref(&to);
    for (size_t i = 0; i < RG_COUNT_OF(versions); i++) {
        trust("ca.pem", NULL, false);
        go_to("a.test");
        serve_with("good", versions[i]);
        for (int j = 0; j < 3; j++) {
            ask_it(&told, 0);
            struct secured s = accept_secured();
            answer_one(&s);
            assert_int_equal(SSL_session_reused(s.ssl), j > 0);
            rg_upstreams_close_all(upstreams);
            secured_close(&s);
        }
        rg_upstream_service_unref(&to);
        rg_tls_client_unref(&tls);
        SSL_CTX_free(server_ctx);
        server_ctx = NULL;
    }
}

static void files_that_cannot_be_used_are_named(void **state)
{
    char good[160], key[160], empty[160];
    struct rg_why why = {0};

    (void)state;
    snprintf(good, sizeof(good), "%s/good.pem", credentials_directory());
    snprintf(key, sizeof(key), "%s/other.key", credentials_directory());
    snprintf(empty, sizeof(empty), "%s/empty.pem", credentials_directory());
    struct rg_tls_client_settings rows[] = {{.ca_file = "/nonexistent"},
                                            {.ca_file = empty},
                                            {.cert_file = empty, .key_file = key},
                                            {.cert_file = good, .key_file = key},
                                            {.cert_file = good}};
    const char *places[] = {"ca_file", "ca_file", "cert_file", "key_file", "key_file"};
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        assert_null(rg_tls_client_new(&rows[i], &why));
        assert_string_equal(why.place, places[i]);
        assert_true(why.text[0] != '\0');
    }
}

/* ---- time, and odd ends ---- */

static void a_handshake_has_to_be_done_in_time(void **state)
{
    (void)state;
    trust("ca.pem", NULL, false);
    go_to("a.test");
    ask_it(&told, 0);
    struct peer silent = service_accept(&reactor, &service);
    peer_turn(&reactor);
    peer_move_time(&reactor, settings.connect_timeout_ms - RG_WHEEL_TICK_MS);
    assert_int_equal(told.failures, 0);
    peer_let_pass(&reactor, RG_WHEEL_TICK_MS);
    expect_failure(&told, RG_UPSTREAM_UNREACHABLE);
    assert_non_null(strstr(told.why.text, "too long"));
    service_expect_end(&reactor, &silent);
    peer_close(&silent);
}

static void what_does_not_speak_tls_is_unreachable(void **state)
{
    static const char *const rows[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", ""};

    (void)state;
    trust("ca.pem", NULL, false);
    go_to("a.test");
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        ask_it(&told, 0);
        struct peer plain = service_accept(&reactor, &service);
        put(&plain, rows[i]);
        peer_close(&plain);
        expect_failure(&told, RG_UPSTREAM_UNREACHABLE);
    }
}

static void a_call_may_be_cancelled_paused_and_resumed_in_the_handshake(void **state)
{
    (void)state;
    trust("ca.pem", NULL, false);
    go_to("a.test");
    serve_with("good", 0);
    ask_it(&told, 0);
    struct secured s = accept_secured();
    peer_turn(&reactor);
    assert_non_null(told.call->conn);
    rg_upstream_pause(told.call);
    rg_upstream_resume(told.call);
    rg_upstream_cancel(told.call);
    told.call = NULL;
    WAIT_FOR(&reactor, secured_sees_end(&s));
    secured_close(&s);
    assert_true(is_unused());
}

static void a_body_that_is_cut_off_is_broken(void **state)
{
    (void)state;
    trust("ca.pem", NULL, false);
    go_to("a.test");
    serve_with("good", 0);
    for (int has_goodbye = 0; has_goodbye < 2; has_goodbye++) {
        ask_it(&told, 0);
        struct secured s = accept_secured();
        WAIT_FOR(&reactor, secured_has(&s, "\r\n\r\n"));
        secured_put(&s, "HTTP/1.1 200 OK\r\n\r\nall", 22);
        if (has_goodbye)
            SSL_shutdown(s.ssl);
        secured_close(&s);
        if (has_goodbye)
            expect_end(&told, "200 -1|\nall");
        else
            expect_failure(&told, RG_UPSTREAM_BROKEN);
    }
}

static void a_goodbye_alone_is_an_end(void **state)
{
    (void)state;
    trust("ca.pem", NULL, false);
    go_to("a.test");
    serve_with("good", 0);
    ask_it(&told, 0);
    struct secured s = accept_secured();
    WAIT_FOR(&reactor, secured_has(&s, "\r\n\r\n"));
    secured_put(&s, "HTTP/1.1 200 OK\r\n\r\nall", 22);
    SSL_shutdown(s.ssl);
    /* The socket stays open. */
    expect_end(&told, "200 -1|\nall");
    secured_close(&s);
}

/* ---- much of it ---- */

static void a_long_answer_comes_whole_with_pauses(void **state)
{
    size_t n = 1000000;
    char *body = rg_alloc(n);
    struct rg_buf expected = {0};

    (void)state;
    for (size_t i = 0; i < n; i++)
        body[i] = (char)('a' + i * 7 % 26);
    rg_buf_add_c(&expected, "200 1000000|\n");
    rg_buf_add(&expected, body, n);
    rg_buf_add_char(&expected, '\0');
    trust("ca.pem", NULL, false);
    go_to("a.test");
    serve_with("good", 0);
    ask_it(&told, 0);
    struct secured s = accept_secured();
    WAIT_FOR(&reactor, secured_has(&s, "\r\n\r\n"));
    told.pauses = AT_BODY;
    secured_put(&s, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", 44);
    size_t done = 0;
    for (int i = 0; i < 100000 && told.ends == 0; i++) {
        int one = done < n ? SSL_write(s.ssl, body + done, (int)(n - done)) : 0;
        done += one > 0 ? (size_t)one : 0;
        peer_turn(&reactor);
        if (told.call != NULL)
            rg_upstream_resume(told.call);
    }
    expect_end(&told, expected.p);
    assert_int_equal(the_address()->idle_n, 1);
    secured_close(&s);
    rg_buf_done(&expected);
    rg_free(body);
}

static void a_long_body_goes_out_whole_while_the_service_reads_slowly(void **state)
{
    size_t n = BIG_N, written = 0;
    int small = 8192;
    char *body = rg_alloc(n);
    char some[30000];
    bool has_room = true;

    (void)state;
    for (size_t i = 0; i < n; i++)
        body[i] = (char)('a' + i * 7 % 26);
    trust("ca.pem", NULL, false);
    go_to("a.test");
    serve_with("good", 0);
    setsockopt(service.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    ask_it(&told, (int64_t)n);
    struct secured s = accept_secured();
    for (int i = 0; i < 100000 && s.got.n < n; i++) {
        unsigned rooms = told.rooms;
        size_t piece = n - written < 70000 ? n - written : 70000;
        if (has_room && piece > 0) {
            has_room = rg_upstream_write(told.call, rg_str_n(body + written, piece));
            written += piece;
            if (written == n)
                rg_upstream_finish(told.call, NULL, 0);
        }
        peer_turn(&reactor);
        has_room |= told.rooms > rooms;
        /* The handshake, and then not before there is no more room. */
        bool reads = !SSL_is_init_finished(s.ssl) || !has_room || written == n;
        int got = reads ? SSL_read(s.ssl, some, sizeof(some)) : 0;
        if (got > 0)
            rg_buf_add(&s.got, some, (size_t)got);
    }
    WAIT_FOR(&reactor, secured_has(&s, "\r\n\r\n"));
    const char *start = (const char *)memmem(s.got.p, s.got.n, "\r\n\r\n", 4) + 4;
    WAIT_FOR(&reactor, secured_sees_end(&s) || s.got.n == n + (size_t)(start - s.got.p));
    start = (const char *)memmem(s.got.p, s.got.n, "\r\n\r\n", 4) + 4;
    assert_memory_equal(start, body, n);
    assert_true(told.rooms > 0);
    secured_put(&s, OK, strlen(OK));
    expect_end(&told, "200 2|\nok");
    assert_int_equal(the_address()->idle_n, 1);
    secured_close(&s);
    rg_free(body);
}

/* Both wait for the other to read. */
static void a_pause_while_the_service_does_not_read_costs_nothing(void **state)
{
    static char bytes[65536];
    int small = 8192, cork = 1;
    size_t turns = 0;

    (void)state;
    trust("ca.pem", NULL, false);
    go_to("a.test");
    serve_with("good", 0);
    setsockopt(service.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    ask_it(&told, -1);
    struct secured s = accept_secured();
    WAIT_FOR(&reactor, secured_has(&s, "\r\n\r\n"));
    while (!told.call->conn->is_blocked) {
        rg_upstream_write(told.call, rg_str_n(bytes, sizeof(bytes)));
        peer_turn(&reactor);
    }
    told.pauses = AT_BODY;
    /* The goodbye comes in the packet of the answer. */
    setsockopt(s.fd, IPPROTO_TCP, TCP_CORK, &cork, sizeof(cork));
    SSL_write(s.ssl, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome", 42);
    SSL_shutdown(s.ssl);
    cork = 0;
    setsockopt(s.fd, IPPROTO_TCP, TCP_CORK, &cork, sizeof(cork));
    WAIT_FOR(&reactor, told.pieces > 0);
    assert_true(told.call->is_paused && told.call->conn->is_blocked);
    for (int i = 0; i < 20; i++) {
        peer_turn(&reactor);
        turns += reactor.sockets.ready_n;
    }
    assert_int_equal(turns, 0);
    rg_upstream_cancel(told.call);
    secured_close(&s);
}

#undef TEST
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown_tls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_certificate_of_the_ca_and_the_name_is_believed),
        TEST(an_address_is_checked_as_one_and_not_told),
        TEST(others_are_not_and_it_is_said_why),
        TEST(unverified_whoever_answers_is_believed),
        TEST(a_client_certificate_is_shown),
        TEST(a_server_that_misses_one_says_so),
        TEST(sessions_are_resumed),
        TEST(files_that_cannot_be_used_are_named),
        TEST(a_handshake_has_to_be_done_in_time),
        TEST(what_does_not_speak_tls_is_unreachable),
        TEST(a_call_may_be_cancelled_paused_and_resumed_in_the_handshake),
        TEST(a_body_that_is_cut_off_is_broken),
        TEST(a_goodbye_alone_is_an_end),
        TEST(a_long_answer_comes_whole_with_pauses),
        TEST(a_long_body_goes_out_whole_while_the_service_reads_slowly),
        TEST(a_pause_while_the_service_does_not_read_costs_nothing),
    };

    stage_begin();
    make_certificates();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    credentials_remove(files);
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    rg_rcu_thread_stop();
    return failed;
}
