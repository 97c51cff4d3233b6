#include "bench/load_worker.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "bench/args.h"
#include "bench/load_deflate.h"
#include "bench/load_h2.h"
#include "bench/load_socket.h"

#define BLOCK_SIZE (256 * 1024)
#define BATCH      512
#define TICK_MS    20 /* how soon a worker notices what the parent wants */

enum state {
    UNUSED,
    CONNECTING,
    ASKED,
    JOINING, /* channels: connected, but not subscribed yet */
    READY,
    ENDED
};

/* A connection: a client, or with HTTP/2 several. */
struct conn {
    struct rg_load_socket socket;
    unsigned char state;
    uint32_t events;               /* that epoll waits for */
    struct rg_load_tail tail;      /* plain HTTP/1.1 */
    struct rg_load_frames *frames; /* permessage-deflate */
    struct rg_load_h2 *h2;
    uint64_t opened_ns;
    struct conn *next_unused;
};

struct worker {
    const struct rg_load_plan *plan;
    struct rg_load_shared *shared;
    struct rg_load_tally *tally;
    struct rg_load_network net;
    struct rg_load_inflater *inflater;
    unsigned no;
    int epoll;
    struct conn *conns, *unused;
    unsigned conns_n;
    uint64_t opened;
    unsigned in_making;
    char *block;
};

/* What falls to this worker when total is dealt out in turn. */
static uint64_t share_of(const struct worker *w, uint64_t total)
{
    return total / w->plan->workers + (w->no < total % w->plan->workers);
}

/* Dealt out in turn, so that each worker has the same share of every kind. */
static unsigned number_of(const struct worker *w, const struct conn *conn)
{
    return (unsigned)(conn - w->conns) * w->plan->workers + w->no;
}

/* Alternates within one worker, whatever the number of workers. */
static bool is_ws(const struct worker *w, const struct conn *conn)
{
    if (w->plan->kind == RG_LOAD_MIXED)
        return (conn - w->conns) % 2 != 0;
    return w->plan->kind == RG_LOAD_WS;
}

/* The last connection may carry fewer. */
static unsigned streams_of(const struct worker *w, const struct conn *conn)
{
    unsigned first = number_of(w, conn) * w->plan->streams;
    unsigned left = w->plan->clients - first;

    return left < w->plan->streams ? left : w->plan->streams;
}

static void watch(struct worker *w, struct conn *conn, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    int op = conn->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

    if (conn->events == events)
        return;
    if (epoll_ctl(w->epoll, op, conn->socket.fd, &event) < 0)
        rg_args_die("epoll_ctl");
    conn->events = events;
}

static void count_end(struct worker *w, struct conn *conn)
{
    if (conn->h2 != NULL)
        rg_load_h2_free(&conn->h2); /* counts its clients */
    else if (conn->state != READY)
        atomic_fetch_add(&w->tally->failed, w->plan->streams > 0 ? streams_of(w, conn) : 1);
    else if (!w->plan->is_passing)
        atomic_fetch_add(&w->tally->closed, 1);
}

static void end_conn(struct worker *w, struct conn *conn)
{
    if (conn->state != READY)
        w->in_making--;
    count_end(w, conn);
    if (conn->frames != NULL) {
        rg_load_frames_done(conn->frames);
        rg_free(conn->frames);
    }
    rg_load_socket_close(&conn->socket);
    *conn = (struct conn){.state = ENDED};
    if (w->plan->is_passing) {
        conn->state = UNUSED;
        conn->next_unused = w->unused;
        w->unused = conn;
    }
}

/* The first session to be resumed comes from a connection that nobody runs beside. */
static bool may_open(const struct worker *w)
{
    if (w->opened >= share_of(w, atomic_load(&w->shared->goal)) || w->in_making >= w->plan->window)
        return false;
    return !w->plan->is_resuming || w->net.session != NULL || w->in_making == 0;
}

static void note_opening(struct worker *w, struct conn *conn)
{
    conn->opened_ns = rg_clock_mono_ns();
    if (w->plan->is_passing && atomic_load(&w->tally->first_ns) == 0)
        atomic_store(&w->tally->first_ns, conn->opened_ns);
}

