#include "net/stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct rg_stream *stream = RG_CONTAINER_OF(poll, struct rg_stream, poll);

    rg_reactor_assert(stream->reactor);
    if (status < 0) {
        /* The socket is broken and libuv has stopped watching; the call that follows says how. */
        events = UV_READABLE | UV_WRITABLE | UV_DISCONNECT;
        stream->interest = 0;
    }

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
        stream->events->on_hangup(stream);
}

static void update(struct rg_stream *stream)
{
    unsigned char interest = 0;

    interest |= stream->wants_read ? UV_READABLE : 0;
    interest |= stream->wants_write ? UV_WRITABLE : 0;
    /* Only where nothing else would tell: a peer that closed its side may still be reading. */
    if (interest == 0)
        interest = UV_DISCONNECT;
    if (interest == stream->interest)
        return;
    stream->interest = interest;
    rg_assert(uv_poll_start(&stream->poll, interest, on_poll) == 0);
}

struct rg_stream *rg_stream_open(struct rg_reactor *reactor, int fd,
                                 const struct rg_stream_events *events, void *owner)
{
    struct rg_stream *stream = rg_zalloc(sizeof(*stream));

    if (uv_poll_init(&reactor->loop, &stream->poll, fd) != 0) {
        close(fd);
        rg_free(stream);
        return NULL;
    }
    stream->reactor = reactor;
    stream->fd = fd;
    rg_stream_adopt(stream, events, owner);
    return stream;
}

void rg_stream_adopt(struct rg_stream *stream, const struct rg_stream_events *events, void *owner)
{
    stream->events = events;
    stream->owner = owner;
    stream->wants_read = true;
    stream->wants_write = false;
    update(stream);
}

static void on_closed(uv_handle_t *handle)
{
    rg_free(RG_CONTAINER_OF((uv_poll_t *)handle, struct rg_stream, poll));
}

void rg_stream_close(struct rg_stream **streamp)
{
    struct rg_stream *stream = *streamp;

    if (stream == NULL)
        return;
    *streamp = NULL;
    stream->owner = NULL;
    /* The loop lets go of the descriptor first; its memory is freed when the loop says so. */
    uv_close((uv_handle_t *)&stream->poll, on_closed);
    close(stream->fd);
    stream->fd = -1;
}

void rg_stream_want(struct rg_stream *stream, bool read, bool write)
{
    stream->wants_read = read;
    stream->wants_write = write;
    update(stream);
}

static long result(ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == EINTR || errno == EWOULDBLOCK ? UV_EAGAIN : -errno;
}

long rg_stream_read(struct rg_stream *stream, void *p, size_t n)
{
    return result(read(stream->fd, p, n));
}

long rg_stream_write(struct rg_stream *stream, const void *p, size_t n)
{
    return result(write(stream->fd, p, n));
}

long rg_stream_writev(struct rg_stream *stream, const struct iovec *iov, int n)
{
    return result(writev(stream->fd, iov, n));
}

void rg_stream_shutdown(struct rg_stream *stream)
{
    shutdown(stream->fd, SHUT_WR);
}
