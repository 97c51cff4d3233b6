#include "bench/load_worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bench/args.h"
#include "bench/stamp.h"

#define BLOCK_SIZE (256 * 1024)
#define BATCH      512
#define TICK_MS    20 /* how soon a worker notices what the parent wants */
#define SUBSCRIBED "rig.subscriptions_set"
#define CARRY_SIZE (RG_STAMP_SIZE - 1) /* also enough for SUBSCRIBED cut in two */

enum state {
    CONNECTING,
    ASKED,
    READY,
    ENDED
};

struct client {
    int fd;
    unsigned char state;
    unsigned char carry_n;
    char carry[CARRY_SIZE];
};

struct worker {
    const struct rg_load_plan *plan;
    struct rg_load_shared *shared;
    struct rg_load_tally *tally;
    unsigned no;
    int epoll;
    struct client *clients;
    unsigned clients_n;
    unsigned opened;
    unsigned in_making;
    char *block; /* room for what was carried over, then BLOCK_SIZE */
};

/* Clients are dealt out in turn, so that each worker has the same share of every kind. */
static unsigned number_of(const struct worker *w, const struct client *client)
{
    return (unsigned)(client - w->clients) * w->plan->workers + w->no;
}

/* Alternates within one worker, whatever the number of workers. */
static bool is_ws(const struct worker *w, const struct client *client)
{
    if (w->plan->kind == RG_LOAD_MIXED)
        return (client - w->clients) % 2 != 0;
    return w->plan->kind == RG_LOAD_WS;
}

static void add_encoded(struct rg_buf *out, char c)
{
    bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_';

    if (is_plain)
        rg_buf_add_char(out, c);
    else
        rg_buf_addf(out, "%%%02X", (unsigned char)c);
}

static void add_subscriptions(struct rg_buf *out, const char *json, unsigned number)
{
    while (*json != '\0') {
        if (strncmp(json, "{n}", 3) == 0) {
            rg_buf_addf(out, "%07u", number);
            json += 3;
        } else {
            add_encoded(out, *json++);
        }
    }
}

