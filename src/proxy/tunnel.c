#include "proxy/tunnel.h"

#include "base/alloc.h"

/* What goes from one side to the other. */
struct flow {
    struct rg_stream *from, *to;
    struct rg_buf kept; /* was read, and not taken yet; while there is some, nothing is read */
    size_t at;          /* of kept, that was taken */
    bool has_ended;     /* from says no more */
    bool is_shut;       /* and to was told */
    uint64_t bytes;
};

struct tunnel {
    struct rg_tunnels *tunnels;
    struct tunnel *prev, *next;
    struct flow up, down; /* from the client, and to it */
    struct rg_timer timer;
    uint64_t idle_ms;
    uint64_t moved_ms; /* when something last moved */
    rg_tunnel_end_fn *on_end;
    void *arg;
};

struct rg_tunnels {
    struct rg_reactor *reactor;
    _Atomic uint64_t *open, *opened;
    struct tunnel *first;
    size_t n;
};

struct rg_tunnels *rg_tunnels_new(struct rg_reactor *reactor, _Atomic uint64_t *open,
                                  _Atomic uint64_t *opened)
{
    struct rg_tunnels *tunnels = rg_zalloc(sizeof(*tunnels));

    tunnels->reactor = reactor;
    tunnels->open = open;
    tunnels->opened = opened;
    return tunnels;
}

void rg_tunnels_free(struct rg_tunnels **tunnelsp)
{
    rg_assert(*tunnelsp == NULL || (*tunnelsp)->n == 0);
    rg_free(RG_STEAL(*tunnelsp));
}

size_t rg_tunnels_count(const struct rg_tunnels *tunnels)
{
    return tunnels->n;
}

/* ---- the end ---- */

static void unlink_tunnel(struct tunnel *tunnel)
{
    if (tunnel->prev != NULL)
        tunnel->prev->next = tunnel->next;
    else
        tunnel->tunnels->first = tunnel->next;
    if (tunnel->next != NULL)
        tunnel->next->prev = tunnel->prev;
    tunnel->tunnels->n--;
    atomic_fetch_sub_explicit(tunnel->tunnels->open, 1, memory_order_relaxed);
}

static void end(struct tunnel *tunnel, bool is_idle)
{
    const struct rg_tunnel_totals totals = {tunnel->up.bytes, tunnel->down.bytes, is_idle};
    rg_tunnel_end_fn *on_end = tunnel->on_end;
    void *arg = tunnel->arg;

    unlink_tunnel(tunnel);
    rg_reactor_cancel_timer(tunnel->tunnels->reactor, &tunnel->timer);
    rg_stream_close(&tunnel->up.from);
    rg_stream_close(&tunnel->down.from);
    rg_buf_done(&tunnel->up.kept);
    rg_buf_done(&tunnel->down.kept);
    rg_free(tunnel);
    on_end(arg, &totals);
}

void rg_tunnels_close_all(struct rg_tunnels *tunnels)
{
    while (tunnels->first != NULL)
        end(tunnels->first, false);
}

/* ---- moving ---- */

/* False if the connection is broken. */
static bool flush(struct flow *flow)
{
    while (flow->at < flow->kept.n) {
        long n = rg_stream_write(flow->to, flow->kept.p + flow->at, flow->kept.n - flow->at);
        if (n == UV_EAGAIN || n == 0)
            return true;
        if (n < 0)
            return false;
        flow->at += (size_t)n;
        flow->bytes += (size_t)n;
    }
    /* An idle tunnel costs no buffer. */
    rg_buf_done(&flow->kept);
    flow->at = 0;
    return true;
}

static bool is_empty(const struct flow *flow)
{
    return flow->at == flow->kept.n;
}

/* Reads once: what there is beyond is told of again, and others get their turn. */
static bool move(struct flow *flow, char *buffer)
{
    long n = rg_stream_read(flow->from, buffer, RG_READ_BUFFER);

    if (n == UV_EAGAIN)
        return true;
    if (n <= 0) {
        flow->has_ended = n == 0;
        return n == 0;
    }
    long taken = rg_stream_write(flow->to, buffer, (size_t)n);
    if (taken < 0 && taken != UV_EAGAIN)
        return false;
    taken = taken > 0 ? taken : 0;
    flow->bytes += (size_t)taken;
    rg_buf_add(&flow->kept, buffer + taken, (size_t)(n - taken));
    return true;
}

