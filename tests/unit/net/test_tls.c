/*
 * A TLS stream on one end of a socket pair and OpenSSL's client on the other, both in the thread of
 * the test, which runs the loop and moves the time.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "credentials.h"
#include "net/tls.h"
#include "peer.h"

#define SMALL_BUFFER 8192 /* of a socket, so that a record of 16 KiB stalls */
#define BIG_N        ((size_t)1 << 20)
#define PASS         "open sesame"

static struct rg_reactor reactor;
static struct rg_tls *tls;
static char *big;

/* ---- the owner of the stream ---- */

static struct {
    struct rg_stream *stream;
    struct rg_buf got;
    size_t read_n; /* bytes asked for at a time */
    unsigned reads, readables, writables, hangups;
    bool has_ended;
    long error; /* of a read; 0: none */
} owner;

static void on_readable(struct rg_stream *stream)
{
    char buffer[RG_READ_BUFFER];

    owner.readables++;
    long n = rg_stream_read(stream, buffer, owner.read_n);
    if (n == UV_EAGAIN)
        return;
    if (n > 0) {
        owner.reads++;
        rg_buf_add(&owner.got, buffer, (size_t)n);
        return;
    }
    owner.has_ended = n == 0;
    owner.error = n < 0 ? n : 0;
    rg_stream_close(&owner.stream);
}

static void on_writable(struct rg_stream *stream)
{
    (void)stream;
    owner.writables++;
    rg_stream_want(owner.stream, true, false);
}

static void on_hangup(struct rg_stream *stream)
{
    (void)stream;
    owner.hangups++;
}

static const struct rg_stream_events events = {on_readable, on_writable, on_hangup};

/* ---- the client ---- */

static struct peer peer = {.fd = -1};
static SSL_CTX *client_ctx;
static SSL *client;
static SSL_SESSION *session; /* the last that a server gave us */

static int keep_session(SSL *ssl, SSL_SESSION *given)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = given;
    return 1;
}

static int seen_end(void)
{
    char byte;

    ERR_clear_error();
    return SSL_get_error(client, SSL_read(client, &byte, 1));
}

/* Opens both ends; no byte has moved. */
static void open_both(int send_buffer)
{
    int fd;

    peer = peer_open(&fd, send_buffer);
    owner.stream = rg_tls_open(tls, &reactor, fd, &events, &owner);
    assert_non_null(owner.stream);
    client = SSL_new(client_ctx);
    SSL_set_fd(client, peer.fd);
    SSL_set_connect_state(client);
}

/* Runs the handshake to its end. 1, or what SSL_get_error() says of the client's. */
static int shake_hands(void)
{
    for (int turns = 0; turns < 100; turns++) {
        ERR_clear_error();
        int ret = SSL_do_handshake(client);
        int err = SSL_get_error(client, ret);
        peer_turn(&reactor);
        if (ret == 1)
            return 1;
        if (err != SSL_ERROR_WANT_READ)
            return -err;
    }
    fail_msg("the handshake does not end");
    return 0;
}

static void connect_with_buffer(int send_buffer)
{
    open_both(send_buffer);
    assert_int_equal(shake_hands(), 1);
}

static void connect_both(void)
{
    connect_with_buffer(0);
}

/* Takes up to max bytes into peer.got; also what is no data: tickets, the end. */
static size_t client_take(size_t max)
{
    size_t before = peer.got.n;

    for (;;) {
        size_t left = max - (peer.got.n - before);
        if (left == 0)
            break;
        ERR_clear_error();
        size_t ask = left < 65536 ? left : 65536;
        int n = SSL_read(client, rg_buf_reserve(&peer.got, ask), (int)ask);
        if (n <= 0)
            break;
        peer.got.n += (size_t)n;
    }
    return peer.got.n - before;
}

static void client_drain(void)
{
    do
        peer_turn(&reactor);
    while (client_take(SIZE_MAX) > 0);
}

static void client_send(const char *p, size_t n)
{
    assert_int_equal(SSL_write(client, p, (int)n), n);
}

static void assert_client_got(const char *p, size_t n)
{
    assert_int_equal(peer.got.n, n);
    assert_memory_equal(peer.got.p, p, n);
}

static void assert_owner_got(const char *p, size_t n)
{
    assert_int_equal(owner.got.n, n);
    assert_memory_equal(owner.got.p, p, n);
}

/* Ends the connection, so that a test can open the next. */
static void disconnect(void)
{
    rg_stream_close(&owner.stream);
    /* A session whose connection was not ended in good order would not be resumed. */
    if (client != NULL)
        SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    client = NULL;
    peer_close(&peer);
    rg_buf_done(&owner.got);
    memset(&owner, 0, sizeof(owner));
    owner.read_n = RG_READ_BUFFER;
    peer_turn(&reactor);
}

static void connect_once(void)
{
    connect_both();
    client_drain(); /* tickets */
}

/* A counter or gauge without labels, or with exactly these. */
static long metric(const char *name_and_labels)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    char line[128];

    rg_tls_expose(&out);
    rg_buf_add_char(&out, '\0');
    snprintf(line, sizeof(line), "\n%s ", name_and_labels);
    const char *at = strstr(out.p, line);
    assert_non_null(at);
    return strtol(at + strlen(line), NULL, 10);
}

#define FULL         "rgate_tls_handshakes_total{resumed=\"no\"}"
#define RESUMED      "rgate_tls_handshakes_total{resumed=\"yes\"}"
#define FAILED(what) "rgate_tls_handshake_failures_total{reason=\"" what "\"}"

/* ---- fixture ---- */

