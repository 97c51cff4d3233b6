/*
 * OpenSSL on the socket itself (a socket BIO), for the handshake and for records.
 *
 * - The handshake runs whenever the socket is ready, whatever the owner asks for; then, or when it
 *   has failed, the owner is told what it has asked for.
 *
 * - A read may leave something where the socket does not see it: a nudge tells the owner in the
 * next turn of the loop.
 *
 * - Slices are joined to whole records. One that the socket takes in part is OpenSSL's to finish,
 *   and the owner comes back with at least its bytes (stream.h).
 */
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/socket_priv.h"
#include "net/tls_client_priv.h"

#define MAX_RECORD ((size_t)16 * 1024)

struct tls_stream {
    struct rg_socket socket; /* first */
    SSL *ssl;
    struct rg_tls_client_peer peer;
    struct rg_timer deadline; /* of the handshake */
    bool is_ready;            /* the handshake is done */
    bool awaits_writable;     /* OpenSSL has to write before it can go on */
    bool has_more;            /* the owner's buffer was full */
    bool has_ended;           /* the server has said goodbye */
    int error;                /* what broke it; 0: nothing has */
    char why[200];
};

static struct tls_stream *of_stream(struct rg_stream *stream)
{
    return RG_CONTAINER_OF(stream, struct tls_stream, socket.stream);
}

/* ---- readiness ---- */

/* What the owner's next call has to tell, or brings, without the socket. */
static unsigned due(const struct tls_stream *t)
{
    if (t->error != 0)
        return RG_READY_READ | RG_READY_WRITE;
    return t->has_more || t->has_ended ? RG_READY_READ : 0;
}

static void watch(struct tls_stream *t)
{
    const struct rg_stream *stream = &t->socket.stream;
    unsigned interest = 0;

    if (!t->is_ready && t->error == 0) {
        interest = t->awaits_writable ? RG_READY_WRITE : RG_READY_READ;
    } else {
        interest |= stream->wants_read ? RG_READY_READ : 0;
        interest |= stream->wants_write || t->awaits_writable ? RG_READY_WRITE : 0;
    }
    rg_socket_watch(&t->socket, interest);
    /* Nothing else: who waits to write while it does not read would be told for ever. */
    if ((due(t) & interest) != 0)
        rg_socket_nudge(&t->socket, due(t));
}

/* ---- failures ---- */