static void pass_end_on(struct flow *flow)
{
    if (!flow->has_ended || flow->is_shut || !is_empty(flow))
        return;
    flow->is_shut = true;
    rg_stream_shutdown(flow->to);
}

static void settle(struct tunnel *tunnel)
{
    struct flow *up = &tunnel->up, *down = &tunnel->down;

    pass_end_on(up);
    pass_end_on(down);
    if (up->is_shut && down->is_shut) {
        end(tunnel, false);
        return;
    }
    rg_stream_want(up->from, !up->has_ended && is_empty(up), !is_empty(down));
    rg_stream_want(down->from, !down->has_ended && is_empty(down), !is_empty(up));
}

static void go_on(struct tunnel *tunnel, bool is_good)
{
    tunnel->moved_ms = tunnel->tunnels->reactor->now_ms;
    if (is_good)
        settle(tunnel);
    else
        end(tunnel, false);
}

static void on_readable(struct rg_stream *stream)
{
    struct tunnel *tunnel = stream->owner;
    struct flow *flow = stream == tunnel->up.from ? &tunnel->up : &tunnel->down;

    rg_reactor_assert(tunnel->tunnels->reactor);
    go_on(tunnel,
          !is_empty(flow) || flow->has_ended || move(flow, tunnel->tunnels->reactor->read_buffer));
}

static void on_writable(struct rg_stream *stream)
{
    struct tunnel *tunnel = stream->owner;
    struct flow *flow = stream == tunnel->up.to ? &tunnel->up : &tunnel->down;

    rg_reactor_assert(tunnel->tunnels->reactor);
    go_on(tunnel, flush(flow));
}

/* Whoever has ended may still listen; if not, that is seen when something is written. */
static void on_hangup(struct rg_stream *stream)
{
    (void)stream;
}

static const struct rg_stream_events events = {on_readable, on_writable, on_hangup};

/* ---- time ---- */

static uint64_t patience_ms(const struct tunnel *tunnel)
{
    bool is_half = tunnel->up.has_ended || tunnel->down.has_ended;

    return is_half && tunnel->idle_ms > RG_TUNNEL_HALF_IDLE_MS ? RG_TUNNEL_HALF_IDLE_MS
                                                               : tunnel->idle_ms;
}

/* The timer is not moved with each byte: it looks how long ago the last one was. */
static void on_timer(struct rg_timer *timer)
{
    struct tunnel *tunnel = RG_CONTAINER_OF(timer, struct tunnel, timer);
    struct rg_reactor *reactor = tunnel->tunnels->reactor;
    uint64_t idle_ms = reactor->now_ms - tunnel->moved_ms;

    rg_reactor_assert(reactor);
    if (idle_ms >= patience_ms(tunnel)) {
        end(tunnel, true);
        return;
    }
    /* It may end by half at any time, and have less patience then. */
    uint64_t left_ms = patience_ms(tunnel) - idle_ms;
    rg_reactor_set_timer(reactor, timer,
                         left_ms < RG_TUNNEL_HALF_IDLE_MS ? left_ms : RG_TUNNEL_HALF_IDLE_MS);
}

/* ---- the beginning ---- */

void rg_tunnel_open(struct rg_tunnels *tunnels, struct rg_tunnel_side *client,
                    struct rg_tunnel_side *service, uint64_t idle_ms, rg_tunnel_end_fn *on_end,
                    void *arg)
{
    struct tunnel *tunnel = rg_zalloc(sizeof(*tunnel));

    *tunnel = (struct tunnel){
        .tunnels = tunnels,
        .next = tunnels->first,
        .up = {.from = client->stream, .to = service->stream, .kept = service->first},
        .down = {.from = service->stream, .to = client->stream, .kept = client->first},
        .timer = {.fn = on_timer},
        .idle_ms = idle_ms,
        .moved_ms = tunnels->reactor->now_ms,
        .on_end = on_end,
        .arg = arg,
    };
    *client = *service = (struct rg_tunnel_side){0};
    if (tunnel->next != NULL)
        tunnel->next->prev = tunnel;
    tunnels->first = tunnel;
    tunnels->n++;
    atomic_fetch_add_explicit(tunnels->open, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(tunnels->opened, 1, memory_order_relaxed);
    rg_stream_adopt(tunnel->up.from, &events, tunnel);
    rg_stream_adopt(tunnel->down.from, &events, tunnel);
    on_timer(&tunnel->timer);
    go_on(tunnel, flush(&tunnel->up) && flush(&tunnel->down));
}
