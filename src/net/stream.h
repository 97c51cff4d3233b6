/*
 * stream.h - one connected socket on a reactor.
 *
 * Non-blocking reads and writes on a descriptor of ours, and the readiness of it. A stream
 * buffers nothing: what a socket does not take stays with the caller, who asks to be told
 * when it takes more. Idle streams cost no buffer.
 *
 * Thread: the reactor.
 */
#pragma once

#include <sys/uio.h>

#include "base/str.h"
#include "net/reactor.h"

struct rg_stream;

struct rg_stream_events {
    /* Bytes (or the end) can be read. Keeps coming until they are, or reading is off. */
    void (*on_readable)(struct rg_stream *stream);
    /* More can be written. Only while writing is asked for. */
    void (*on_writable)(struct rg_stream *stream);
    /* The peer closed its side or is gone; told while neither reading nor writing is on. */
    void (*on_hangup)(struct rg_stream *stream);
};

struct rg_stream {
    uv_poll_t poll;
    struct rg_reactor *reactor;
    const struct rg_stream_events *events;
    void *owner; /* whose stream this is; NULL: closing */
    int fd;
    unsigned char interest; /* what uv_poll was asked for */
    bool wants_read, wants_write;
};

/* Takes fd (closed even on failure). NULL if the loop does not accept it. Reading is on. */
struct rg_stream *rg_stream_open(struct rg_reactor *reactor, int fd,
                                 const struct rg_stream_events *events, void *owner);

/* Hands the stream to another owner; both events and owner change. Reading is on afterwards. */
void rg_stream_adopt(struct rg_stream *stream, const struct rg_stream_events *events, void *owner);

/* Closes the socket and sets *streamp to NULL; no callback follows. NULL is fine. */
void rg_stream_close(struct rg_stream **streamp);

/* What to be told about. With both off, a hang-up is still told. */
void rg_stream_want(struct rg_stream *stream, bool read, bool write);

/* Bytes read; 0 at the end; UV_EAGAIN if there are none now; another code if the socket is broken.
 */
long rg_stream_read(struct rg_stream *stream, void *p, size_t n);

/* Bytes written, maybe fewer than asked for; UV_EAGAIN if none; another code if broken. */
long rg_stream_write(struct rg_stream *stream, const void *p, size_t n);
long rg_stream_writev(struct rg_stream *stream, const struct iovec *iov, int n);

/* Says that nothing more will be written. */
void rg_stream_shutdown(struct rg_stream *stream);