static void build_request(const struct worker *w, const struct client *client, struct rg_buf *out)
{
    const char *name = is_ws(w, client) ? "ws" : "sse";

    rg_buf_clear(out);
    if (w->plan->is_bare) {
        rg_buf_add_char(out, is_ws(w, client) ? 'W' : 'S');
        return;
    }
    rg_buf_addf(out, "GET /_rig/v1/connection/%s?subscriptions=", name);
    add_subscriptions(out, w->plan->subscriptions, number_of(w, client));
    rg_buf_add_c(out, " HTTP/1.1\r\nHost: bench\r\n");
    if (is_ws(w, client))
        rg_buf_add_c(out, "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    rg_buf_add_c(out, "\r\n");
}

static void end_client(struct worker *w, struct client *client)
{
    /* A reset, so that no port stays in TIME_WAIT and the next run finds all of them free. */
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    if (client->state == READY) {
        atomic_fetch_add(&w->tally->closed, 1);
    } else {
        atomic_fetch_add(&w->tally->failed, 1);
        w->in_making--;
    }
    client->state = ENDED;
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(client->fd);
}

static int bound_socket(const struct worker *w, unsigned number)
{
    struct sockaddr_in source = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;

    if (fd < 0)
        rg_args_die("socket");
    /* The port is chosen in connect(2), where only the pair of endpoints must be unique. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number % w->plan->addresses);
    if (bind(fd, (struct sockaddr *)&source, sizeof(source)) < 0)
        rg_args_die("bind");
    return fd;
}

static void open_client(struct worker *w)
{
    struct client *client = &w->clients[w->opened++];
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};

    client->fd = bound_socket(w, number_of(w, client));
    client->state = CONNECTING;
    w->in_making++;
    if (connect(client->fd, (const struct sockaddr *)&w->plan->server, sizeof(w->plan->server)) <
            0 &&
        errno != EINPROGRESS) {
        end_client(w, client);
        return;
    }
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
        rg_args_die("epoll_ctl");
}

static void ask(struct worker *w, struct client *client)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf request = {0};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

    build_request(w, client, &request);
    /* The first bytes of a connection always fit into its send buffer. */
    if (send(client->fd, request.p, request.n, MSG_NOSIGNAL) != (ssize_t)request.n) {
        end_client(w, client);
        return;
    }
    client->state = ASKED;
    epoll_ctl(w->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

static void count_event(struct worker *w, uint64_t sent_ns, uint64_t now_ns)
{
    struct rg_load_tally *tally = w->tally;

    if (atomic_load_explicit(&tally->first_ns, memory_order_relaxed) == 0)
        atomic_store_explicit(&tally->first_ns, now_ns, memory_order_relaxed);
    rg_hist_add(&tally->latency, now_ns > sent_ns ? now_ns - sent_ns : 0);
}

/* Returns how many bytes are done with. */
static size_t take_events(struct worker *w, const char *p, size_t n)
{
    uint64_t now_ns = rg_clock_mono_ns();
    uint64_t sent_ns, found = 0;
    size_t at = 0, step;

    while ((step = rg_stamp_find(p + at, n - at, &sent_ns)) > 0) {
        at += step;
        found++;
        count_event(w, sent_ns, now_ns);
    }
    if (found > 0) {
        atomic_store_explicit(&w->tally->last_ns, now_ns, memory_order_relaxed);
        atomic_fetch_add_explicit(&w->tally->events, found, memory_order_release);
    }
    return at;
}

static void take_answer(struct worker *w, struct client *client, const char *p, size_t n)
{
    if (!w->plan->is_bare && memmem(p, n, SUBSCRIBED, sizeof(SUBSCRIBED) - 1) == NULL)
        return;
    client->state = READY;
    w->in_making--;
    atomic_fetch_add(&w->tally->ready, 1);
}

static void take_bytes(struct worker *w, struct client *client, size_t received)
{
    const char *p = w->block + CARRY_SIZE - client->carry_n;
    size_t n = received + client->carry_n;
    size_t done = 0;

    if (client->state == READY)
        done = take_events(w, p, n);
    else
        take_answer(w, client, p, n);
    client->carry_n = (unsigned char)(n - done < CARRY_SIZE ? n - done : CARRY_SIZE);
    memcpy(client->carry, p + n - client->carry_n, client->carry_n);
}

static void receive(struct worker *w, struct client *client)
{
    ssize_t n = recv(client->fd, w->block + CARRY_SIZE, BLOCK_SIZE, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end_client(w, client);
        return;
    }
    memcpy(w->block + CARRY_SIZE - client->carry_n, client->carry, client->carry_n);
    atomic_fetch_add_explicit(&w->tally->bytes, (uint64_t)n, memory_order_relaxed);
    take_bytes(w, client, (size_t)n);
}

static void on_client(struct worker *w, struct client *client, uint32_t events)
{
    if (client->state == CONNECTING) {
        if ((events & (EPOLLERR | EPOLLHUP)) != 0)
            end_client(w, client);
        else
            ask(w, client);
    } else if (client->state != ENDED) {
        receive(w, client);
    }
}

static void start_anew_if_told(struct worker *w)
{
    uint64_t epoch = atomic_load(&w->shared->epoch);

    if (atomic_load(&w->tally->epoch) == epoch)
        return;
    memset(&w->tally->latency, 0, sizeof(w->tally->latency));
    atomic_store(&w->tally->events, 0);
    atomic_store(&w->tally->bytes, 0);
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

        while (w->opened < w->clients_n && w->in_making < w->plan->window)
            open_client(w);
        n = epoll_wait(w->epoll, events, BATCH, TICK_MS);
        start_anew_if_told(w);
        for (int i = 0; i < n; i++)
            on_client(w, events[i].data.ptr, events[i].events);
    }
}

/* So that the next run finds every port free (see end_client()). */
static void end_all(struct worker *w)
{
    for (unsigned i = 0; i < w->opened; i++) {
        if (w->clients[i].state != ENDED)
            end_client(w, &w->clients[i]);
    }
}

void rg_load_worker_run(const struct rg_load_plan *plan, struct rg_load_shared *shared, unsigned no)
{
    struct worker w = {.plan = plan, .shared = shared, .tally = &shared->tallies[no], .no = no};

    w.clients_n = plan->clients / plan->workers + (no < plan->clients % plan->workers);
    w.clients = rg_zalloc(sizeof(*w.clients) * w.clients_n);
    w.block = rg_alloc(CARRY_SIZE + BLOCK_SIZE);
    w.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w.epoll < 0)
        rg_args_die("epoll_create1");
    loop(&w);
    end_all(&w);
    close(w.epoll);
    rg_free(w.clients);
    rg_free(w.block);
}