static int set_up(void **state)
{
    struct rg_tls_settings settings = {credentials_path("cert.pem"), credentials_path("key.pem"),
                                       NULL};
    struct rg_why why = {0};

    (void)state;
    peer_reactor_init(&reactor);
    credentials_make("cert.pem", "key.pem", "first.example", 30);
    tls = rg_tls_new(&settings, &why);
    if (tls == NULL)
        fail_msg("%s", why.text);
    client_ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(client_ctx, keep_session);
    SSL_CTX_set_mode(client_ctx, SSL_MODE_AUTO_RETRY);
    memset(&owner, 0, sizeof(owner));
    owner.read_n = RG_READ_BUFFER;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    disconnect();
    SSL_SESSION_free(session);
    session = NULL;
    SSL_CTX_free(client_ctx);
    rg_tls_free(&tls);
    rg_reactor_done(&reactor);
    return 0;
}

/* ---- files ---- */

static struct rg_tls *load(const char *cert, const char *key, const char *pass, struct rg_why *why)
{
    struct rg_tls_settings settings = {credentials_path(cert), credentials_path(key), pass};

    *why = (struct rg_why){0};
    return rg_tls_new(&settings, why);
}

static void assert_loads(const char *cert, const char *key, const char *pass)
{
    struct rg_why why;
    RG_CLEANUP(rg_tls_free) struct rg_tls *loaded = load(cert, key, pass, &why);

    if (loaded == NULL)
        fail_msg("%s, %s: %s: %s", cert, key, why.place, why.text);
}

