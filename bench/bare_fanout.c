/*
 * bare_fanout.c - rg-bare-fanout, the least a fan-out can cost.
 *
 * T threads, each with its own SO_REUSEPORT listener and its own sockets, as the gateway has
 * reactors. A client says with one byte whether it wants the bytes of SSE or of a WebSocket. Each
 * datagram at the trigger port is an event; every thread writes its frame to each of its
 * sockets with one write(2) and does nothing else: no HTTP, no matching, no queue. A socket that
 * does not take a whole frame loses it and is counted.
 *
 * Prints "port: P" and "trigger: P", then one JSON line for each line on standard input, until
 * "quit".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "bench/args.h"
#include "bench/listen.h"

#define MAX_THREADS 64
#define MAX_EVENT   65000
#define BATCH       256
#define RING        4096 /* events that wait for a thread; the trigger waits when it is full */

enum kind {
    KIND_NONE,
    KIND_SSE,
    KIND_WS
};

/* One event as bytes for both kinds; freed by the last thread that is done with it. */
struct frames {
    struct rg_buf sse, ws;
    atomic_uint refs;
};

struct conn {
    int fd;
    enum kind kind;
    size_t at; /* in its thread's list once the kind is known */
};

struct thread {
    pthread_t id;
    int epoll, listener, wake;

    /* The trigger puts, this thread takes. */
    struct frames *ring[RING];
    atomic_uint head, tail;

    /* This thread only. */
    struct conn **conns;
    size_t conns_n, conns_cap;

    /* This thread counts, main reads. */
    atomic_uint_fast64_t clients, deliveries, cut;
};

static struct thread threads[MAX_THREADS];
static unsigned threads_n = 2;

static int trigger_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int size = 4 << 20;

    if (fd < 0)
        rg_args_die("socket");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        rg_args_die("bind");
    return fd;
}

static void accept_all(struct thread *t)
{
    int fd;

    while ((fd = accept4(t->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *conn = rg_zalloc(sizeof(*conn));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
        int yes = 1;

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        conn->fd = fd;
        epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void join(struct thread *t, struct conn *conn, char first)
{
    static const char welcome[] = "ok\n";

    conn->kind = first == 'W' ? KIND_WS : KIND_SSE;
    if (t->conns_n == t->conns_cap) {
        t->conns_cap = t->conns_cap > 0 ? t->conns_cap * 2 : 1024;
        t->conns = rg_realloc_array(t->conns, t->conns_cap, sizeof(*t->conns));
    }
    conn->at = t->conns_n;
    t->conns[t->conns_n++] = conn;
    atomic_fetch_add(&t->clients, 1);
    if (send(conn->fd, welcome, sizeof(welcome) - 1, MSG_NOSIGNAL) < 0)
        atomic_fetch_add(&t->cut, 1);
}

static void leave(struct thread *t, struct conn *conn)
{
    if (conn->kind != KIND_NONE) {
        t->conns[conn->at] = t->conns[--t->conns_n];
        t->conns[conn->at]->at = conn->at;
        atomic_fetch_sub(&t->clients, 1);
    }
    close(conn->fd);
    rg_free(conn);
}

static void on_conn(struct thread *t, struct conn *conn)
{
    char bytes[64];
    ssize_t n = recv(conn->fd, bytes, sizeof(bytes), 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        leave(t, conn);
    else if (conn->kind == KIND_NONE)
        join(t, conn, bytes[0]);
}

static void unref(struct frames *frames)
{
    if (atomic_fetch_sub(&frames->refs, 1) != 1)
        return;
    rg_buf_done(&frames->sse);
    rg_buf_done(&frames->ws);
    rg_free(frames);
}

static void fan_out(struct thread *t, struct frames *frames)
{
    uint64_t cut = 0;

    for (size_t i = 0; i < t->conns_n; i++) {
        const struct rg_buf *frame = t->conns[i]->kind == KIND_WS ? &frames->ws : &frames->sse;

        cut += write(t->conns[i]->fd, frame->p, frame->n) != (ssize_t)frame->n;
    }
    atomic_fetch_add_explicit(&t->deliveries, t->conns_n - cut, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->cut, cut, memory_order_relaxed);
}

static void take_events(struct thread *t)
{
    uint64_t count;
    unsigned tail = atomic_load(&t->tail);

    if (read(t->wake, &count, sizeof(count)) < 0)
        return;
    while (tail != atomic_load(&t->head)) {
        struct frames *frames = t->ring[tail % RING];

        atomic_store(&t->tail, ++tail);
        fan_out(t, frames);
        unref(frames);
    }
}

static void *run(void *arg)
{
    struct thread *t = arg;
    struct epoll_event events[BATCH];

    for (;;) {
        int n = epoll_wait(t->epoll, events, BATCH, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &t->listener)
                accept_all(t);
            else if (events[i].data.ptr == &t->wake)
                take_events(t);
            else
                on_conn(t, events[i].data.ptr);
        }
    }
    return NULL;
}

static void start_thread(struct thread *t, uint16_t port)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &t->listener};

    t->listener = rg_listen_at(port);
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    t->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (t->epoll < 0 || t->wake < 0)
        rg_args_die("epoll_create1");
    epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->listener, &event);
    event.data.ptr = &t->wake;
    epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->wake, &event);
    if (pthread_create(&t->id, NULL, run, t) != 0)
        rg_args_die("pthread_create");
}