/* The reason for a person: of the certificate first, which is what people get wrong. */
static void note_why(struct tls_stream *t, const char *otherwise)
{
    long verdict = SSL_get_verify_result(t->ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    if (verdict != X509_V_OK && SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE)
        reason = X509_verify_cert_error_string(verdict);
    snprintf(t->why, sizeof(t->why), "%s", reason != NULL ? reason : otherwise);
}

/* From OpenSSL's last result, which was no success and none that is waited for. */
static void note_failure(struct tls_stream *t, int result)
{
    int system = errno;
    bool is_eof = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;

    if (result == SSL_ERROR_SSL && !is_eof) {
        t->error = UV_EPROTO;
        note_why(t, "TLS failed");
    } else {
        /* Cut off without a goodbye, which nobody is to take for an end. */
        t->error = result == SSL_ERROR_SYSCALL && system != 0 ? -system : UV_ECONNRESET;
        if (!t->is_ready)
            snprintf(t->why, sizeof(t->why), "the connection ended in the TLS handshake");
    }
    ERR_clear_error();
}

/* True if that is all for now; else something is broken, or at its end. */
static bool has_to_wait(struct tls_stream *t, int n)
{
    int result = SSL_get_error(t->ssl, n);

    t->awaits_writable = false;
    switch (result) {
    case SSL_ERROR_WANT_READ:
        rg_socket_not_ready(&t->socket, RG_READY_READ);
        return true;
    case SSL_ERROR_WANT_WRITE:
        rg_socket_not_ready(&t->socket, RG_READY_WRITE);
        t->awaits_writable = true;
        return true;
    case SSL_ERROR_ZERO_RETURN:
        t->has_ended = true;
        return false;
    default:
        note_failure(t, result);
        return false;
    }
}

/* ---- the handshake ---- */

/* True if there is something to tell: it is done, or has failed. */
static bool shake_hands(struct tls_stream *t)
{
    ERR_clear_error();
    errno = 0;
    int n = SSL_do_handshake(t->ssl);

    if (n == 1) {
        t->is_ready = true;
        t->awaits_writable = false;
    } else if (has_to_wait(t, n)) {
        return false;
    } else if (t->error == 0) {
        t->error = UV_ECONNRESET;
    }
    rg_reactor_cancel_timer(t->socket.stream.reactor, &t->deadline);
    return true;
}

static void on_deadline(struct rg_timer *timer)
{
    struct tls_stream *t = RG_CONTAINER_OF(timer, struct tls_stream, deadline);

    t->error = UV_ETIMEDOUT;
    snprintf(t->why, sizeof(t->why), "the TLS handshake takes too long");
    watch(t);
    rg_socket_tell(&t->socket, RG_READY_READ | RG_READY_WRITE);
}

static void on_ready(struct rg_socket *socket, unsigned events)
{
    struct tls_stream *t = RG_CONTAINER_OF(socket, struct tls_stream, socket);
    bool was_open = t->is_ready || t->error != 0;

    if (!was_open && !shake_hands(t)) {
        watch(t);
        return;
    }
    if (!was_open || t->awaits_writable) {
        events |= RG_READY_READ | RG_READY_WRITE;
        /* Who reads or writes next finds out whether it still does. */
        t->awaits_writable = false;
        watch(t);
    }
    rg_socket_tell(socket, events);
}

/* ---- reading and writing ---- */

static long tls_read(struct rg_stream *stream, void *p, size_t n)
{
    struct tls_stream *t = of_stream(stream);
    size_t got = 0;

    bool goes_on = t->is_ready && t->error == 0 && !t->has_ended;
    t->has_more = false;
    while (goes_on && got < n) {
        ERR_clear_error();
        errno = 0;
        int one = SSL_read(t->ssl, (char *)p + got, (int)(n - got));
        if (one <= 0) {
            has_to_wait(t, one);
            goes_on = false;
        } else {
            got += (size_t)one;
            /* Else the socket tells, and no system call is needed to know that. */
            goes_on = SSL_has_pending(t->ssl) == 1;
        }
    }
    t->has_more = goes_on;
    watch(t);
    if (got > 0)
        return (long)got;
    if (t->has_ended)
        return 0;
    return t->error != 0 ? t->error : UV_EAGAIN;
}

/* What a record can take of the slices behind the first skip bytes; long slices are not copied. */
static struct rg_str join(const struct iovec *iov, int n, size_t skip, char *buffer)
{
    size_t filled = 0;

    for (int i = 0; i < n && filled < MAX_RECORD; i++) {
        size_t from = skip < iov[i].iov_len ? skip : iov[i].iov_len;
        struct rg_str rest = rg_str_n((const char *)iov[i].iov_base + from, iov[i].iov_len - from);
        skip -= from;
        if (filled == 0 && (rest.n >= MAX_RECORD || i == n - 1))
            return rg_str_n(rest.p, rest.n < MAX_RECORD ? rest.n : MAX_RECORD);
        size_t run = rest.n < MAX_RECORD - filled ? rest.n : MAX_RECORD - filled;
        if (run > 0)
            memcpy(buffer + filled, rest.p, run);
        filled += run;
    }
    return rg_str_n(buffer, filled);
}

static long tls_writev(struct rg_stream *stream, const struct iovec *iov, int n)
{
    struct tls_stream *t = of_stream(stream);
    char buffer[MAX_RECORD];
    size_t done = 0;
    bool goes_on = t->is_ready && t->error == 0;

    while (goes_on) {
        struct rg_str record = join(iov, n, done, buffer);
        if (record.n == 0)
            break;
        ERR_clear_error();
        errno = 0;
        int one = SSL_write(t->ssl, record.p, (int)record.n);
        goes_on = one > 0;
        if (one > 0)
            done += (size_t)one;
        else
            has_to_wait(t, one);
    }
    /* That the socket is full the owner asks about by itself. */
    t->awaits_writable = false;
    if (done > 0)
        return (long)done;
    return t->error != 0 ? t->error : UV_EAGAIN;
}

static long tls_write(struct rg_stream *stream, const void *p, size_t n)
{
    const struct iovec one = {(void *)p, n};

    return tls_writev(stream, &one, 1);
}

static void tls_update(struct rg_stream *stream)
{
    watch(of_stream(stream));
}

static void say_goodbye(struct tls_stream *t)
{
    if (!t->is_ready || t->error != 0)
        return;
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}

static void tls_shutdown(struct rg_stream *stream)
{
    say_goodbye(of_stream(stream));
    shutdown(of_stream(stream)->socket.fd, SHUT_WR);
}

/* ---- opening and closing ---- */

static void on_closed(struct rg_socket *socket)
{
    rg_free(RG_CONTAINER_OF(socket, struct tls_stream, socket));
}

static void free_parts(struct tls_stream *t)
{
    SSL_free(t->ssl);
    rg_free(t->peer.server_name);
    rg_tls_client_unref(&t->peer.client);
}

static void tls_close(struct rg_stream *stream)
{
    struct tls_stream *t = of_stream(stream);

    say_goodbye(t);
    rg_reactor_cancel_timer(stream->reactor, &t->deadline);
    free_parts(t);
    rg_socket_close(&t->socket, on_closed);
}

static const struct rg_stream_ops tls_ops = {
    .read = tls_read,
    .write = tls_write,
    .writev = tls_writev,
    .update = tls_update,
    .shutdown = tls_shutdown,
    .close = tls_close,
};

static bool prepare(struct tls_stream *t, struct rg_tls_client *client, const char *server_name,
                    int fd)
{
    t->ssl = rg_tls_client_connect(client, server_name);
    if (t->ssl == NULL || SSL_set_fd(t->ssl, fd) != 1)
        return false;
    SSL_set_app_data(t->ssl, &t->peer);
    return true;
}

struct rg_stream *rg_tls_client_open(struct rg_tls_client *client, struct rg_reactor *reactor,
                                     int fd, const char *server_name, uint64_t timeout_ms,
                                     const struct rg_stream_events *events, void *owner)
{
    struct tls_stream *t = rg_zalloc(sizeof(*t));

    t->peer = (struct rg_tls_client_peer){rg_tls_client_ref(client),
                                          rg_strndup(server_name, strlen(server_name))};
    if (!prepare(t, client, server_name, fd)) {
        close(fd);
        free_parts(t);
        rg_free(t);
        return NULL;
    }
    /* Closes fd where it fails. */
    if (rg_socket_init(&t->socket, &tls_ops, reactor, fd, on_ready) < 0) {
        free_parts(t);
        rg_free(t);
        return NULL;
    }
    t->deadline.fn = on_deadline;
    rg_reactor_set_timer(reactor, &t->deadline, timeout_ms);
    shake_hands(t);
    rg_stream_adopt(&t->socket.stream, events, owner);
    return &t->socket.stream;
}

bool rg_tls_client_is_ready(const struct rg_stream *stream)
{
    return of_stream((struct rg_stream *)stream)->is_ready;
}

const char *rg_tls_client_why(const struct rg_stream *stream)
{
    return of_stream((struct rg_stream *)stream)->why;
}
