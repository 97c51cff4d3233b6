/*
 * A connection whose first bytes are a balancer's, who says whose it is. They come before TLS,
 * which reads from the socket itself: so what is read here ends exactly where the header does.
 * Bytes are looked at first, and then taken as far as they belong to it.
 *
 *   accepted --> header there? --> HTTP
 *                    \--> waits, with a time limit --> HTTP, or closed
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "http/server_priv.h"
#include "net/proxy_protocol.h"

struct header {
    char bytes[RG_PROXY_HEADER_MAX];
    size_t n;
    char peer[RG_PEER_SIZE]; /* once it is complete */
};

struct proxied {
    struct rg_http_link link;
    struct rg_http_server *server;
    struct rg_stream *stream;
    struct rg_timer timer;
    int fd; /* the stream's */
    bool is_secure;
    struct header header;
};

/* Takes what there is of the header. 1: complete; 0: more is needed; or an error, with why. */
static int take_header(struct header *h, int fd, struct rg_why *why)
{
    long length = 0;

    while (length == 0) {
        ssize_t seen = recv(fd, h->bytes + h->n, sizeof(h->bytes) - h->n, MSG_PEEK);
        if (seen < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (seen <= 0)
            return rg_why_set(why, UV_EOF, "", "it ended before its header");
        length = rg_proxy_header_read(h->bytes, h->n + (size_t)seen, h->peer, why);
        if (length < 0)
            return (int)length;
        /* What is not complete yet is all the header's; so it is shorter than bytes. */
        size_t run = length == 0 ? (size_t)seen : (size_t)length - h->n;
        if (recv(fd, h->bytes + h->n, run, 0) != (ssize_t)run)
            return rg_why_set(why, UV_EIO, "", "it is broken");
        h->n += run;
    }
    return 1;
}

static void refuse(struct rg_http_server *server, const struct header *header, int err,
                   const struct rg_why *why)
{
    uint64_t untold;

    /* A balancer that only looks whether somebody is there. */
    if (header->n == 0 && err == UV_EOF)
        return;
    rg_count(server->counters, RG_HTTP_PROXY_ERRORS, 1);
    if (rg_throttle_pass(&server->proxy_errors, server->reactor->now_ms, &untold))
        rg_log_warn("connection without a proxy header closed", RG_FS("reason", why->text),
                    RG_FU("untold", untold));
}

static struct rg_http_transport transport_of(const struct header *header, int fd, bool is_secure)
{
    struct rg_http_transport transport = {
        .fd = fd, .is_secure = is_secure, .knows_peer = header->peer[0] != '\0'};

    memcpy(transport.peer, header->peer, sizeof(transport.peer));
    return transport;
}

/* ---- those that wait ---- */

/* Forgets that it waits; its stream is the caller's. */
static struct rg_stream *end_wait(struct proxied *p)
{
    struct rg_stream *stream = p->stream;

    rg_reactor_cancel_timer(p->server->reactor, &p->timer);
    rg_http_server_remove(p->server, &p->link);
    rg_free(p);
    return stream;
}

static void close_waiting(struct proxied *p)
{
    struct rg_stream *stream = end_wait(p);

    rg_stream_close(&stream);
}

static void go_on(struct proxied *p)
{
    struct rg_http_server *server = p->server;
    struct rg_http_transport transport = transport_of(&p->header, p->fd, p->is_secure);
    struct rg_stream *stream = end_wait(p);

    if (!transport.is_secure) {
        rg_h1_conn_open(server, stream, transport);
        return;
    }
    /* TLS makes a stream of its own, and closing this one closes its descriptor. */
    transport.fd = fcntl(transport.fd, F_DUPFD_CLOEXEC, 0);
    rg_stream_close(&stream);
    if (transport.fd >= 0)
        rg_http_server_begin(server, transport);
}

static void on_readable(struct rg_stream *stream)
{
    struct proxied *p = stream->owner;
    struct rg_why why = {0};
    int done = take_header(&p->header, p->fd, &why);

    if (done < 0) {
        refuse(p->server, &p->header, done, &why);
        close_waiting(p);
    } else if (done > 0) {
        go_on(p);
    } else {
        rg_socket_drained(stream);
    }
}

static void on_writable(struct rg_stream *stream)
{
    (void)stream;
}

static void on_hangup(struct rg_stream *stream)
{
    close_waiting(stream->owner);
}

static const struct rg_stream_events stream_events = {on_readable, on_writable, on_hangup};

static void on_timer(struct rg_timer *timer)
{
    struct proxied *p = RG_CONTAINER_OF(timer, struct proxied, timer);
    struct rg_why why = {0};

    int err = rg_why_set(&why, UV_ETIMEDOUT, "", "the header did not come in time");
    refuse(p->server, &p->header, err, &why);
    close_waiting(p);
}

static void close_link(struct rg_http_link *link)
{
    close_waiting(RG_CONTAINER_OF(link, struct proxied, link));
}

static const struct rg_http_link_ops link_ops = {close_link, close_link};

static void wait_for_header(struct rg_http_server *server, int fd, bool is_secure,
                            const struct header *header)
{
    struct proxied *p = rg_zalloc(sizeof(*p));

    p->stream = rg_socket_open(server->reactor, fd, &stream_events, p);
    if (p->stream == NULL) {
        rg_free(p);
        return;
    }
    p->server = server;
    p->timer.fn = on_timer;
    p->fd = fd;
    p->is_secure = is_secure;
    p->header = *header;
    rg_http_server_add(server, &p->link, &link_ops);
    rg_reactor_set_timer(server->reactor, &p->timer, server->settings->header_timeout_ms);
}

void rg_proxied_open(struct rg_http_server *server, int fd, bool is_secure)
{
    struct header header = {.n = 0};
    struct rg_why why = {0};

    int done = take_header(&header, fd, &why);
    if (done < 0) {
        refuse(server, &header, done, &why);
        close(fd);
    } else if (done > 0) {
        rg_http_server_begin(server, transport_of(&header, fd, is_secure));
    } else {
        wait_for_header(server, fd, is_secure, &header);
    }
}