static void assert_fails(const char *cert, const char *key, const char *pass, const char *place,
                         const char *part)
{
    struct rg_why why;
    RG_CLEANUP(rg_tls_free) struct rg_tls *loaded = load(cert, key, pass, &why);

    assert_null(loaded);
    assert_string_equal(why.place, place);
    if (strstr(why.text, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, why.text);
}

static void a_certificate_is_described(void **state)
{
    char fingerprint[RG_TLS_FINGERPRINT_SIZE];
    int64_t expected = (int64_t)time(NULL) + (int64_t)30 * 86400;

    (void)state;
    assert_in_range(rg_tls_not_after(tls), expected - 60, expected);
    rg_tls_fingerprint(tls, fingerprint);
    assert_int_equal(strspn(fingerprint, "0123456789abcdef"), RG_TLS_FINGERPRINT_SIZE - 1);
}

static void keys_of_all_forms_are_read(void **state)
{
    EVP_PKEY *key = credentials_key();
    X509 *cert = credentials_cert(key, "forms.example", 1);
    BIO *bio;
    FILE *f;

    (void)state;
    credentials_write_cert("cert.pem", cert);
    credentials_write_key("key.pem", key, CREDENTIALS_TRADITIONAL, NULL);
    assert_loads("cert.pem", "key.pem", NULL);
    assert_loads("cert.pem", "key.pem", "not needed");
    credentials_write_key("key.pem", key, CREDENTIALS_PKCS8, PASS);
    assert_loads("cert.pem", "key.pem", PASS);
    credentials_write_key("key.pem", key, CREDENTIALS_TRADITIONAL, PASS);
    assert_loads("cert.pem", "key.pem", PASS);

    /* What `openssl ecparam -genkey` writes: the curve first. */
    f = credentials_open("key.pem");
    fputs("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n", f);
    bio = BIO_new_fp(f, BIO_NOCLOSE);
    PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL);
    BIO_free(bio);
    fclose(f);
    assert_loads("cert.pem", "key.pem", NULL);

    /* Both in one file. */
    f = credentials_open("cert.pem");
    PEM_write_X509(f, cert);
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    assert_loads("cert.pem", "cert.pem", NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void a_wrong_pass_phrase_is_named(void **state)
{
    EVP_PKEY *key = credentials_key();
    X509 *cert = credentials_cert(key, "pass.example", 1);

    (void)state;
    credentials_write_cert("cert.pem", cert);
    for (int form = CREDENTIALS_PKCS8; form <= CREDENTIALS_TRADITIONAL; form++) {
        credentials_write_key("key.pem", key, (enum credentials_form)form, PASS);
        assert_fails("cert.pem", "key.pem", "wrong", "key_pass", credentials_path("key.pem"));
        assert_fails("cert.pem", "key.pem", NULL, "key_pass", "needs a pass phrase");
    }
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void bad_files_are_named(void **state)
{
    (void)state;
    assert_fails("none.pem", "key.pem", NULL, "cert_file", credentials_path("none.pem"));
    assert_fails("cert.pem", "none.pem", NULL, "key_file", credentials_path("none.pem"));
    assert_fails("key.pem", "key.pem", NULL, "cert_file", "no PEM certificate");
    assert_fails("cert.pem", "cert.pem", NULL, "key_file", "no PEM private key");
    assert_fails("", "key.pem", NULL, "cert_file", "not a regular file");
    credentials_write_text("text.pem", "hello\n");
    assert_fails("text.pem", "key.pem", NULL, "cert_file", "no PEM certificate");
    credentials_write_text("text.pem", "");
    assert_fails("cert.pem", "text.pem", NULL, "key_file", "no PEM private key");
}

static void a_pipe_does_not_make_us_wait(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(credentials_path("pipe.pem"), 0600), 0);
    assert_fails("pipe.pem", "key.pem", NULL, "cert_file", "not a regular file");
    assert_fails("cert.pem", "pipe.pem", NULL, "key_file", "not a regular file");
    unlink(credentials_path("pipe.pem"));
}

static void a_damaged_chain_is_named(void **state)
{
    EVP_PKEY *key = credentials_key();
    X509 *cert = credentials_cert(key, "chain.example", 1);
    FILE *f = credentials_open("cert.pem");

    (void)state;
    credentials_write_key("key.pem", key, CREDENTIALS_PKCS8, NULL);
    PEM_write_X509(f, cert);
    PEM_write_X509(f, cert);
    fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", f);
    fclose(f);
    assert_fails("cert.pem", "key.pem", NULL, "cert_file", "certificate 3");
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void the_key_of_another_certificate_is_refused(void **state)
{
    (void)state;
    credentials_make("other.pem", "other-key.pem", "other.example", 1);
    assert_fails("cert.pem", "other-key.pem", NULL, "key_file", "is not the one");
}

static void a_weak_key_is_refused(void **state)
{
    EVP_PKEY *key = EVP_RSA_gen(1024);
    X509 *cert = credentials_cert(key, "weak.example", 1);

    (void)state;
    credentials_write_cert("cert.pem", cert);
    credentials_write_key("key.pem", key, CREDENTIALS_PKCS8, NULL);
    assert_fails("cert.pem", "key.pem", NULL, "cert_file", "too small");
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* ---- handshakes ---- */

static void the_chain_is_sent(void **state)
{
    EVP_PKEY *key = credentials_key();
    X509 *cert = credentials_cert(key, "leaf.example", 1);
    X509 *upper = credentials_cert(key, "upper.example", 1);
    FILE *f = credentials_open("cert.pem");
    struct rg_why why;

    (void)state;
    PEM_write_X509(f, cert);
    PEM_write_X509(f, upper);
    fclose(f);
    credentials_write_key("key.pem", key, CREDENTIALS_PKCS8, NULL);
    assert_int_equal(rg_tls_reload(tls, &why), 0);
    connect_both();
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(client)), 2);
    X509_free(upper);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void both_versions_carry_bytes_both_ways(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(versions); i++) {
        SSL_CTX_set_min_proto_version(client_ctx, versions[i]);
        SSL_CTX_set_max_proto_version(client_ctx, versions[i]);
        long before = metric(FULL);
        connect_both();
        assert_int_equal(SSL_version(client), versions[i]);
        assert_int_equal(metric(FULL), before + 1);
        client_send("hello", 5);
        peer_turn(&reactor);
        assert_owner_got("hello", 5);
        assert_int_equal(rg_stream_write(owner.stream, "welcome", 7), 7);
        client_drain();
        assert_client_got("welcome", 7);
        disconnect();
    }
}

static void every_suite_carries_bytes_both_ways(void **state)
{
    static const struct {
        const char *suite;
        int version;
    } cases[] = {
        {"TLS_AES_128_GCM_SHA256", TLS1_3_VERSION},
        {"TLS_AES_256_GCM_SHA384", TLS1_3_VERSION},
        {"TLS_CHACHA20_POLY1305_SHA256", TLS1_3_VERSION},
        {"ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION},
        {"ECDHE-ECDSA-AES256-GCM-SHA384", TLS1_2_VERSION},
        {"ECDHE-ECDSA-CHACHA20-POLY1305", TLS1_2_VERSION},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        SSL_CTX_set_min_proto_version(client_ctx, cases[i].version);
        SSL_CTX_set_max_proto_version(client_ctx, cases[i].version);
        if (cases[i].version == TLS1_3_VERSION)
            SSL_CTX_set_ciphersuites(client_ctx, cases[i].suite);
        else
            SSL_CTX_set_cipher_list(client_ctx, cases[i].suite);
        connect_both();
        assert_string_equal(SSL_get_cipher_name(client), cases[i].suite);
        for (int round = 0; round < 3; round++) {
            client_send(big, 5000);
            peer_turn(&reactor);
            assert_int_equal(rg_stream_write(owner.stream, big, 40000), 40000);
            client_drain();
        }
        assert_int_equal(owner.got.n, 15000);
        assert_int_equal(peer.got.n, 120000);
        for (int round = 0; round < 3; round++) {
            assert_memory_equal(owner.got.p + round * 5000, big, 5000);
            assert_memory_equal(peer.got.p + round * 40000, big, 40000);
        }
        disconnect();
    }
}

static void older_versions_are_refused(void **state)
{
    long before = metric(FAILED("version"));

    (void)state;
    SSL_CTX_set_security_level(client_ctx, 0);
    SSL_CTX_set_min_proto_version(client_ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(client_ctx, TLS1_1_VERSION);
    open_both(0);
    assert_int_equal(shake_hands(), -SSL_ERROR_SSL);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    assert_int_equal(owner.error, UV_EPROTO);
    assert_int_equal(metric(FAILED("version")), before + 1);
}

static void suites_without_forward_secrecy_or_aead_are_refused(void **state)
{
    static const char *const suites[] = {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256",
                                         "ECDHE-ECDSA-AES256-SHA"};
    long before = metric(FAILED("nothing_common"));

    (void)state;
    SSL_CTX_set_max_proto_version(client_ctx, TLS1_2_VERSION);
    for (size_t i = 0; i < RG_COUNT_OF(suites); i++) {
        assert_int_equal(SSL_CTX_set_cipher_list(client_ctx, suites[i]), 1);
        open_both(0);
        assert_int_equal(shake_hands(), -SSL_ERROR_SSL);
        disconnect();
    }
    assert_int_equal(metric(FAILED("nothing_common")), before + (long)RG_COUNT_OF(suites));
}

/* What comes of a client that offers these protocols. */
static int negotiate(const char *offered, char chosen[16])
{
    const unsigned char *p = NULL;
    unsigned n = 0;

    open_both(0);
    if (offered[0] != '\0')
        SSL_set_alpn_protos(client, (const unsigned char *)offered, (unsigned)strlen(offered));
    int ret = shake_hands();
    SSL_get0_alpn_selected(client, &p, &n);
    snprintf(chosen, 16, "%.*s", (int)n, (const char *)p);
    if (ret == 1)
        assert_int_equal(owner.stream->speaks_h2, strcmp(chosen, "h2") == 0);
    disconnect();
    return ret;
}

static void the_protocol_is_chosen_by_our_preference(void **state)
{
    char chosen[16];

    (void)state;
    assert_int_equal(negotiate("\x08http/1.1\x02h2", chosen), 1);
    assert_string_equal(chosen, "h2");
    assert_int_equal(negotiate("\x06spdy/1\x08http/1.1", chosen), 1);
    assert_string_equal(chosen, "http/1.1");
    assert_int_equal(negotiate("", chosen), 1);
    assert_string_equal(chosen, "");
    assert_int_equal(negotiate("\x06spdy/1", chosen), -SSL_ERROR_SSL);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
}

static void a_handshake_may_come_byte_by_byte(void **state)
{
    BIO *to_server = BIO_new(BIO_s_mem()), *from_server = BIO_new(BIO_s_mem());
    int fd;
    char c;

    (void)state;
    peer = peer_open(&fd, 0);
    owner.stream = rg_tls_open(tls, &reactor, fd, &events, &owner);
    client = SSL_new(client_ctx);
    SSL_set_bio(client, from_server, to_server);
    SSL_set_connect_state(client);
    for (int turns = 0; turns < 10 && SSL_do_handshake(client) != 1; turns++) {
        while (BIO_read(to_server, &c, 1) == 1) {
            peer_put(&peer, &c, 1);
            peer_turn(&reactor);
        }
        peer_read(&reactor, &peer);
        BIO_write(from_server, peer.got.p, (int)peer.got.n);
        peer_forget(&peer);
    }
    assert_true(SSL_is_init_finished(client));
    assert_null(owner.got.p);
}

/* How many of these have something to read. */
static unsigned count_answered(const struct peer *peers, unsigned n)
{
    unsigned answered = 0;
    char byte;

    for (unsigned i = 0; i < n; i++)
        answered += recv(peers[i].fd, &byte, 1, MSG_PEEK) == 1;
    return answered;
}

static void many_handshakes_do_not_hold_up_who_is_connected(void **state)
{
    enum {
        MANY = 100
    };
    struct rg_stream *streams[MANY];
    struct peer peers[MANY];
    SSL *clients[MANY];
    unsigned answered = 0, turns = 0;

    (void)state;
    connect_once();
    for (unsigned i = 0; i < MANY; i++) {
        int fd;
        peers[i] = peer_open(&fd, 0);
        streams[i] = rg_tls_open(tls, &reactor, fd, &events, &owner);
        clients[i] = SSL_new(client_ctx);
        SSL_set_fd(clients[i], peers[i].fd);
        assert_int_equal(SSL_connect(clients[i]), -1);
    }
    client_send("x", 1);
    while (answered < MANY) {
        unsigned before = answered;
        uv_run(&reactor.loop, UV_RUN_NOWAIT);
        answered = count_answered(peers, MANY);
        assert_true(answered <= before + 1);
        assert_true(++turns <= MANY + 2);
        assert_true(turns < 3 || owner.got.n == 1);
    }
    for (unsigned i = 0; i < MANY; i++) {
        SSL_free(clients[i]);
        rg_stream_close(&streams[i]);
        peer_close(&peers[i]);
    }
    assert_owner_got("x", 1);
}

static void a_flight_that_does_not_fit_waits_for_the_socket(void **state)
{
    EVP_PKEY *key = credentials_key();
    X509 *cert = credentials_cert(key, "long.example", 1);
    FILE *f = credentials_open("cert.pem");
    struct rg_why why;

    (void)state;
    /* More than the socket takes at once. */
    for (int i = 0; i < 60; i++)
        PEM_write_X509(f, cert);
    fclose(f);
    credentials_write_key("key.pem", key, CREDENTIALS_PKCS8, NULL);
    assert_int_equal(rg_tls_reload(tls, &why), 0);
    connect_with_buffer(1);
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(client)), 60);
    client_send("hello", 5);
    peer_turn(&reactor);
    assert_owner_got("hello", 5);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void assert_broken(long error, const char *counter, long before)
{
    assert_int_equal(owner.error, error);
    assert_null(owner.stream);
    assert_int_equal(metric(counter), before + 1);
}

static void garbage_instead_of_a_handshake_breaks_the_stream(void **state)
{
    long before = metric(FAILED("not_tls"));

    (void)state;
    open_both(0);
    peer_send(&reactor, &peer, "\x7f\x45LF and more of it, as much as a record's head needs");
    assert_broken(UV_EPROTO, FAILED("not_tls"), before);
}

static void plain_http_is_answered_in_its_own_words(void **state)
{
    long before = metric(FAILED("plain_http"));

    (void)state;
    open_both(0);
    peer_send(&reactor, &peer, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_broken(UV_EPROTO, FAILED("plain_http"), before);
    peer_read(&reactor, &peer);
    assert_true(peer_has(&peer, "HTTP/1.1 400 Bad Request\r\n"));
    const char *body = strstr(peer.got.p, "\r\n\r\n") + 4;
    const char *length = strstr(peer.got.p, "content-length: ") + 16;
    assert_int_equal(strlen(body), strtol(length, NULL, 10));
    assert_true(peer.has_seen_end);
}

static void a_peer_that_goes_away_in_its_handshake_is_forgotten(void **state)
{
    long before = metric(FAILED("closed"));

    (void)state;
    open_both(0);
    peer_turn(&reactor);
    peer_close(&peer);
    peer_turn(&reactor);
    assert_null(owner.stream);
    assert_int_equal(metric(FAILED("closed")), before + 1);
    disconnect();

    open_both(0);
    peer_send(&reactor, &peer, "\x16\x03\x01\x02");
    peer_close(&peer);
    peer_turn(&reactor);
    assert_null(owner.stream);
    assert_int_equal(metric(FAILED("closed")), before + 2);
}

static void a_handshake_that_takes_too_long_is_cut(void **state)
{
    long before = metric(FAILED("timeout"));

    (void)state;
    rg_tls_set_handshake_timeout(tls, 5000);
    open_both(0);
    peer_move_time(&reactor, 4000);
    peer_send(&reactor, &peer, "\x16\x03\x01\x02");
    assert_non_null(owner.stream);
    peer_let_pass(&reactor, 1000);
    assert_broken(UV_ETIMEDOUT, FAILED("timeout"), before);
}

static void the_deadline_ends_with_the_handshake(void **state)
{
    (void)state;
    connect_both();
    peer_let_pass(&reactor, 3600000);
    assert_non_null(owner.stream);
}

static void a_client_that_does_not_trust_us_is_counted(void **state)
{
    long before = metric(FAILED("alert"));

    (void)state;
    /* In TLS 1.2 the client's word comes before our handshake is done. */
    SSL_CTX_set_max_proto_version(client_ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
    open_both(0);
    assert_int_equal(shake_hands(), -SSL_ERROR_SSL);
    peer_turn(&reactor);
    assert_broken(UV_EPROTO, FAILED("alert"), before);
}

/* ---- reading ---- */

static void a_small_buffer_reads_a_record_to_its_end(void **state)
{
    (void)state;
    owner.read_n = 1000;
    connect_both();
    client_send(big, 16384);
    peer_turn(&reactor);
    for (int turns = 0; turns < 20; turns++)
        peer_turn(&reactor);
    assert_owner_got(big, 16384);
    assert_int_equal(owner.reads, 17);
}

static void many_records_at_once_are_read_to_the_last(void **state)
{
    static const size_t buffers[] = {RG_READ_BUFFER, 20000, 16384, 700};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(buffers); i++) {
        size_t sent = 0;
        owner.read_n = buffers[i];
        connect_both();
        for (size_t n = 1; sent < 100000; n = n * 5 % 7919) {
            client_send(big + sent, n);
            sent += n;
        }
        for (int turns = 0; owner.got.n < sent && turns < 1000; turns++)
            peer_turn(&reactor);
        assert_owner_got(big, sent);
        disconnect();
    }
}

static void records_may_come_in_pieces(void **state)
{
    struct rg_buf bytes = {0};

    (void)state;
    connect_once();
    /* What the client would write goes through a buffer. */
    BIO *buffer = BIO_new(BIO_s_mem());
    SSL_set0_wbio(client, buffer);
    for (size_t at = 0; at < 50000; at += 10000)
        client_send(big + at, 10000);
    rg_buf_reserve(&bytes, 60000);
    bytes.n = (size_t)BIO_read(buffer, bytes.p, 60000);
    for (size_t at = 0; at < bytes.n; at += 97) {
        peer_put(&peer, bytes.p + at, bytes.n - at < 97 ? bytes.n - at : 97);
        peer_turn(&reactor);
    }
    assert_owner_got(big, 50000);
    rg_buf_done(&bytes);
}

static void padded_records_are_read(void **state)
{
    (void)state;
    SSL_CTX_set_block_padding(client_ctx, 4096);
    connect_both();
    client_send("hello", 5);
    peer_turn(&reactor);
    assert_owner_got("hello", 5);
}

/* The client learns by an alert what was wrong with its bytes. */
static void assert_alert(const char *p, size_t n, int reason)
{
    connect_once();
    peer_put(&peer, p, n);
    peer_turn(&reactor);
    assert_null(owner.stream);
    assert_int_equal(owner.error, UV_EPROTO);
    assert_int_equal(seen_end(), SSL_ERROR_SSL);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), reason);
    disconnect();
}

static void bad_records_are_answered_with_an_alert(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    char forged[45] = "\x17\x03\x03\x00\x28";

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(versions); i++) {
        SSL_CTX_set_min_proto_version(client_ctx, versions[i]);
        SSL_CTX_set_max_proto_version(client_ctx, versions[i]);
        assert_alert(forged, sizeof(forged), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
        assert_alert("\x17\x03\x03\x50\x00", 5, SSL_R_TLSV1_ALERT_RECORD_OVERFLOW);
        assert_alert("\x17\x03\x03\x00\x01x", 6, SSL_R_TLSV1_ALERT_DECODE_ERROR);
        assert_alert("\x14\x03\x03\x00\x01\x01", 6, SSL_R_SSLV3_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void what_came_before_a_bad_record_is_read(void **state)
{
    (void)state;
    connect_both();
    client_send("hello", 5);
    peer_put(&peer, "\x17\x03\x03\x50\x00", 5);
    peer_turn(&reactor);
    assert_owner_got("hello", 5);
    assert_int_equal(owner.error, UV_EPROTO);
}

static void what_is_left_of_a_record_waits_while_reading_is_off(void **state)
{
    (void)state;
    owner.read_n = 10;
    connect_both();
    rg_stream_want(owner.stream, false, false);
    client_send("0123456789abcde", 15);
    peer_turn(&reactor);
    assert_int_equal(owner.got.n, 0);
    /* Reads part of it and turns reading off. */
    on_readable(owner.stream);
    assert_owner_got("0123456789", 10);
    unsigned told = owner.readables;
    peer_turn(&reactor);
    assert_int_equal(owner.readables, told);
    rg_stream_want(owner.stream, true, false);
    peer_turn(&reactor);
    assert_owner_got("0123456789abcde", 15);
}

static void a_stream_may_be_closed_with_a_record_half_read(void **state)
{
    char buffer[10];

    (void)state;
    connect_both();
    rg_stream_want(owner.stream, false, false);
    client_send(big, 1000);
    assert_int_equal(rg_stream_read(owner.stream, buffer, sizeof(buffer)), 10);
    unsigned told = owner.readables;
    rg_stream_close(&owner.stream);
    peer_turn(&reactor);
    assert_int_equal(owner.readables, told);
}

static void a_goodbye_is_the_end(void **state)
{
    (void)state;
    connect_both();
    client_send("last", 4);
    SSL_shutdown(client);
    peer_turn(&reactor);
    assert_owner_got("last", 4);
    assert_true(owner.has_ended);
}

static void so_is_a_peer_that_vanishes(void **state)
{
    (void)state;
    connect_both();
    client_send("last", 4);
    peer_half_close(&peer);
    peer_turn(&reactor);
    assert_owner_got("last", 4);
    assert_true(owner.has_ended);
}

static void a_hangup_is_told_when_nothing_is_asked_for(void **state)
{
    (void)state;
    connect_both();
    rg_stream_want(owner.stream, false, false);
    peer_half_close(&peer);
    peer_turn(&reactor);
    assert_true(owner.hangups > 0);
}

static void garbage_after_the_handshake_breaks_the_stream(void **state)
{
    (void)state;
    connect_both();
    peer_send(&reactor, &peer, "GET / HTTP/1.1\r\n\r\n");
    assert_null(owner.stream);
    assert_int_equal(owner.error, UV_EPROTO);
}

static void a_peer_may_ask_for_new_keys(void **state)
{
    (void)state;
    connect_once();
    assert_int_equal(SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED), 1);
    client_send("new", 3);
    peer_turn(&reactor);
    assert_owner_got("new", 3);
    assert_int_equal(rg_stream_write(owner.stream, "keys", 4), 4);
    client_drain();
    assert_client_got("keys", 4);
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    SSL_CTX_set_max_proto_version(client_ctx, TLS1_2_VERSION);
    connect_once();
    assert_int_equal(SSL_renegotiate(client), 1);
    SSL_do_handshake(client);
    peer_turn(&reactor);
    ERR_clear_error();
    assert_true(SSL_do_handshake(client) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_NO_RENEGOTIATION);
}

/* ---- writing ---- */

static void slices_share_records(void **state)
{
    struct iovec iov[64];
    char piece[100];

    (void)state;
    connect_once();
    for (size_t i = 0; i < RG_COUNT_OF(iov); i++)
        iov[i] = (struct iovec){big + i * 300, i % 7 == 3 ? 0 : 300};
    size_t n = 0;
    for (size_t i = 0; i < RG_COUNT_OF(iov); i++)
        n += iov[i].iov_len;
    assert_int_equal(rg_stream_writev(owner.stream, iov, RG_COUNT_OF(iov)), n);

    /* One byte of the first record makes OpenSSL hold the rest of it. */
    assert_int_equal(SSL_read(client, piece, 1), 1);
    assert_int_equal(SSL_pending(client), 54 * 300 - 1); /* a 55th does not fit */
    rg_buf_add(&peer.got, piece, 1);
    client_drain();
    struct rg_buf expected = {0};
    for (size_t i = 0; i < RG_COUNT_OF(iov); i++)
        rg_buf_add(&expected, iov[i].iov_base, iov[i].iov_len);
    assert_client_got(expected.p, expected.n);
    rg_buf_done(&expected);
}

static void nothing_to_write_is_no_record(void **state)
{
    struct iovec iov[2] = {{big, 0}, {big, 0}};

    (void)state;
    connect_once();
    assert_int_equal(rg_stream_write(owner.stream, "", 0), 0);
    assert_int_equal(rg_stream_writev(owner.stream, iov, 2), 0);
    peer_turn(&reactor);
    assert_int_equal(peer_take(&peer, 1), 0);
}

static void what_the_socket_does_not_take_stays_with_the_owner(void **state)
{
    size_t at = 0;
    unsigned stalls = 0;

    (void)state;
    connect_with_buffer(SMALL_BUFFER);
    client_drain();
    while (at < BIG_N) {
        long n = rg_stream_write(owner.stream, big + at, BIG_N - at);
        if (n == UV_EAGAIN) {
            stalls++;
            unsigned told = owner.writables;
            rg_stream_want(owner.stream, true, true);
            peer_turn(&reactor);
            /* The peer has taken nothing, so there is nothing to tell. */
            assert_int_equal(owner.writables, told);
            for (int turns = 0; owner.writables == told && turns < 1000; turns++) {
                client_take(1500);
                peer_turn(&reactor);
            }
            assert_int_equal(owner.writables, told + 1);
            continue;
        }
        assert_true(n > 0);
        at += (size_t)n;
    }
    assert_true(stalls > 10);
    client_drain();
    assert_client_got(big, BIG_N);
}

static void the_last_byte_of_a_stalled_record_is_not_yet_written(void **state)
{
    size_t records = 0;
    long n;

    (void)state;
    connect_with_buffer(SMALL_BUFFER);
    client_drain();
    while ((n = rg_stream_write(owner.stream, big, 16000)) == 16000)
        records++;
    assert_int_equal(n, 15999);
    assert_int_equal(rg_stream_write(owner.stream, big + 15999, 1), UV_EAGAIN);
    /* It is out when the rest is, and is not sent twice. */
    rg_stream_want(owner.stream, true, true);
    client_drain();
    assert_int_equal(owner.writables, 1);
    assert_int_equal(peer.got.n, (records + 1) * 16000);
    assert_int_equal(rg_stream_write(owner.stream, big + 15999, 1), 1);
    assert_int_equal(rg_stream_write(owner.stream, "x", 1), 1);
    client_drain();
    assert_int_equal(peer.got.n, (records + 1) * 16000 + 1);
    assert_memory_equal(peer.got.p + records * 16000, big, 16000);
    assert_int_equal(peer.got.p[peer.got.n - 1], 'x');
}

static void slices_that_stall_arrive_once_and_in_order(void **state)
{
    size_t at = 0;

    (void)state;
    connect_with_buffer(SMALL_BUFFER);
    client_drain();
    while (at < BIG_N) {
        struct iovec iov[16];
        int slices = 0;
        size_t offered = at;
        while (slices < 16 && offered < BIG_N) {
            size_t n = (offered * 7 + 13) % 5000;
            n = n < BIG_N - offered ? n : BIG_N - offered;
            iov[slices++] = (struct iovec){big + offered, n};
            offered += n;
        }
        long n = rg_stream_writev(owner.stream, iov, slices);
        if (n == UV_EAGAIN) {
            client_take(3000);
            rg_stream_want(owner.stream, true, true);
            peer_turn(&reactor);
            continue;
        }
        assert_true(n >= 0);
        at += (size_t)n;
    }
    rg_stream_want(owner.stream, true, true);
    client_drain();
    assert_client_got(big, BIG_N);
}

static void a_stalled_stream_still_reads(void **state)
{
    (void)state;
    connect_with_buffer(SMALL_BUFFER);
    client_drain();
    assert_true(rg_stream_write(owner.stream, big, 65536) < 65536);
    rg_stream_want(owner.stream, true, true);
    client_send("hello", 5);
    peer_turn(&reactor);
    assert_owner_got("hello", 5);
}

static void a_stalled_stream_may_be_closed(void **state)
{
    (void)state;
    connect_with_buffer(SMALL_BUFFER);
    client_drain();
    assert_true(rg_stream_write(owner.stream, big, 65536) < 65536);
    rg_stream_close(&owner.stream);
    client_drain();
    /* No goodbye in the middle of a record: the client must see that something is missing. */
    assert_int_not_equal(seen_end(), SSL_ERROR_ZERO_RETURN);
}

static void writing_to_a_peer_that_is_gone_is_an_error(void **state)
{
    (void)state;
    connect_both();
    rg_stream_want(owner.stream, false, false);
    peer_close(&peer);
    assert_true(rg_stream_write(owner.stream, "x", 1) < 0);
    assert_true(rg_stream_write(owner.stream, "x", 1) < 0);
    rg_stream_close(&owner.stream);
}

static void nothing_is_written_before_the_handshake(void **state)
{
    (void)state;
    open_both(0);
    assert_int_equal(rg_stream_write(owner.stream, "x", 1), UV_EAGAIN);
    rg_stream_want(owner.stream, false, true);
    peer_turn(&reactor);
    assert_int_equal(owner.writables, 0);
    assert_int_equal(shake_hands(), 1);
    assert_int_equal(owner.writables, 1);
    assert_int_equal(rg_stream_write(owner.stream, "x", 1), 1);
}

/* ---- the end ---- */

static void closing_says_goodbye(void **state)
{
    (void)state;
    connect_both();
    rg_stream_write(owner.stream, "bye", 3);
    rg_stream_close(&owner.stream);
    client_drain();
    assert_client_got("bye", 3);
    assert_int_equal(seen_end(), SSL_ERROR_ZERO_RETURN);
}

static void after_a_shutdown_the_peer_may_still_speak(void **state)
{
    (void)state;
    connect_both();
    rg_stream_write(owner.stream, "bye", 3);
    rg_stream_shutdown(owner.stream);
    client_drain();
    assert_client_got("bye", 3);
    assert_int_equal(seen_end(), SSL_ERROR_ZERO_RETURN);
    client_send("wait", 4);
    peer_turn(&reactor);
    assert_owner_got("wait", 4);
    SSL_shutdown(client);
    peer_turn(&reactor);
    assert_true(owner.has_ended);
}

/* ---- resumption and reloading ---- */

static X509 *shown(void)
{
    return SSL_get0_peer_certificate(client);
}

static bool is_shown(const char *common_name)
{
    char name[64] = "";

    X509_NAME_get_text_by_NID(X509_get_subject_name(shown()), NID_commonName, name, sizeof(name));
    return strcmp(name, common_name) == 0;
}

static void sessions_are_resumed_also_after_a_reload(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct rg_why why;

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(versions); i++) {
        SSL_CTX_set_min_proto_version(client_ctx, versions[i]);
        SSL_CTX_set_max_proto_version(client_ctx, versions[i]);
        long before = metric(RESUMED);
        connect_once();
        assert_false(SSL_session_reused(client));
        disconnect();
        for (int again = 0; again < 3; again++) {
            if (again == 2) {
                credentials_make("cert.pem", "key.pem", "second.example", 30);
                assert_int_equal(rg_tls_reload(tls, &why), 0);
            }
            open_both(0);
            assert_int_equal(SSL_set_session(client, session), 1);
            assert_int_equal(shake_hands(), 1);
            client_drain();
            assert_true(SSL_session_reused(client));
            assert_int_equal(metric(RESUMED), before + again + 1);
            disconnect();
        }
    }
}

static void a_reload_is_for_connections_from_now_on(void **state)
{
    char before[RG_TLS_FINGERPRINT_SIZE], after[RG_TLS_FINGERPRINT_SIZE];
    struct rg_why why;

    (void)state;
    connect_once();
    rg_tls_fingerprint(tls, before);
    int64_t ends = rg_tls_not_after(tls);
    credentials_make("cert.pem", "key.pem", "second.example", 60);
    assert_int_equal(rg_tls_reload(tls, &why), 0);
    rg_tls_fingerprint(tls, after);
    assert_string_not_equal(before, after);
    assert_true(rg_tls_not_after(tls) > ends);
    rg_rcu_barrier(); /* the old identity is gone from our side */

    client_send("still here", 10);
    peer_turn(&reactor);
    assert_owner_got("still here", 10);
    assert_true(is_shown("first.example"));
    disconnect();
    connect_once();
    assert_true(is_shown("second.example"));
}

static void a_failed_reload_changes_nothing(void **state)
{
    char before[RG_TLS_FINGERPRINT_SIZE], after[RG_TLS_FINGERPRINT_SIZE];
    struct rg_why why = {0};

    (void)state;
    rg_tls_fingerprint(tls, before);
    credentials_write_text("cert.pem", "broken\n");
    assert_true(rg_tls_reload(tls, &why) < 0);
    assert_string_equal(why.place, "cert_file");
    credentials_make("cert.pem", "other-key.pem", "second.example", 60);
    assert_true(rg_tls_reload(tls, &why) < 0);
    assert_string_equal(why.place, "key_file");
    rg_tls_fingerprint(tls, after);
    assert_string_equal(before, after);
    connect_once();
    assert_true(is_shown("first.example"));
}

static void a_self_signed_certificate_is_for_this_machine(void **state)
{
    char before[RG_TLS_FINGERPRINT_SIZE], after[RG_TLS_FINGERPRINT_SIZE];
    struct rg_why why;

    (void)state;
    rg_tls_free(&tls);
    tls = rg_tls_new_self_signed(&why);
    assert_non_null(tls);
    connect_once();
    assert_int_equal(X509_check_host(shown(), "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(shown(), "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(shown(), "::1", 0), 1);
    assert_int_equal(X509_check_host(shown(), "example.com", 0, 0, NULL), 0);
    assert_true(rg_tls_not_after(tls) > (int64_t)time(NULL));
    rg_tls_fingerprint(tls, before);
    assert_int_equal(rg_tls_reload(tls, &why), 0);
    rg_tls_fingerprint(tls, after);
    assert_string_equal(before, after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_certificate_is_described),
        TEST(keys_of_all_forms_are_read),
        TEST(a_wrong_pass_phrase_is_named),
        TEST(bad_files_are_named),
        TEST(a_pipe_does_not_make_us_wait),
        TEST(a_damaged_chain_is_named),
        TEST(the_key_of_another_certificate_is_refused),
        TEST(a_weak_key_is_refused),
        TEST(the_chain_is_sent),
        TEST(both_versions_carry_bytes_both_ways),
        TEST(every_suite_carries_bytes_both_ways),
        TEST(older_versions_are_refused),
        TEST(suites_without_forward_secrecy_or_aead_are_refused),
        TEST(the_protocol_is_chosen_by_our_preference),
        TEST(a_handshake_may_come_byte_by_byte),
        TEST(many_handshakes_do_not_hold_up_who_is_connected),
        TEST(a_flight_that_does_not_fit_waits_for_the_socket),
        TEST(garbage_instead_of_a_handshake_breaks_the_stream),
        TEST(plain_http_is_answered_in_its_own_words),
        TEST(a_peer_that_goes_away_in_its_handshake_is_forgotten),
        TEST(a_handshake_that_takes_too_long_is_cut),
        TEST(the_deadline_ends_with_the_handshake),
        TEST(a_client_that_does_not_trust_us_is_counted),
        TEST(a_small_buffer_reads_a_record_to_its_end),
        TEST(many_records_at_once_are_read_to_the_last),
        TEST(records_may_come_in_pieces),
        TEST(padded_records_are_read),
        TEST(bad_records_are_answered_with_an_alert),
        TEST(what_came_before_a_bad_record_is_read),
        TEST(what_is_left_of_a_record_waits_while_reading_is_off),
        TEST(a_stream_may_be_closed_with_a_record_half_read),
        TEST(a_goodbye_is_the_end),
        TEST(so_is_a_peer_that_vanishes),
        TEST(a_hangup_is_told_when_nothing_is_asked_for),
        TEST(garbage_after_the_handshake_breaks_the_stream),
        TEST(a_peer_may_ask_for_new_keys),
        TEST(renegotiation_is_refused),
        TEST(slices_share_records),
        TEST(nothing_to_write_is_no_record),
        TEST(what_the_socket_does_not_take_stays_with_the_owner),
        TEST(the_last_byte_of_a_stalled_record_is_not_yet_written),
        TEST(slices_that_stall_arrive_once_and_in_order),
        TEST(a_stalled_stream_still_reads),
        TEST(a_stalled_stream_may_be_closed),
        TEST(writing_to_a_peer_that_is_gone_is_an_error),
        TEST(nothing_is_written_before_the_handshake),
        TEST(closing_says_goodbye),
        TEST(after_a_shutdown_the_peer_may_still_speak),
        TEST(sessions_are_resumed_also_after_a_reload),
        TEST(a_reload_is_for_connections_from_now_on),
        TEST(a_failed_reload_changes_nothing),
        TEST(a_self_signed_certificate_is_for_this_machine),
    };
    static const char *const files[] = {"cert.pem",      "key.pem",  "other.pem",
                                        "other-key.pem", "text.pem", NULL};

    signal(SIGPIPE, SIG_IGN);
    rg_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    rg_rcu_thread_start();
    big = rg_alloc(BIG_N);
    for (size_t i = 0; i < BIG_N; i++)
        big[i] = (char)(i * 31 % 251);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_free(big);
    rg_rcu_barrier();
    rg_rcu_thread_stop();
    credentials_remove(files);
    return failed;
}
