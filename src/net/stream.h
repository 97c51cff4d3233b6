/*
 * stream.h - a two-way flow of bytes with a peer, on a reactor.
 *
 * What a connection reads from and writes to without knowing what carries it: a socket
 * (socket.h), TLS on a socket (tls.h), one stream of an HTTP/2 connection (http/h2.h). A stream
 * buffers nothing for its owner: what it does not take stays with the caller, who asks to be told
 * when it takes more. Idle streams cost no buffer.
 *
 * Thread: the reactor.
 */
#pragma once

#include <sys/uio.h>

#include "base/str.h"
#include "net/reactor.h"

struct rg_stream;

/* What a stream tells its owner. */
struct rg_stream_events {
    /* Bytes (or the end) can be read. Keeps coming until they are, or reading is off. */
    void (*on_readable)(struct rg_stream *stream);
    /* More can be written. Only while writing is asked for. */
    void (*on_writable)(struct rg_stream *stream);
    /* The peer closed its side or is gone; told while neither reading nor writing is on, and once
     * until that changes. */
    void (*on_hangup)(struct rg_stream *stream);
};

/* What carries a stream; each is described with the function below that calls it. */
struct rg_stream_ops {
    long (*read)(struct rg_stream *stream, void *p, size_t n);
    long (*write)(struct rg_stream *stream, const void *p, size_t n);
    long (*writev)(struct rg_stream *stream, const struct iovec *iov, int n);
    void (*update)(struct rg_stream *stream); /* wants_read or wants_write changed */
    void (*shutdown)(struct rg_stream *stream);
    void (*close)(struct rg_stream *stream); /* frees, maybe later; owner is NULL already */
};

struct rg_stream {
    const struct rg_stream_ops *ops;
    struct rg_reactor *reactor;
    const struct rg_stream_events *events;
    void *owner; /* whose stream this is; NULL: closing */
    bool wants_read, wants_write;
    bool speaks_h2; /* agreed on with the peer (RFC 7301); known with the first bytes */
};

/* For what carries streams: fills in the common part. Nobody owns the stream yet. */
void rg_stream_init(struct rg_stream *stream, const struct rg_stream_ops *ops,
                    struct rg_reactor *reactor);

/* Hands the stream to another owner; both events and owner change. Reading is on afterwards. */
void rg_stream_adopt(struct rg_stream *stream, const struct rg_stream_events *events, void *owner);

/* Closes the stream and sets *streamp to NULL; no callback follows. NULL is fine. */
void rg_stream_close(struct rg_stream **streamp);

/* What to be told about. With both off, a hang-up is still told. */
void rg_stream_want(struct rg_stream *stream, bool read, bool write);

/*
 * Bytes read; 0 at the end; UV_EAGAIN if there are none now; another code if the connection is
 * broken.
 */
static inline long rg_stream_read(struct rg_stream *stream, void *p, size_t n)
{
    return stream->ops->read(stream, p, n);
}

/*
 * Bytes written, maybe fewer than asked for; UV_EAGAIN if none; another code if broken. Unless the
 * stream is closed, what was not taken of a slice that was begun must come next: one byte more of
 * it may be on its way than was reported (tls_stream.c).
 */
static inline long rg_stream_write(struct rg_stream *stream, const void *p, size_t n)
{
    return stream->ops->write(stream, p, n);
}

static inline long rg_stream_writev(struct rg_stream *stream, const struct iovec *iov, int n)
{
    return stream->ops->writev(stream, iov, n);
}

/* Says that nothing more will be written. */
static inline void rg_stream_shutdown(struct rg_stream *stream)
{
    stream->ops->shutdown(stream);
}