static struct rg_str type_of(struct rg_str event)
{
    static const char name[] = "\"type\":\"";
    const char *type = memmem(event.p, event.n, name, sizeof(name) - 1);
    const char *end;

    if (type == NULL)
        return RG_STR("none");
    type += sizeof(name) - 1;
    end = memchr(type, '"', event.n - (size_t)(type - event.p));
    return rg_str_n(type, end != NULL ? (size_t)(end - type) : 0);
}

/* The same bytes that the gateway sends: client-side parsing and packet sizes are then equal. */
static struct frames *encode(struct rg_str event)
{
    struct frames *frames = rg_zalloc(sizeof(*frames));
    struct rg_str type = type_of(event);
    size_t chunk = sizeof("event: \ndata: \n\n") - 1 + type.n + event.n;

    rg_buf_addf(&frames->sse, "%zx\r\nevent: %.*s\ndata: ", chunk, RG_STR_ARG(type));
    rg_buf_add_str(&frames->sse, event);
    rg_buf_add_c(&frames->sse, "\n\n\r\n");

    rg_buf_add_char(&frames->ws, (char)0x81);
    if (event.n < 126) {
        rg_buf_add_char(&frames->ws, (char)event.n);
    } else {
        rg_buf_add_char(&frames->ws, 126);
        rg_buf_add_char(&frames->ws, (char)(event.n >> 8));
        rg_buf_add_char(&frames->ws, (char)event.n);
    }
    rg_buf_add_str(&frames->ws, event);
    atomic_init(&frames->refs, threads_n);
    return frames;
}

static void hand_over(struct frames *frames)
{
    uint64_t one = 1;

    for (unsigned i = 0; i < threads_n; i++) {
        struct thread *t = &threads[i];
        unsigned head = atomic_load(&t->head);

        while (head - atomic_load(&t->tail) == RING)
            usleep(100);
        t->ring[head % RING] = frames;
        atomic_store(&t->head, head + 1);
        if (write(t->wake, &one, sizeof(one)) < 0)
            rg_args_die("write");
    }
}

static void report(void)
{
    uint64_t clients = 0, deliveries = 0, cut = 0;
    struct rusage usage;
    double cpu_s;

    for (unsigned i = 0; i < threads_n; i++) {
        clients += atomic_load(&threads[i].clients);
        deliveries += atomic_load(&threads[i].deliveries);
        cut += atomic_load(&threads[i].cut);
    }
    getrusage(RUSAGE_SELF, &usage);
    cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"clients\":%" PRIu64 ",\"deliveries\":%" PRIu64 ",\"cut\":%" PRIu64
           ",\"cpu_s\":%.6f}\n",
           clients, deliveries, cut, cpu_s);
    fflush(stdout);
}

/* False at the end of the input. */
static bool obey(void)
{
    char line[64];

    if (fgets(line, sizeof(line), stdin) == NULL || strncmp(line, "quit", 4) == 0)
        return false;
    report();
    return true;
}

static void serve(int trigger)
{
    static char event[MAX_EVENT];
    struct pollfd fds[] = {{.fd = trigger, .events = POLLIN}, {.fd = 0, .events = POLLIN}};

    /* One line a time comes in, so nothing stays behind in stdio's buffer. */
    while (poll(fds, 2, -1) > 0) {
        if (fds[1].revents != 0 && !obey())
            return;
        if (fds[0].revents != 0) {
            ssize_t n = recv(trigger, event, sizeof(event), 0);

            if (n > 0)
                hand_over(encode(rg_str_n(event, (size_t)n)));
        }
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"threads", required_argument, NULL, 't'}, {0}};
    uint16_t port = 0;
    int option, trigger;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 't')
            rg_args_fail("usage: rg-bare-fanout [--threads N]");
        threads_n = (unsigned)rg_args_u64("--threads", optarg, MAX_THREADS);
    }
    if (threads_n == 0)
        rg_args_fail("--threads must not be 0");
    rg_args_raise_descriptors();
    for (unsigned i = 0; i < threads_n; i++) {
        start_thread(&threads[i], port);
        port = rg_listen_port(threads[0].listener);
    }
    trigger = trigger_socket();
    printf("port: %u\ntrigger: %u\n", port, rg_listen_port(trigger));
    fflush(stdout);
    serve(trigger);
    return 0;
}
