#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/socket_priv.h"

/* ---- shared with tls.c ---- */

int rg_socket_init(struct rg_socket *socket, const struct rg_stream_ops *ops,
                   struct rg_reactor *reactor, int fd)
{
    rg_stream_init(&socket->stream, ops, reactor);
    int err = uv_poll_init(&reactor->loop, &socket->poll, fd);

    if (err != 0) {
        close(fd);
        return err;
    }
    socket->fd = fd;
    return 0;
}

void rg_socket_watch(struct rg_socket *socket, unsigned interest, uv_poll_cb on_poll)
{
    /* Only where nothing else would tell: a peer that closed its side may still be reading. */
    if (interest == 0)
        interest = UV_DISCONNECT;
    if (interest == socket->interest)
        return;
    socket->interest = (unsigned char)interest;
    rg_assert(uv_poll_start(&socket->poll, (int)interest, on_poll) == 0);
}

/* Once: whoever does not close the stream now would be told in every turn of the loop. */
static void tell_hangup(struct rg_stream *stream)
{
    struct rg_socket *socket = RG_CONTAINER_OF(stream, struct rg_socket, stream);

    stream->events->on_hangup(stream);
    if (stream->owner != NULL && socket->interest == UV_DISCONNECT) {
        socket->interest = 0;
        uv_poll_stop(&socket->poll);
    }
}

void rg_socket_tell(struct rg_stream *stream, int events)
{
    if ((events & UV_WRITABLE) != 0 && stream->wants_write)
        stream->events->on_writable(stream);
    /* The callback may have closed the stream or turned reading off. */
    if (stream->owner == NULL)
        return;
    if ((events & (UV_READABLE | UV_DISCONNECT)) == 0)
        return;
    if (stream->wants_read)
        stream->events->on_readable(stream);
    else if ((events & UV_DISCONNECT) != 0)
        tell_hangup(stream);
}

void rg_socket_watch_again(struct rg_stream *stream)
{
    if (stream->owner != NULL && (stream->wants_read || stream->wants_write))
        stream->ops->update(stream);
}

void rg_socket_close(struct rg_socket *socket, uv_close_cb on_closed)
{
    /* The loop lets go of the descriptor first; its memory is freed when the loop says so. */
    uv_close((uv_handle_t *)&socket->poll, on_closed);
    close(socket->fd);
    socket->fd = -1;
}

long rg_socket_result(ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == EINTR || errno == EWOULDBLOCK ? UV_EAGAIN : -errno;
}

/* ---- plain sockets ---- */

static struct rg_socket *of_stream(struct rg_stream *stream)
{
    return RG_CONTAINER_OF(stream, struct rg_socket, stream);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct rg_socket *socket = RG_CONTAINER_OF(poll, struct rg_socket, poll);

    rg_reactor_assert(socket->stream.reactor);
    if (status < 0) {
        /* The socket is broken and libuv has stopped watching; the call that follows says how. */
        events = UV_READABLE | UV_WRITABLE | UV_DISCONNECT;
        socket->interest = 0;
    }
    rg_socket_tell(&socket->stream, events);
    if (status < 0)
        rg_socket_watch_again(&socket->stream);
}

static long socket_read(struct rg_stream *stream, void *p, size_t n)
{
    return rg_socket_result(read(of_stream(stream)->fd, p, n));
}

static long socket_write(struct rg_stream *stream, const void *p, size_t n)
{
    return rg_socket_result(write(of_stream(stream)->fd, p, n));
}

static long socket_writev(struct rg_stream *stream, const struct iovec *iov, int n)
{
    return rg_socket_result(writev(of_stream(stream)->fd, iov, n));
}

static void socket_update(struct rg_stream *stream)
{
    unsigned interest = 0;

    interest |= stream->wants_read ? UV_READABLE : 0;
    interest |= stream->wants_write ? UV_WRITABLE : 0;
    rg_socket_watch(of_stream(stream), interest, on_poll);
}

static void socket_shutdown(struct rg_stream *stream)
{
    shutdown(of_stream(stream)->fd, SHUT_WR);
}

static void on_closed(uv_handle_t *handle)
{
    rg_free(RG_CONTAINER_OF((uv_poll_t *)handle, struct rg_socket, poll));
}

static void socket_close(struct rg_stream *stream)
{
    rg_socket_close(of_stream(stream), on_closed);
}

static const struct rg_stream_ops socket_ops = {
    .read = socket_read,
    .write = socket_write,
    .writev = socket_writev,
    .update = socket_update,
    .shutdown = socket_shutdown,
    .close = socket_close,
};

struct rg_stream *rg_socket_open(struct rg_reactor *reactor, int fd,
                                 const struct rg_stream_events *events, void *owner)
{
    struct rg_socket *socket = rg_zalloc(sizeof(*socket));

    if (rg_socket_init(socket, &socket_ops, reactor, fd) < 0) {
        rg_free(socket);
        return NULL;
    }
    rg_stream_adopt(&socket->stream, events, owner);
    return &socket->stream;
}

void rg_socket_set_abort(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* ---- addresses ---- */

void rg_socket_address_text(int family, const void *address, char out[RG_PEER_SIZE])
{
    const struct in6_addr *v6 = address;

    if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6)) {
        family = AF_INET;
        address = &v6->s6_addr[12];
    }
    if (inet_ntop(family, address, out, RG_PEER_SIZE) == NULL)
        out[0] = '\0';
}

void rg_socket_peer(int fd, char out[RG_PEER_SIZE])
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t n = sizeof(address);

    out[0] = '\0';
    if (getpeername(fd, &address.any, &n) != 0)
        return;
    if (address.any.sa_family == AF_INET)
        rg_socket_address_text(AF_INET, &address.v4.sin_addr, out);
    else if (address.any.sa_family == AF_INET6)
        rg_socket_address_text(AF_INET6, &address.v6.sin6_addr, out);
}
