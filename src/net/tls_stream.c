/*
 * OpenSSL reads and writes the socket itself (a socket BIO), so that kernel TLS can take over. What
 * is left to do here is the difference between its calls and those of a stream:
 *
 * - The handshake runs whenever the socket is ready, whatever the owner asks for.
 *
 * - A read may leave the rest of a record inside OpenSSL, where the poll does not see it: a nudge
 *   tells the owner in the next turn of the loop.
 *
 * - A record that the socket takes only in part must be offered again unchanged before anything
 *   else. So its text is kept, and all of it but the last byte reported as written: the owner
 *   comes back with that byte, watches the deadline of its writes, and closes only when the record
 *   is out or given up - just as with a socket, where what was reported is the kernel's.
 *
 *       owner's bytes   |----- record -----|x|-- not taken --|
 *       reported        |------------------|
 *       owes_byte                           x   (in the record; skipped when it comes again)
 */
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "net/socket_priv.h"
#include "net/tls_priv.h"

#define MAX_RECORD    SSL3_RT_MAX_PLAIN_LENGTH
#define DRAIN_AT_ONCE 16384

struct tls_stream {
    struct rg_socket socket; /* first */
    SSL *ssl;
    struct rg_timer deadline; /* of the handshake */
    uv_idle_t *nudge;         /* NULL: the poll tells all there is */
    char *held;               /* the text of a record that is partly out, NULL: none */
    unsigned short held_n;
    bool is_ready; /* the handshake is done */
    bool is_ktls;  /* the kernel encrypts what we write */
    bool read_awaits_writable;
    bool owes_byte;
    int error; /* what broke it; 0: nothing has */
};

static struct tls_stream *of_stream(struct rg_stream *stream)
{
    return RG_CONTAINER_OF(stream, struct tls_stream, socket.stream);
}

/* ---- readiness ---- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void on_nudge_closed(uv_handle_t *handle)
{
    rg_free(handle);
}

static void drop_nudge(struct tls_stream *t)
{
    if (t->nudge != NULL)
        uv_close((uv_handle_t *)t->nudge, on_nudge_closed);
    t->nudge = NULL;
}

static void on_nudge(uv_idle_t *nudge)
{
    struct tls_stream *t = nudge->data;

    drop_nudge(t);
    rg_socket_tell(&t->socket.stream, UV_READABLE);
}

static void nudge_if_pending(struct tls_stream *t)
{
    if (t->nudge != NULL || SSL_pending(t->ssl) == 0)
        return;
    t->nudge = rg_zalloc(sizeof(*t->nudge));
    t->nudge->data = t;
    uv_idle_init(&t->socket.stream.reactor->loop, t->nudge);
    uv_idle_start(t->nudge, on_nudge);
}

static void watch(struct tls_stream *t)
{
    const struct rg_stream *stream = &t->socket.stream;
    unsigned interest = 0;

    if (!t->is_ready) {
        interest = t->read_awaits_writable ? UV_WRITABLE : UV_READABLE;
    } else {
        interest |= stream->wants_read ? UV_READABLE : 0;
        interest |= stream->wants_read && t->read_awaits_writable ? UV_WRITABLE : 0;
        interest |= stream->wants_write ? UV_WRITABLE : 0;
    }
    rg_socket_watch(&t->socket, interest, on_poll);
}

/* ---- results ---- */

/* Before each call whose result outcome() reads: both look at what happened last on the thread. */
static void prepare(void)
{
    ERR_clear_error();
    errno = 0;
}

/* What a failed call of OpenSSL means for a stream; at_end for a peer that has said goodbye. */
static long outcome(struct tls_stream *t, int ret, int at_end)
{
    int err = errno;

    switch (SSL_get_error(t->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return UV_EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return at_end;
    case SSL_ERROR_SYSCALL:
        return t->error = err != 0 ? -err : UV_ECONNRESET;
    default:
        return t->error = UV_EPROTO;
    }
}

/* As above for what reads: it may have to write first, as an answer to the peer's protocol. */
static long read_outcome(struct tls_stream *t, int ret)
{
    t->read_awaits_writable = SSL_want_write(t->ssl);
    long n = outcome(t, ret, 0);
    watch(t);
    return n;
}

/* ---- the handshake ---- */

static enum rg_tls_row failure_row(int err, unsigned long first)
{
    int reason = ERR_GET_REASON(first);

    if (first == 0)
        return err == UV_EPROTO ? RG_TLS_FAILED_OTHER : RG_TLS_FAILED_CLOSED;
    /* Beyond the offset: alerts that the peer sent. */
    if (reason > SSL_AD_REASON_OFFSET)
        return RG_TLS_FAILED_ALERT;
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return RG_TLS_FAILED_PLAIN_HTTP;
    case SSL_R_WRONG_VERSION_NUMBER:
        return RG_TLS_FAILED_NOT_TLS;
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return RG_TLS_FAILED_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return RG_TLS_FAILED_NOTHING_COMMON;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return RG_TLS_FAILED_CLOSED;
    default:
        return RG_TLS_FAILED_OTHER;
    }
}

