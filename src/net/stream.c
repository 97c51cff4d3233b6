#include "net/stream.h"

void rg_stream_init(struct rg_stream *stream, const struct rg_stream_ops *ops,
                    struct rg_reactor *reactor)
{
    *stream = (struct rg_stream){.ops = ops, .reactor = reactor};
}

void rg_stream_adopt(struct rg_stream *stream, const struct rg_stream_events *events, void *owner)
{
    stream->events = events;
    stream->owner = owner;
    rg_stream_want(stream, true, false);
}

void rg_stream_close(struct rg_stream **streamp)
{
    struct rg_stream *stream = *streamp;

    if (stream == NULL)
        return;
    *streamp = NULL;
    stream->owner = NULL;
    stream->ops->close(stream);
}

void rg_stream_want(struct rg_stream *stream, bool read, bool write)
{
    stream->wants_read = read;
    stream->wants_write = write;
    stream->ops->update(stream);
}
