/*
 * OpenSSL shakes hands, on the socket itself (a socket BIO), and is then freed: tls_records.c goes
 * on with the keys, and the kernel with those for sending where it can.
 *
 * - The handshake runs whenever the socket is ready, whatever the owner asks for. Its beginning
 *   takes as long as some hundred events do, so one begins in a turn of the loop: when thousands
 *   come at once, the connections that are there do not wait for them.
 *
 * - A read may bring more than the owner has room for, and then the socket does not know of what is
 *   left: a nudge tells the owner in the next turn of the loop.
 *
 * - A record that the socket takes only in part must be finished before anything else. So its rest
 *   is kept, and all of its text but the last byte reported as written: the owner comes back with
 *   that byte, watches the deadline of its writes, and closes only when the record is out or given
 *   up - just as with a socket, where what was reported is the kernel's.
 *
 *       owner's bytes   |----- record -----|x|-- not taken --|
 *       reported        |------------------|
 *       owes_byte                           x   (in the record; skipped when it comes again)
 */
#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "net/socket_priv.h"
#include "net/tls_kernel_priv.h"
#include "net/tls_priv.h"

#define DRAIN_AT_ONCE 16384

struct tls_stream {
    struct rg_socket socket;  /* first */
    SSL *ssl;                 /* of the handshake; NULL behind it */
    struct rg_timer deadline; /* of the handshake */
    struct rg_tls_records records;
    struct rg_buf sealed; /* received, not yet opened: less than the owner could read */
    struct rg_buf opened; /* not yet read by the owner */
    struct rg_buf unsent; /* the rest of a record that is partly out */
    bool is_ready;        /* the handshake is done */
    bool is_in_kernel;    /* the kernel makes the records that are sent */
    bool handshake_awaits_writable;
    bool owes_byte;
    bool has_ended; /* the peer has said goodbye */
    bool said_goodbye;
    int error; /* what broke it; 0: nothing has */
};

static struct tls_stream *of_stream(struct rg_stream *stream)
{
    return RG_CONTAINER_OF(stream, struct tls_stream, socket.stream);
}

/* ---- readiness ---- */

/* Whether the owner's next read brings something without the socket. */
static bool has_more(const struct tls_stream *t)
{
    return t->opened.n > 0 || t->has_ended || t->error != 0 ||
           rg_tls_records_has(t->sealed.p, t->sealed.n);
}

static void nudge_if_more(struct tls_stream *t)
{
    if (t->is_ready && has_more(t))
        rg_socket_nudge(&t->socket, RG_READY_READ);
}