/* Somebody typed http:// where https:// was due. A courtesy: what the socket does not take is lost.
 */
static void answer_plain_http(struct tls_stream *t)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
                                 "content-type: text/plain; charset=utf-8\r\n"
                                 "content-length: 38\r\n"
                                 "connection: close\r\n"
                                 "\r\n"
                                 "This port speaks HTTPS: use https://.\n";
    char dropped[DRAIN_AT_ONCE];

    /* Closing a socket that has unread bytes would reset the connection and take the answer away.
     */
    while (recv(t->socket.fd, dropped, sizeof(dropped), 0) == (ssize_t)sizeof(dropped))
        continue;
    send(t->socket.fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
}

static void log_failure(const struct tls_stream *t, const char *reason)
{
    char peer[RG_PEER_SIZE];

    rg_socket_peer(t->socket.fd, peer);
    rg_log_info("tls handshake failed", RG_FS("reason", reason), RG_FS("peer", peer));
}

static void handshake_failed(struct tls_stream *t)
{
    unsigned long first = ERR_peek_error();
    const char *reason = first != 0 ? ERR_reason_error_string(first) : rg_strerror(t->error);
    enum rg_tls_row row = failure_row(t->error, first);

    rg_reactor_cancel_timer(t->socket.stream.reactor, &t->deadline);
    rg_tls_count(row);
    log_failure(t, reason != NULL ? reason : "unknown");
    if (row == RG_TLS_FAILED_PLAIN_HTTP)
        answer_plain_http(t);
}

static void handshake_done(struct tls_stream *t)
{
    t->is_ready = true;
    t->read_awaits_writable = false;
    t->is_ktls = BIO_get_ktls_send(SSL_get_wbio(t->ssl)) != 0;
    rg_reactor_cancel_timer(t->socket.stream.reactor, &t->deadline);
    rg_tls_count(SSL_session_reused(t->ssl) ? RG_TLS_RESUMED : RG_TLS_FULL);
    if (t->is_ktls)
        rg_tls_count(RG_TLS_KTLS);
    watch(t);
}

/* Goes on with the handshake: 0 when it is done, UV_EAGAIN, or what broke it. */
static long shake_hands(struct tls_stream *t)
{
    if (t->error != 0)
        return t->error;
    if (t->is_ready)
        return 0;
    prepare();
    int ret = SSL_do_handshake(t->ssl);
    if (ret == 1) {
        handshake_done(t);
        return 0;
    }
    long err = read_outcome(t, ret);
    if (err == UV_EAGAIN)
        return err;
    if (err == 0)
        t->error = UV_ECONNRESET;
    handshake_failed(t);
    return t->error;
}

static void tell_broken(struct tls_stream *t)
{
    rg_socket_tell(&t->socket.stream, UV_READABLE | UV_WRITABLE | UV_DISCONNECT);
}

static void on_deadline(struct rg_timer *timer)
{
    struct tls_stream *t = RG_CONTAINER_OF(timer, struct tls_stream, deadline);

    t->error = UV_ETIMEDOUT;
    rg_tls_count(RG_TLS_FAILED_TIMEOUT);
    log_failure(t, rg_strerror(t->error));
    tell_broken(t);
}

/* ---- reading ---- */

static long tls_read(struct rg_stream *stream, void *p, size_t n)
{
    struct tls_stream *t = of_stream(stream);
    long err = shake_hands(t);

    if (err != 0)
        return err;
    prepare();
    int got = SSL_read(t->ssl, p, n < INT_MAX ? (int)n : INT_MAX);
    if (got <= 0)
        return read_outcome(t, got);
    nudge_if_pending(t);
    return got;
}

/* ---- writing ---- */

/* Where a writer is in its slices. */
struct cursor {
    const struct iovec *iov;
    const struct iovec *end;
    size_t at; /* in iov[0] */
};

static size_t left_in_slice(const struct cursor *c)
{
    return c->iov->iov_len - c->at;
}

static void advance(struct cursor *c, size_t n)
{
    c->at += n;
    while (c->iov < c->end && c->at >= c->iov->iov_len) {
        c->at -= c->iov->iov_len;
        c->iov++;
    }
}

/* The next *n bytes, a record's worth, where they are or gathered in a buffer of this thread. */
static const char *next_record(struct cursor *c, size_t *n)
{
    static _Thread_local char gathered[MAX_RECORD];
    size_t left = left_in_slice(c);

    if (left >= MAX_RECORD || c->iov + 1 == c->end) {
        const char *p = (const char *)c->iov->iov_base + c->at;
        *n = left < MAX_RECORD ? left : MAX_RECORD;
        advance(c, *n);
        return p;
    }
    *n = 0;
    while (c->iov < c->end && *n < MAX_RECORD) {
        left = left_in_slice(c);
        size_t take = left < MAX_RECORD - *n ? left : MAX_RECORD - *n;
        memcpy(gathered + *n, (const char *)c->iov->iov_base + c->at, take);
        *n += take;
        advance(c, take);
    }
    return gathered;
}

static void hold(struct tls_stream *t, const char *p, size_t n)
{
    t->held = rg_alloc(n);
    memcpy(t->held, p, n);
    t->held_n = (unsigned short)n;
    t->owes_byte = true;
}

