/*
 * load_socket.c - OpenSSL works on the socket itself, with a buffer only while bytes come: a client
 * that waits costs the load generator little.
 */
#include "bench/load_socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/args.h"

static const unsigned char alpn_h1[] = "\010http/1.1";
static const unsigned char alpn_h2[] = "\002h2";

/* Keeps the newest session; takes the reference. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct rg_load_network *net = SSL_get_app_data(ssl);

    SSL_SESSION_free(net->session);
    net->session = session;
    return 1;
}

static SSL_CTX *new_tls(const struct rg_load_plan *plan)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    bool is_h2 = plan->streams > 0;

    if (tls == NULL)
        rg_args_fail("OpenSSL has no TLS client");
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(tls, 1); /* one recv(2) for a record's head and body */
    SSL_CTX_set_quiet_shutdown(tls, 1);
    SSL_CTX_set_alpn_protos(tls, is_h2 ? alpn_h2 : alpn_h1,
                            (is_h2 ? sizeof(alpn_h2) : sizeof(alpn_h1)) - 1);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (plan->is_resuming)
        SSL_CTX_sess_set_new_cb(tls, on_session);
    return tls;
}

void rg_load_network_init(struct rg_load_network *net, const struct rg_load_plan *plan,
                          struct rg_load_shared *shared, struct rg_load_tally *tally)
{
    *net = (struct rg_load_network){.plan = plan, .shared = shared, .tally = tally};
    if (plan->is_tls)
        net->tls = new_tls(plan);
}

void rg_load_network_done(struct rg_load_network *net)
{
    SSL_SESSION_free(net->session);
    SSL_CTX_free(net->tls);
}

static int bound_socket(const struct rg_load_plan *plan, unsigned number)
{
    struct sockaddr_in source = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;

    if (fd < 0)
        rg_args_die("socket");
    /* The port is chosen in connect(2), where only the pair of endpoints must be unique. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
    /* Client and server of a handshake take turns; neither should wait for the other's segments. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number % plan->addresses);
    if (bind(fd, (struct sockaddr *)&source, sizeof(source)) < 0)
        rg_args_die("bind");
    return fd;
}

int rg_load_socket_open(struct rg_load_socket *s, struct rg_load_network *net, unsigned number)
{
    const struct sockaddr_in *server = &net->plan->server;

    *s = (struct rg_load_socket){.fd = bound_socket(net->plan, number)};
    if (connect(s->fd, (const struct sockaddr *)server, sizeof(*server)) < 0 &&
        errno != EINPROGRESS)
        return -errno;
    return 0;
}

/* OpenSSL uses a session of TLS 1.3 only once; a copy is another one. */
static void set_session(SSL *ssl, const SSL_SESSION *session)
{
    SSL_SESSION *copy = SSL_SESSION_dup(session);

    if (copy == NULL || SSL_set_session(ssl, copy) != 1)
        rg_args_fail("OpenSSL refuses a session");
    SSL_SESSION_free(copy);
}

static void start_tls(struct rg_load_socket *s, struct rg_load_network *net)
{
    s->ssl = SSL_new(net->tls);
    if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1)
        rg_args_fail("OpenSSL refuses a new connection");
    SSL_set_app_data(s->ssl, net);
    SSL_set_connect_state(s->ssl);
    if (net->plan->is_resuming && net->session != NULL)
        set_session(s->ssl, net->session);
}

static void note_handshake(struct rg_load_socket *s, struct rg_load_network *net)
{
    char *text = net->shared->tls;

    if (SSL_session_reused(s->ssl))
        atomic_fetch_add(&net->tally->resumed, 1);
    if (net->tally == &net->shared->tallies[0] && text[0] == '\0')
        snprintf(text, sizeof(net->shared->tls), "%s %s", SSL_get_version(s->ssl),
                 SSL_get_cipher_name(s->ssl));
}

int rg_load_socket_connect(struct rg_load_socket *s, struct rg_load_network *net, uint32_t *events)
{
    int code, err = 0;
    socklen_t n = sizeof(err);

    if (net->tls == NULL || s->ssl == NULL) {
        if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0 || err != 0)
            return err != 0 ? -err : -errno;
        if (net->tls == NULL)
            return 1;
        start_tls(s, net);
    }
    ERR_clear_error();
    code = SSL_do_handshake(s->ssl);
    if (code == 1) {
        note_handshake(s, net);
        return 1;
    }
    switch (SSL_get_error(s->ssl, code)) {
    case SSL_ERROR_WANT_READ:
        *events = EPOLLIN;
        return 0;
    case SSL_ERROR_WANT_WRITE:
        *events = EPOLLOUT;
        return 0;
    default:
        return -EPROTO;
    }
}

/* What SSL_read() or SSL_write() returned, as the functions below return it. */
static long tls_result(struct rg_load_socket *s, int code)
{
    switch (SSL_get_error(s->ssl, code)) {
    case SSL_ERROR_NONE:
        return code;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return -ECONNRESET;
    }
}

long rg_load_socket_read(struct rg_load_socket *s, void *p, size_t n)
{
    ssize_t got;

    if (s->ssl != NULL) {
        ERR_clear_error();
        return tls_result(s, SSL_read(s->ssl, p, (int)n));
    }
    got = recv(s->fd, p, n, 0);
    return got < 0 ? -errno : got;
}

long rg_load_socket_write(struct rg_load_socket *s, const void *p, size_t n)
{
    ssize_t put;

    if (s->ssl != NULL) {
        ERR_clear_error();
        return tls_result(s, SSL_write(s->ssl, p, (int)n));
    }
    put = send(s->fd, p, n, MSG_NOSIGNAL);
    return put < 0 ? -errno : put;
}

void rg_load_socket_close(struct rg_load_socket *s)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    if (s->ssl != NULL) {
        /* A session that ended without its alerts could not be resumed. */
        SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(s->ssl);
        s->ssl = NULL;
    }
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(s->fd);
}