static void open_conn(struct worker *w)
{
    struct conn *conn = w->unused;

    w->unused = conn->next_unused;
    w->opened++;
    w->in_making++;
    conn->state = CONNECTING;
    note_opening(w, conn);
    if (rg_load_socket_open(&conn->socket, &w->net, number_of(w, conn)) < 0)
        end_conn(w, conn);
    else
        watch(w, conn, EPOLLOUT);
}

/* Sends what HTTP/2 has to send; false if the connection has ended. */
static bool flush(struct worker *w, struct conn *conn)
{
    int done = rg_load_h2_flush(conn->h2, &conn->socket);

    if (done < 0) {
        end_conn(w, conn);
        return false;
    }
    watch(w, conn, done > 0 ? EPOLLIN : EPOLLIN | EPOLLOUT);
    return true;
}

static void ask(struct worker *w, struct conn *conn)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf request = {0};

    conn->state = ASKED;
    if (w->plan->streams > 0) {
        conn->h2 =
            rg_load_h2_new(&w->net, number_of(w, conn) * w->plan->streams, streams_of(w, conn));
        flush(w, conn);
        return;
    }
    if (w->plan->is_deflated && is_ws(w, conn))
        conn->frames = rg_zalloc(sizeof(*conn->frames));
    rg_load_plan_request(w->plan, is_ws(w, conn), number_of(w, conn), &request);
    /* The first bytes of a connection always fit into its send buffer. */
    if (rg_load_socket_write(&conn->socket, request.p, request.n) != (long)request.n) {
        end_conn(w, conn);
        return;
    }
    watch(w, conn, EPOLLIN);
}

static void go_on_connecting(struct worker *w, struct conn *conn)
{
    uint32_t events = EPOLLOUT;
    int done = rg_load_socket_connect(&conn->socket, &w->net, &events);

    if (done < 0)
        end_conn(w, conn);
    else if (done > 0)
        ask(w, conn);
    else
        watch(w, conn, events);
}

static void become_ready(struct worker *w, struct conn *conn)
{
    uint64_t now_ns;

    conn->state = READY;
    w->in_making--;
    if (conn->h2 == NULL)
        atomic_fetch_add(&w->tally->ready, 1);
    if (w->plan->is_passing) {
        now_ns = rg_clock_mono_ns();
        rg_hist_add(&w->tally->latency, now_ns - conn->opened_ns);
        atomic_store(&w->tally->last_ns, now_ns);
        end_conn(w, conn);
    }
}

/* The answer to the upgrade is one segment, and nothing follows it before the join. */
static void join_channel(struct worker *w, struct conn *conn, size_t n)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf frame = {0};

    if (conn->state == JOINING) {
        if (rg_load_tail_has(&conn->tail, RG_LOAD_JOINED, w->block, n))
            become_ready(w, conn);
        return;
    }
    conn->state = JOINING;
    rg_load_plan_join(number_of(w, conn), &frame);
    if (rg_load_socket_write(&conn->socket, frame.p, frame.n) != (long)frame.n)
        end_conn(w, conn);
}

static void take_http1(struct worker *w, struct conn *conn, size_t n)
{
    if (conn->state == READY)
        rg_load_tally_scan(w->tally, &conn->tail, w->block, n);
    else if (w->plan->secret != NULL)
        join_channel(w, conn, n);
    else if (w->plan->is_bare || rg_load_tail_has(&conn->tail, RG_LOAD_SUBSCRIBED, w->block, n))
        become_ready(w, conn);
}

static int take_deflated(struct worker *w, struct conn *conn, size_t n)
{
    int err = rg_load_frames_feed(conn->frames, w->inflater, w->block, n);

    if (err == 0 && conn->state == ASKED && conn->frames->is_subscribed)
        become_ready(w, conn);
    return err;
}

static int take_http2(struct worker *w, struct conn *conn, size_t n)
{
    int err = rg_load_h2_feed(conn->h2, w->block, n);

    if (err == 0 && conn->state == ASKED && rg_load_h2_is_settled(conn->h2))
        become_ready(w, conn);
    return err;
}