/* 0 when no record waits any more, UV_EAGAIN, or what broke the stream. */
static long flush_held(struct tls_stream *t)
{
    if (t->held == NULL || t->error != 0)
        return t->error;
    prepare();
    int ret = SSL_write(t->ssl, t->held, t->held_n);
    if (ret <= 0)
        return outcome(t, ret, UV_EPIPE);
    rg_free(t->held);
    t->held = NULL;
    return 0;
}

/* Writes a record; what of it counts as written, or a code. */
static long write_record(struct tls_stream *t, const char *p, size_t n)
{
    prepare();
    int ret = SSL_write(t->ssl, p, (int)n);
    if (ret > 0)
        return ret;
    long err = outcome(t, ret, UV_EPIPE);
    if (err != UV_EAGAIN)
        return err;
    hold(t, p, n);
    return (long)n - 1;
}

static long write_records(struct tls_stream *t, struct cursor *c)
{
    long total = 0;

    if (t->owes_byte && c->iov < c->end) {
        t->owes_byte = false;
        advance(c, 1);
        total = 1;
    }
    while (c->iov < c->end && t->held == NULL) {
        size_t n;
        const char *p = next_record(c, &n);
        long wrote = write_record(t, p, n);
        if (wrote < 0)
            return wrote;
        total += wrote;
    }
    return total == 0 && t->held != NULL ? UV_EAGAIN : total;
}

static long tls_writev(struct rg_stream *stream, const struct iovec *iov, int n)
{
    struct tls_stream *t = of_stream(stream);
    struct cursor cursor = {iov, iov + n, 0};
    long err = shake_hands(t);

    if (err != 0)
        return err;
    if (t->is_ktls)
        return rg_socket_result(writev(t->socket.fd, iov, n));
    err = flush_held(t);
    if (err != 0)
        return err;
    advance(&cursor, 0); /* past slices without bytes */
    return write_records(t, &cursor);
}

static long tls_write(struct rg_stream *stream, const void *p, size_t n)
{
    struct iovec iov = {(void *)p, n};

    return tls_writev(stream, &iov, 1);
}

/* ---- events ---- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct tls_stream *t = RG_CONTAINER_OF(poll, struct tls_stream, socket.poll);

    rg_reactor_assert(t->socket.stream.reactor);
    if (status < 0) {
        /* The socket is broken and libuv has stopped watching; the call that follows says how. */
        events = UV_READABLE | UV_WRITABLE | UV_DISCONNECT;
        t->socket.interest = 0;
    }
    if (!t->is_ready) {
        long err = shake_hands(t);
        if (err == 0)
            rg_socket_tell(&t->socket.stream, UV_READABLE | UV_WRITABLE);
        else if (err != UV_EAGAIN)
            tell_broken(t);
        return;
    }
    if ((events & UV_WRITABLE) != 0 && t->read_awaits_writable)
        events |= UV_READABLE;
    if ((events & UV_WRITABLE) != 0 && flush_held(t) == UV_EAGAIN)
        events &= ~UV_WRITABLE;
    rg_socket_tell(&t->socket.stream, events);
}

static void tls_update(struct rg_stream *stream)
{
    struct tls_stream *t = of_stream(stream);

    watch(t);
    if (stream->wants_read)
        nudge_if_pending(t);
}

/* ---- the end ---- */

/* Says close_notify, once, where that can be said at all and now. */
static void say_goodbye(struct tls_stream *t)
{
    bool can = t->is_ready && t->error == 0 && t->held == NULL;

    if (!can || (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN) != 0)
        return;
    prepare();
    SSL_shutdown(t->ssl);
}

static void tls_shutdown(struct rg_stream *stream)
{
    struct tls_stream *t = of_stream(stream);

    say_goodbye(t);
    shutdown(t->socket.fd, SHUT_WR);
}

static void on_closed(uv_handle_t *handle)
{
    rg_free(RG_CONTAINER_OF((uv_poll_t *)handle, struct tls_stream, socket.poll));
}

static void tls_close(struct rg_stream *stream)
{
    struct tls_stream *t = of_stream(stream);

    say_goodbye(t);
    rg_reactor_cancel_timer(stream->reactor, &t->deadline);
    drop_nudge(t);
    SSL_free(t->ssl);
    rg_free(t->held);
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

struct rg_stream *rg_tls_open(struct rg_tls *tls, struct rg_reactor *reactor, int fd,
                              const struct rg_stream_events *events, void *owner)
{
    struct tls_stream *t = rg_zalloc(sizeof(*t));

    if (rg_socket_init(&t->socket, &tls_ops, reactor, fd) < 0) {
        rg_free(t);
        return NULL;
    }
    t->ssl = rg_tls_accept(tls);
    rg_assert(SSL_set_fd(t->ssl, fd) == 1);
    t->deadline.fn = on_deadline;
    rg_reactor_set_timer(reactor, &t->deadline, rg_tls_handshake_timeout(tls));
    rg_stream_adopt(&t->socket.stream, events, owner);
    return &t->socket.stream;
}
