/*
 * What the connections of one client share, from several threads at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "credentials.h"
#include "net/tls_client_priv.h"

#define THREADS    4
#define HANDSHAKES 25

static struct rg_tls_client *client;
static SSL_CTX *server_ctx;
static atomic_uint resumed, failed;

/* A handshake, and a record behind which the server's tickets have been read. */
static bool talk(SSL *ours, SSL *theirs)
{
    char byte;

    for (int i = 0; i < 20; i++) {
        int a = SSL_do_handshake(ours);
        int b = SSL_do_handshake(theirs);
        if (a == 1 && b == 1)
            return SSL_write(theirs, "a", 1) == 1 && SSL_read(ours, &byte, 1) == 1;
    }
    return false;
}

static void *shake_hands(void *arg)
{
    (void)arg;
    for (int i = 0; i < HANDSHAKES; i++) {
        struct rg_tls_client_peer peer = {client, (char *)(i % 2 == 0 ? "a.test" : "b.test")};
        SSL *ours = rg_tls_client_connect(client, peer.server_name);
        SSL *theirs = SSL_new(server_ctx);
        BIO *near_end, *far_end;
        rg_assert(BIO_new_bio_pair(&near_end, 0, &far_end, 0) == 1);
        SSL_set_app_data(ours, &peer);
        SSL_set_bio(ours, near_end, near_end);
        SSL_set_bio(theirs, far_end, far_end);
        SSL_set_accept_state(theirs);
        atomic_fetch_add(&failed, !talk(ours, theirs));
        atomic_fetch_add(&resumed, SSL_session_reused(ours) == 1);
        SSL_free(ours);
        SSL_free(theirs);
    }
    return NULL;
}

static void run_threads(int version)
{
    const struct rg_tls_client_settings unverified = {.is_unverified = true};
    pthread_t threads[THREADS];
    struct rg_why why = {0};

    atomic_store(&resumed, 0);
    client = rg_tls_client_new(&unverified, &why);
    server_ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_max_proto_version(server_ctx, version);
    SSL_CTX_use_certificate_file(server_ctx, credentials_path("s.pem"), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(server_ctx, credentials_path("s.key"), SSL_FILETYPE_PEM);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, shake_hands, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    rg_tls_client_unref(&client);
    SSL_CTX_free(server_ctx);
}

static void threads_share_sessions(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(versions); i++) {
        run_threads(versions[i]);
        assert_int_equal(failed, 0);
        /* All but those that began before there was one. */
        assert_true(resumed >= THREADS * (HANDSHAKES - 2));
    }
}

int main(void)
{
    static const char *const files[] = {"s.pem", "s.key", NULL};
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_share_sessions)};

    credentials_make("s.pem", "s.key", "a.test", 10);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    credentials_remove(files);
    return failures;
}