static void watch(struct tls_stream *t)
{
    const struct rg_stream *stream = &t->socket.stream;
    unsigned interest = 0;

    if (!t->is_ready) {
        interest = t->handshake_awaits_writable ? RG_READY_WRITE : RG_READY_READ;
    } else {
        interest |= stream->wants_read ? RG_READY_READ : 0;
        interest |= stream->wants_write ? RG_READY_WRITE : 0;
    }
    rg_socket_watch(&t->socket, interest);
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

static bool has_agreed_on_h2(const SSL *ssl)
{
    const unsigned char *name;
    unsigned n;

    SSL_get0_alpn_selected(ssl, &name, &n);
    return n == 2 && memcmp(name, "h2", 2) == 0;
}

static long handshake_done(struct tls_stream *t)
{
    bool is_resumed = SSL_session_reused(t->ssl) != 0;

    t->socket.stream.speaks_h2 = has_agreed_on_h2(t->ssl);
    if (!rg_tls_records_begin(&t->records, t->ssl)) {
        t->error = UV_EPROTO;
        handshake_failed(t);
        return t->error;
    }
    SSL_free(t->ssl);
    t->ssl = NULL;
    t->is_ready = true;
    t->is_in_kernel = rg_tls_kernel_take(t->socket.fd, &t->records);
    rg_reactor_cancel_timer(t->socket.stream.reactor, &t->deadline);
    rg_tls_count(is_resumed ? RG_TLS_RESUMED : RG_TLS_FULL);
    if (t->is_in_kernel)
        rg_tls_count(RG_TLS_KTLS);
    watch(t);
    return 0;
}

/* What a handshake that did not end says: UV_EAGAIN, or what broke it. */
static long handshake_error(const struct tls_stream *t, int ret, int err)
{
    switch (SSL_get_error(t->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return UV_EAGAIN;
    case SSL_ERROR_SYSCALL:
        return err != 0 ? -err : UV_ECONNRESET;
    case SSL_ERROR_ZERO_RETURN:
        return UV_ECONNRESET;
    default:
        return UV_EPROTO;
    }
}

/* False if it begins, and another has in this turn: it stays ready, and comes again in the next. */
static bool may_go_on(const struct tls_stream *t)
{
    struct rg_sockets *sockets = &t->socket.stream.reactor->sockets;
    OSSL_HANDSHAKE_STATE state = SSL_get_state(t->ssl);

    if (state != TLS_ST_BEFORE && state != TLS_ST_SR_CLNT_HELLO)
        return true;
    if (sockets->has_begun_tls)
        return false;
    return sockets->has_begun_tls = true;
}

/* Goes on with the handshake: 0 when it is done, UV_EAGAIN, or what broke it. */
static long shake_hands(struct tls_stream *t)
{
    if (t->error != 0)
        return t->error;
    if (t->is_ready)
        return 0;
    if (!may_go_on(t))
        return UV_EAGAIN;
    /* Both are looked at afterwards, and are of the thread, not of the connection. */
    ERR_clear_error();
    errno = 0;
    int ret = SSL_do_handshake(t->ssl);
    if (ret == 1)
        return handshake_done(t);
    long err = handshake_error(t, ret, errno);
    if (err != UV_EAGAIN) {
        t->error = (int)err;
        handshake_failed(t);
        return err;
    }
    t->handshake_awaits_writable = SSL_want_write(t->ssl);
    rg_socket_not_ready(&t->socket, t->handshake_awaits_writable ? RG_READY_WRITE : RG_READY_READ);
    watch(t);
    return UV_EAGAIN;
}

static void tell_broken(struct tls_stream *t)
{
    rg_socket_tell(&t->socket, RG_READY_READ | RG_READY_WRITE | RG_READY_HANGUP);
}

static void on_deadline(struct rg_timer *timer)
{
    struct tls_stream *t = RG_CONTAINER_OF(timer, struct tls_stream, deadline);

    t->error = UV_ETIMEDOUT;
    rg_tls_count(RG_TLS_FAILED_TIMEOUT);
    log_failure(t, rg_strerror(t->error));
    tell_broken(t);
}

/* ---- sending what is sealed ---- */

/* 0 when nothing waits any more, UV_EAGAIN, or what broke the stream. */
static long flush(struct tls_stream *t)
{
    if (t->unsent.n == 0 || t->error != 0)
        return t->error;
    long n = rg_socket_write(&t->socket, t->unsent.p, t->unsent.n);
    if (n < 0)
        return n == UV_EAGAIN ? n : (t->error = (int)n);
    if ((size_t)n < t->unsent.n) {
        rg_buf_consume(&t->unsent, (size_t)n);
        return UV_EAGAIN;
    }
    rg_buf_done(&t->unsent);
    return 0;
}

/* Seals and sends; what the socket does not take waits. Nothing may be waiting. 0 or an error. */
static long send_record(struct tls_stream *t, int type, const char *p, size_t n)
{
    static _Thread_local char sealed[RG_TLS_MAX_PLAIN + RG_TLS_OVERHEAD];
    size_t sealed_n = rg_tls_records_seal(&t->records, type, p, n, sealed);
    long wrote = rg_socket_write(&t->socket, sealed, sealed_n);

    if (wrote < 0 && wrote != UV_EAGAIN)
        return t->error = (int)wrote;
    size_t out = wrote > 0 ? (size_t)wrote : 0;
    rg_buf_add(&t->unsent, sealed + out, sealed_n - out);
    return 0;
}

/* An alert that does not fit behind what is waiting is not sent: the connection ends anyway. */
static void send_alert(struct tls_stream *t, int alert)
{
    enum {
        WARNING = 1,
        FATAL = 2
    };
    const char text[2] = {alert == RG_ALERT_CLOSE_NOTIFY ? WARNING : FATAL, (char)alert};

    if (t->is_in_kernel)
        rg_tls_kernel_send(t->socket.fd, RG_TLS_ALERT, text, sizeof(text));
    else if (t->unsent.n == 0)
        send_record(t, RG_TLS_ALERT, text, sizeof(text));
}

/* ---- reading ---- */

/* Takes records from p[0..n), which it changes, for an owner with room for room bytes at to. */
struct opening {
    char *p;
    size_t n, at;
    char *to;
    size_t room, got;
};

static void take_data(struct tls_stream *t, struct opening *o, const char *text, size_t n)
{
    size_t take = n < o->room - o->got ? n : o->room - o->got;

    if (take > 0)
        memcpy(o->to + o->got, text, take);
    o->got += take;
    rg_buf_add(&t->opened, text + take, n - take);
}

/* The peer's alert. Whatever it is, nothing follows. */
static void take_alert(struct tls_stream *t, const char *text, size_t n)
{
    if (n == 2 && text[1] == RG_ALERT_CLOSE_NOTIFY)
        t->has_ended = true;
    else
        t->error = UV_EPROTO;
}

static void open_one(struct tls_stream *t, struct opening *o, size_t record_n)
{
    char *text = NULL;
    size_t n = 0;
    int type = rg_tls_records_open(&t->records, o->p + o->at, &text, &n);

    o->at += record_n;
    if (type == RG_TLS_DATA) {
        take_data(t, o, text, n);
    } else if (type == RG_TLS_ALERT) {
        take_alert(t, text, n);
    } else if (type < 0) {
        send_alert(t, -type);
        t->error = UV_EPROTO;
    }
}

/* Opens what is complete and fits; a first record may leave a part in t->opened. */
static void open_all(struct tls_stream *t, struct opening *o)
{
    while (!t->has_ended && t->error == 0 && t->opened.n == 0) {
        int record_n = rg_tls_records_length(o->p + o->at, o->n - o->at);
        if (record_n < 0) {
            send_alert(t, -record_n);
            t->error = UV_EPROTO;
            return;
        }
        if (record_n == 0 || (size_t)record_n > o->n - o->at)
            return;
        if (o->got > 0 && (size_t)record_n > o->room - o->got)
            return;
        open_one(t, o, (size_t)record_n);
    }
}

/* Brings what was left over and what the socket has to raw. 0, UV_EAGAIN or an error. */
static long fill(struct tls_stream *t, char *raw, size_t *n)
{
    bool needs_socket = !rg_tls_records_has(t->sealed.p, t->sealed.n);

    rg_assert(t->sealed.n <= RG_TLS_MAX_SEALED);
    if (t->sealed.n > 0)
        memcpy(raw, t->sealed.p, t->sealed.n);
    *n = t->sealed.n;
    if (!needs_socket)
        return 0;
    long got = rg_socket_read(&t->socket, raw + *n, RG_TLS_MAX_SEALED - *n);
    if (got < 0)
        return got == UV_EAGAIN ? got : (t->error = (int)got);
    /* A peer that vanishes without a goodbye: HTTP says itself where its messages end. */
    t->has_ended = got == 0;
    *n += (size_t)got;
    return 0;
}

static long read_opened(struct tls_stream *t, void *p, size_t n)
{
    size_t take = n < t->opened.n ? n : t->opened.n;

    memcpy(p, t->opened.p, take);
    rg_buf_consume(&t->opened, take);
    if (t->opened.n == 0)
        rg_buf_done(&t->opened);
    return (long)take;
}

static long read_records(struct tls_stream *t, void *p, size_t n)
{
    static _Thread_local char raw[RG_TLS_MAX_SEALED];
    struct opening o = {.p = raw, .to = p, .room = n};

    if (t->opened.n > 0)
        return read_opened(t, p, n);
    if (t->has_ended)
        return 0;
    long err = fill(t, raw, &o.n);
    if (err < 0)
        return err;
    open_all(t, &o);
    rg_buf_clear(&t->sealed);
    if (o.at < o.n)
        rg_buf_add(&t->sealed, raw + o.at, o.n - o.at);
    else
        rg_buf_done(&t->sealed);
    if (o.got > 0)
        return (long)o.got;
    return t->error != 0 ? t->error : t->has_ended ? 0 : UV_EAGAIN;
}

static long tls_read(struct rg_stream *stream, void *p, size_t n)
{
    struct tls_stream *t = of_stream(stream);
    long got = shake_hands(t);

    if (got != 0)
        return got;
    got = read_records(t, p, n);
    nudge_if_more(t);
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

/*
 * The next *n bytes, a record's worth, where they are or gathered in a buffer of this thread. A
 * record ends with a slice unless the slice alone is longer: so an owner who gives up a slice of
 * which nothing was reported gives up nothing that is on its way.
 */
static const char *next_record(struct cursor *c, size_t *n)
{
    static _Thread_local char gathered[RG_TLS_MAX_PLAIN];
    size_t left = left_in_slice(c);

    if (left >= RG_TLS_MAX_PLAIN || c->iov + 1 == c->end) {
        const char *p = (const char *)c->iov->iov_base + c->at;
        *n = left < RG_TLS_MAX_PLAIN ? left : RG_TLS_MAX_PLAIN;
        advance(c, *n);
        return p;
    }
    *n = 0;
    while (c->iov < c->end && (left = left_in_slice(c)) <= RG_TLS_MAX_PLAIN - *n) {
        memcpy(gathered + *n, (const char *)c->iov->iov_base + c->at, left);
        *n += left;
        advance(c, left);
    }
    return gathered;
}

static long write_records(struct tls_stream *t, struct cursor *c)
{
    long total = 0;

    if (t->owes_byte && c->iov < c->end) {
        t->owes_byte = false;
        advance(c, 1);
        total = 1;
    }
    while (c->iov < c->end && t->unsent.n == 0) {
        size_t n;
        const char *p = next_record(c, &n);
        long err = send_record(t, RG_TLS_DATA, p, n);
        if (err < 0)
            return err;
        t->owes_byte = t->unsent.n > 0;
        total += (long)n - (t->owes_byte ? 1 : 0);
    }
    return total == 0 && t->owes_byte ? UV_EAGAIN : total;
}

/* Kernels before 6.14 cannot change keys, and hardly a client ever asks for that. */
static long write_to_kernel(struct tls_stream *t, const struct iovec *iov, int n)
{
    if (t->records.owes_update)
        return t->error = UV_ENOTSUP;
    return rg_socket_writev(&t->socket, iov, n);
}

static long tls_writev(struct rg_stream *stream, const struct iovec *iov, int n)
{
    struct tls_stream *t = of_stream(stream);
    struct cursor cursor = {iov, iov + n, 0};
    long err = shake_hands(t);

    if (err != 0)
        return err;
    if (t->is_in_kernel)
        return write_to_kernel(t, iov, n);
    err = flush(t);
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

static void on_ready(struct rg_socket *socket, unsigned events)
{
    struct tls_stream *t = RG_CONTAINER_OF(socket, struct tls_stream, socket);

    if (!t->is_ready) {
        long err = shake_hands(t);
        if (err == 0)
            rg_socket_tell(&t->socket, RG_READY_READ | RG_READY_WRITE);
        else if (err != UV_EAGAIN)
            tell_broken(t);
        return;
    }
    if ((events & RG_READY_WRITE) != 0 && flush(t) == UV_EAGAIN)
        events &= ~(unsigned)RG_READY_WRITE;
    rg_socket_tell(&t->socket, events);
}

static void tls_update(struct rg_stream *stream)
{
    struct tls_stream *t = of_stream(stream);

    watch(t);
    if (stream->wants_read)
        nudge_if_more(t);
}

/* ---- the end ---- */

/* Says close_notify, once, where that can be said at all and now. */
static void say_goodbye(struct tls_stream *t)
{
    if (!t->is_ready || t->error != 0 || t->said_goodbye)
        return;
    t->said_goodbye = true;
    send_alert(t, RG_ALERT_CLOSE_NOTIFY);
}

static void tls_shutdown(struct rg_stream *stream)
{
    struct tls_stream *t = of_stream(stream);

    say_goodbye(t);
    shutdown(t->socket.fd, SHUT_WR);
}

static void on_closed(struct rg_socket *socket)
{
    rg_free(RG_CONTAINER_OF(socket, struct tls_stream, socket));
}

static void tls_close(struct rg_stream *stream)
{
    struct tls_stream *t = of_stream(stream);

    say_goodbye(t);
    rg_reactor_cancel_timer(stream->reactor, &t->deadline);
    SSL_free(t->ssl);
    rg_tls_records_done(&t->records);
    rg_buf_done(&t->sealed);
    rg_buf_done(&t->opened);
    rg_buf_done(&t->unsent);
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

    if (rg_socket_init(&t->socket, &tls_ops, reactor, fd, on_ready) < 0) {
        rg_free(t);
        return NULL;
    }
    t->ssl = rg_tls_accept(tls, &t->records);
    rg_assert(SSL_set_fd(t->ssl, fd) == 1);
    t->deadline.fn = on_deadline;
    rg_reactor_set_timer(reactor, &t->deadline, rg_tls_handshake_timeout(tls));
    rg_stream_adopt(&t->socket.stream, events, owner);
    return &t->socket.stream;
}
