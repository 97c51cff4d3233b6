#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/socket_priv.h"

/* ---- shared with tls_stream.c ---- */

int rg_socket_init(struct rg_socket *socket, const struct rg_stream_ops *ops,
                   struct rg_reactor *reactor, int fd, rg_socket_ready_fn *on_ready)
{
    int is_on = 1;

    rg_stream_init(&socket->stream, ops, reactor);
    socket->fd = fd;
    socket->on_ready = on_ready;
    int err = ioctl(fd, FIONBIO, &is_on) == 0 ? rg_sockets_add(reactor, socket) : -errno;
    if (err != 0) {
        close(fd);
        socket->fd = -1;
    }
    return err;
}

void rg_socket_watch(struct rg_socket *socket, unsigned interest)
{
    if (interest != socket->interest)
        socket->has_told_hangup = false;
    socket->interest = (unsigned char)interest;
    if ((socket->ready & (interest != 0 ? interest : RG_READY_HANGUP)) != 0)
        rg_sockets_make_ready(socket);
}

void rg_socket_nudge(struct rg_socket *socket, unsigned events)
{
    socket->ready |= (unsigned char)events;
    rg_sockets_make_ready(socket);
}

void rg_socket_tell(struct rg_socket *socket, unsigned events)
{
    struct rg_stream *stream = &socket->stream;

    if ((events & RG_READY_WRITE) != 0 && stream->wants_write)
        stream->events->on_writable(stream);
    /* The callback may have closed the stream or turned reading off. */
    if (stream->owner == NULL)
        return;
    if ((events & (RG_READY_READ | RG_READY_HANGUP)) == 0)
        return;
    if (stream->wants_read) {
        stream->events->on_readable(stream);
    } else if ((events & RG_READY_HANGUP) != 0) {
        socket->has_told_hangup = true;
        stream->events->on_hangup(stream);
    }
}

void rg_socket_close(struct rg_socket *socket, rg_socket_closed_fn *on_closed)
{
    int fd = socket->fd;

    /* Its memory is freed when nothing that has happened in this turn can be about it any more. */
    rg_sockets_release(socket, on_closed);
    close(fd);
}

static long result(ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == EINTR || errno == EWOULDBLOCK ? UV_EAGAIN : -errno;
}

long rg_socket_read(struct rg_socket *socket, void *p, size_t n)
{
    long got = result(read(socket->fd, p, n));

    /* Less than there is room for is all there was; what comes now is told again. */
    if (got == UV_EAGAIN || (got > 0 && (size_t)got < n))
        rg_socket_not_ready(socket, RG_READY_READ);
    return got;
}

long rg_socket_write(struct rg_socket *socket, const void *p, size_t n)
{
    long took = result(write(socket->fd, p, n));

    if (took == UV_EAGAIN || (took >= 0 && (size_t)took < n))
        rg_socket_not_ready(socket, RG_READY_WRITE);
    return took;
}

long rg_socket_writev(struct rg_socket *socket, const struct iovec *iov, int n)
{
    long took = result(writev(socket->fd, iov, n));
    size_t all = 0;

    for (int i = 0; i < n; i++)
        all += iov[i].iov_len;
    if (took == UV_EAGAIN || (took >= 0 && (size_t)took < all))
        rg_socket_not_ready(socket, RG_READY_WRITE);
    return took;
}

/* ---- plain sockets ---- */

static struct rg_socket *of_stream(struct rg_stream *stream)
{
    return RG_CONTAINER_OF(stream, struct rg_socket, stream);
}

static long socket_read(struct rg_stream *stream, void *p, size_t n)
{
    return rg_socket_read(of_stream(stream), p, n);
}

static long socket_write(struct rg_stream *stream, const void *p, size_t n)
{
    return rg_socket_write(of_stream(stream), p, n);
}

static long socket_writev(struct rg_stream *stream, const struct iovec *iov, int n)
{
    return rg_socket_writev(of_stream(stream), iov, n);
}

static void socket_update(struct rg_stream *stream)
{
    unsigned interest = 0;

    interest |= stream->wants_read ? RG_READY_READ : 0;
    interest |= stream->wants_write ? RG_READY_WRITE : 0;
    rg_socket_watch(of_stream(stream), interest);
}

static void socket_shutdown(struct rg_stream *stream)
{
    shutdown(of_stream(stream)->fd, SHUT_WR);
}

static void on_closed(struct rg_socket *socket)
{
    rg_free(socket);
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

    if (rg_socket_init(socket, &socket_ops, reactor, fd, rg_socket_tell) < 0) {
        rg_free(socket);
        return NULL;
    }
    rg_stream_adopt(&socket->stream, events, owner);
    return &socket->stream;
}

void rg_socket_drained(struct rg_stream *stream)
{
    rg_assert(stream->ops == &socket_ops);
    rg_socket_not_ready(of_stream(stream), RG_READY_READ);
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