static int take_bytes(struct worker *w, struct conn *conn, size_t n)
{
    atomic_fetch_add_explicit(&w->tally->bytes, n, memory_order_relaxed);
    if (conn->h2 != NULL)
        return take_http2(w, conn, n);
    if (conn->frames != NULL)
        return take_deflated(w, conn, n);
    take_http1(w, conn, n);
    return 0;
}

static bool is_open(const struct conn *conn)
{
    return conn->state == ASKED || conn->state == JOINING || conn->state == READY;
}

/* What OpenSSL has taken from the socket is not seen by epoll any more: read all of it. */
static void receive(struct worker *w, struct conn *conn)
{
    do {
        long n = rg_load_socket_read(&conn->socket, w->block, BLOCK_SIZE);

        if (n == -EAGAIN || n == -EINTR)
            break;
        if (n <= 0 || take_bytes(w, conn, (size_t)n) < 0)
            end_conn(w, conn);
    } while (is_open(conn) && conn->socket.ssl != NULL);
}

static void on_conn(struct worker *w, struct conn *conn, uint32_t events)
{
    if (conn->state == CONNECTING) {
        go_on_connecting(w, conn);
        return;
    }
    if (is_open(conn) && (events & ~(uint32_t)EPOLLOUT) != 0)
        receive(w, conn);
    /* What was received may want answers: acknowledged settings, pings. */
    if (is_open(conn) && conn->h2 != NULL)
        flush(w, conn);
}

static void start_anew_if_told(struct worker *w)
{
    uint64_t epoch = atomic_load(&w->shared->epoch);

    if (atomic_load(&w->tally->epoch) == epoch)
        return;
    memset(&w->tally->latency, 0, sizeof(w->tally->latency));
    atomic_store(&w->tally->events, 0);
    atomic_store(&w->tally->bytes, 0);
    atomic_store(&w->tally->inflated, 0);
    atomic_store(&w->tally->first_ns, 0);
    atomic_store(&w->tally->last_ns, 0);
    atomic_store(&w->tally->epoch, epoch);
}

static void loop(struct worker *w)
{
    struct epoll_event events[BATCH];
    pid_t parent = getppid();

    while (!atomic_load(&w->shared->must_end) && getppid() == parent) {
        int n;

        while (may_open(w))
            open_conn(w);
        n = epoll_wait(w->epoll, events, BATCH, TICK_MS);
        start_anew_if_told(w);
        for (int i = 0; i < n; i++)
            on_conn(w, events[i].data.ptr, events[i].events);
    }
}

/* So that the next run finds every port free (see rg_load_socket_close()). */
static void end_all(struct worker *w)
{
    for (unsigned i = 0; i < w->conns_n; i++) {
        if (w->conns[i].state != UNUSED && w->conns[i].state != ENDED)
            end_conn(w, &w->conns[i]);
    }
}

static void make_conns(struct worker *w)
{
    w->conns_n = w->plan->is_passing ? w->plan->window
                                     : (unsigned)share_of(w, atomic_load(&w->shared->goal));
    w->conns = rg_zalloc(sizeof(*w->conns) * w->conns_n);
    for (unsigned i = w->conns_n; i-- > 0;) {
        w->conns[i].next_unused = w->unused;
        w->unused = &w->conns[i];
    }
}

void rg_load_worker_run(const struct rg_load_plan *plan, struct rg_load_shared *shared, unsigned no)
{
    struct worker w = {.plan = plan, .shared = shared, .tally = &shared->tallies[no], .no = no};

    make_conns(&w);
    rg_load_network_init(&w.net, plan, shared, w.tally);
    w.inflater = rg_load_inflater_new(w.tally);
    w.block = rg_alloc(BLOCK_SIZE);
    w.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w.epoll < 0)
        rg_args_die("epoll_create1");
    loop(&w);
    end_all(&w);
    close(w.epoll);
    rg_load_inflater_free(&w.inflater);
    rg_load_network_done(&w.net);
    rg_free(w.conns);
    rg_free(w.block);
}
