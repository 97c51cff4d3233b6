/*
 * Sessions are kept by the name that their certificate was checked for, a few and the newest of
 * each. They are copies, and a connection resumes a copy: OpenSSL writes to the session of a
 * connection, and connections are on many threads.
 */
#include "net/tls_client.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/address.h"
#include "net/tls_client_priv.h"
#include "net/tls_pair_priv.h"

#define MAX_SESSIONS 64

struct kept_session {
    char *server_name; /* NULL: none */
    SSL_SESSION *session;
};

struct rg_tls_client {
    atomic_uint refs;
    SSL_CTX *ctx; /* set once */

    pthread_mutex_t lock; /* for the sessions; nothing else is locked while it is held */
    struct kept_session sessions[MAX_SESSIONS];
    unsigned next; /* the oldest */
};

/* ---- sessions ---- */

static struct kept_session *find_session(struct rg_tls_client *client, const char *server_name)
{
    for (size_t i = 0; i < MAX_SESSIONS; i++) {
        struct kept_session *kept = &client->sessions[i];
        if (kept->server_name != NULL && strcmp(kept->server_name, server_name) == 0)
            return kept;
    }
    return NULL;
}

static void forget_session(struct kept_session *kept)
{
    SSL_SESSION_free(kept->session);
    rg_free(kept->server_name);
    *kept = (struct kept_session){0};
}

/* Takes the session. */
static void keep_session(struct rg_tls_client *client, const char *server_name,
                         SSL_SESSION *session)
{
    pthread_mutex_lock(&client->lock);
    struct kept_session *kept = find_session(client, server_name);
    if (kept == NULL)
        kept = &client->sessions[client->next++ % MAX_SESSIONS];
    forget_session(kept);
    kept->server_name = rg_strndup(server_name, strlen(server_name));
    kept->session = session;
    pthread_mutex_unlock(&client->lock);
}

static void resume(struct rg_tls_client *client, const char *server_name, SSL *ssl)
{
    SSL_SESSION *copy = NULL;

    pthread_mutex_lock(&client->lock);
    struct kept_session *kept = find_session(client, server_name);
    if (kept != NULL && SSL_SESSION_is_resumable(kept->session))
        copy = SSL_SESSION_dup(kept->session);
    pthread_mutex_unlock(&client->lock);
    if (copy == NULL)
        return;
    SSL_set_session(ssl, copy);
    SSL_SESSION_free(copy);
}

/* The connection's own is marked as spoilt when the connection breaks, whenever that is. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct rg_tls_client_peer *peer = SSL_get_app_data(ssl);
    SSL_SESSION *copy = SSL_SESSION_dup(session);

    if (copy != NULL)
        keep_session(peer->client, peer->server_name, copy);
    return 0;
}

/* ---- a connection ---- */

/* Whose certificate is expected; a name is also told to the server (RFC 6066 3: no address). */
static bool set_name(SSL *ssl, const char *server_name)
{
    struct rg_address address;

    if (rg_address_parse(&address, server_name, 0))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, server_name) == 1 && SSL_set1_host(ssl, server_name) == 1;
}

SSL *rg_tls_client_connect(struct rg_tls_client *client, const char *server_name)
{
    SSL *ssl = SSL_new(client->ctx);

    if (ssl == NULL)
        return NULL;
    if (!set_name(ssl, server_name)) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    resume(client, server_name, ssl);
    return ssl;
}

/* ---- settings ---- */

static int load_trust(SSL_CTX *ctx, const struct rg_tls_client_settings *settings,
                      struct rg_why *why)
{
    const char *file = settings->ca_file;

    if (settings->is_unverified)
        return 0;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    ERR_clear_error();
    if (file == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1)
        return rg_why_set(why, RG_EINVAL, "ca_file", "the system's certificates are not there: %s",
                          rg_tls_last_error());
    if (file == NULL)
        return 0;
    if (SSL_CTX_load_verify_file(ctx, file) != 1)
        return rg_why_set(why, RG_EINVAL, "ca_file", "the file %s has no PEM certificates: %s",
                          file, rg_tls_last_error());
    /* Whoever names a certificate trusts it, also one that another has issued. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    return 0;
}

static int load_own(SSL_CTX *ctx, const struct rg_tls_client_settings *settings, struct rg_why *why)
{
    const struct rg_tls_settings own = {settings->cert_file, settings->key_file,
                                        settings->key_pass};
    struct rg_tls_pair pair = {0};

    if (settings->cert_file == NULL)
        return 0;
    if (settings->key_file == NULL)
        return rg_why_set(why, RG_EINVAL, "key_file", "a certificate needs its key");
    int err = rg_tls_pair_load(&pair, &own, why);
    if (err == 0 && SSL_CTX_use_cert_and_key(ctx, pair.cert, pair.key, pair.chain, 1) != 1)
        err = rg_why_set(why, RG_EINVAL, "cert_file", "the certificate in %s cannot be used: %s",
                         settings->cert_file, rg_tls_last_error());
    rg_tls_pair_done(&pair);
    return err;
}

static SSL_CTX *make_ctx(void)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    rg_assert(ctx != NULL);
    rg_assert(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    rg_assert(SSL_CTX_set_alpn_protos(ctx, protocols, sizeof(protocols) - 1) == 0);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    /* An idle connection holds no buffers; what is offered again may lie elsewhere. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* A record's head and the rest of it in one system call. */
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    return ctx;
}

struct rg_tls_client *rg_tls_client_new(const struct rg_tls_client_settings *settings,
                                        struct rg_why *why)
{
    struct rg_tls_client *client = rg_zalloc(sizeof(*client));

    atomic_init(&client->refs, 1);
    pthread_mutex_init(&client->lock, NULL);
    client->ctx = make_ctx();
    if (load_trust(client->ctx, settings, why) < 0 || load_own(client->ctx, settings, why) < 0)
        rg_tls_client_unref(&client);
    return client;
}

struct rg_tls_client *rg_tls_client_ref(struct rg_tls_client *client)
{
    atomic_fetch_add_explicit(&client->refs, 1, memory_order_relaxed);
    return client;
}

void rg_tls_client_unref(struct rg_tls_client **clientp)
{
    struct rg_tls_client *client = *clientp;

    *clientp = NULL;
    if (client == NULL || atomic_fetch_sub_explicit(&client->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < MAX_SESSIONS; i++)
        forget_session(&client->sessions[i]);
    SSL_CTX_free(client->ctx);
    pthread_mutex_destroy(&client->lock);
    rg_free(client);
}
