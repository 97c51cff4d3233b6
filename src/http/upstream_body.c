/*
 * A piece goes straight to the socket where nothing is before it; what the socket does not take is
 * kept in call->request. Small pieces wait there for the end of the turn, so that the head, a short
 * body and its end are one write.
 *
 *   request:   | sent, kept for a second try | unsent |
 *              0                           sent       n
 */
#include "base/alloc.h"
#include "http/upstream_priv.h"

/* Less costs less to copy than to write. */
#define SMALL_PIECE ((size_t)8 * 1024)

/* A piece as it is sent: the slices of a chunk, or one. */
struct framed {
    char size[24];
    struct iovec at[3];
    int n;
    size_t bytes;
};

static struct iovec slice(const char *p, size_t n)
{
    return (struct iovec){(void *)p, n};
}

static void frame(const struct rg_upstream_call *call, struct rg_str piece, struct framed *ret)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = sizeof(ret->size);

    ret->n = 0;
    ret->bytes = piece.n;
    if (call->body_left >= 0) {
        ret->at[ret->n++] = slice(piece.p, piece.n);
        return;
    }
    ret->size[--at] = '\n';
    ret->size[--at] = '\r';
    for (size_t n = piece.n; n > 0; n >>= 4)
        ret->size[--at] = digits[n & 15];
    ret->at[ret->n++] = slice(ret->size + at, sizeof(ret->size) - at);
    ret->at[ret->n++] = slice(piece.p, piece.n);
    ret->at[ret->n++] = slice("\r\n", 2);
    ret->bytes += sizeof(ret->size) - at + 2;
}

/* Keeps all behind the first skip bytes. */
static void append(struct rg_upstream_call *call, const struct framed *piece, size_t skip)
{
    for (int i = 0; i < piece->n; i++) {
        size_t n = piece->at[i].iov_len;
        size_t from = skip < n ? skip : n;
        rg_buf_add(&call->request, (const char *)piece->at[i].iov_base + from, n - from);
        skip -= from;
    }
}

/* Whether what is sent may have to be sent again. */
static bool may_repeat(const struct rg_upstream_call *call)
{
    const struct rg_upstream_conn *conn = call->conn;

    return call->is_whole && rg_upstream_call_may_repeat(call) &&
           (conn == NULL || (conn->is_used && !conn->is_heard));
}

void rg_upstream_forget_sent(struct rg_upstream_call *call)
{
    bool is_long = call->is_streamed && call->request.n > RG_UPSTREAM_KEPT_REPLAY;

    if (call->sent == 0 || (may_repeat(call) && !is_long))
        return;
    /* Not for every byte of what is written piece by piece. */
    if (call->sent < call->request.n && call->sent < RG_UPSTREAM_KEPT_REPLAY)
        return;
    rg_buf_consume(&call->request, call->sent);
    call->sent = 0;
    call->is_whole = false;
    if (call->is_finished && call->request.n == 0)
        rg_buf_done(&call->request);
}

static bool is_dropped(const struct rg_upstream_call *call)
{
    const struct rg_upstream_conn *conn = call->conn;

    return call->is_cut || (conn != NULL && (conn->is_mute || conn->state == RG_UPSTREAM_COMPLETE));
}

/* What is left of it must not be sent a second time: that would be another request. */
static void note_dropped(struct rg_upstream_call *call)
{
    call->has_dropped = true;
    call->is_whole = false;
}

/* Whether the piece is copied, to be sent soon or again. */
static bool is_kept(const struct rg_upstream_call *call, const struct framed *piece)
{
    const struct rg_upstream_conn *conn = call->conn;
    size_t n = call->request.n + piece->bytes;

    if (conn == NULL || conn->is_blocked)
        return true;
    if (piece->bytes <= SMALL_PIECE && rg_upstream_unsent(call) + piece->bytes <= 2 * SMALL_PIECE)
        return true;
    return may_repeat(call) && n <= RG_UPSTREAM_KEPT_REPLAY;
}

static void write_piece(struct rg_upstream_call *call, const struct framed *piece)
{
    struct rg_upstream_conn *conn = call->conn;

    if (is_kept(call, piece)) {
        append(call, piece, 0);
        if (conn != NULL && !conn->is_blocked)
            rg_reactor_run_late(call->pool->upstreams->reactor, &call->late);
        return;
    }
    /* It is not kept for a second try, so that there will be none. */
    call->is_whole = false;
    append(call, piece, rg_upstream_conn_send(conn, piece->at, piece->n));
}

bool rg_upstream_has_room_again(const struct rg_upstream_call *call)
{
    return call->is_full &&
           (is_dropped(call) || rg_upstream_unsent(call) <= RG_UPSTREAM_KEPT_BODY / 2);
}

bool rg_upstream_write(struct rg_upstream_call *call, struct rg_str piece)
{
    struct framed framed;

    rg_assert(call->is_streamed && !call->is_finished);
    if (call->body_left >= 0) {
        rg_assert(piece.n <= (uint64_t)call->body_left);
        call->body_left -= (int64_t)piece.n;
    }
    if (is_dropped(call)) {
        note_dropped(call);
        return true;
    }
    if (piece.n > 0) {
        call->has_pieces = true;
        frame(call, piece, &framed);
        write_piece(call, &framed);
    }
    call->is_full = !is_dropped(call) && rg_upstream_unsent(call) >= RG_UPSTREAM_KEPT_BODY;
    return !call->is_full;
}

void rg_upstream_finish(struct rg_upstream_call *call, const struct rg_http_field *trailers,
                        size_t trailers_n)
{
    struct rg_upstream_conn *conn = call->conn;

    rg_assert(call->is_streamed && !call->is_finished);
    if (call->body_left > 0) {
        /* Not from here: the caller is not prepared for the failure. */
        call->is_cut = true;
        rg_reactor_run_late(call->pool->upstreams->reactor, &call->late);
        return;
    }
    call->is_finished = true;
    if (is_dropped(call)) {
        if (call->body_left < 0)
            note_dropped(call);
        return;
    }
    if (call->body_left < 0)
        rg_upstream_encode_last(&call->request, trailers, trailers_n);
    if (conn != NULL && !conn->is_blocked)
        rg_upstream_conn_send(conn, NULL, 0);
}
