/*
 * bare_accept.c - rg-bare-accept, the least that taking a connection can cost.
 *
 * T threads, each with its own SO_REUSEPORT listener, as the gateway has reactors. Each connection
 * is accepted, with --cert and --key secured by OpenSSL, read until the end of a request's head,
 * and answered with the bytes of a file: no parsing, no routing, no client. It stays until the peer
 * leaves.
 *
 * Prints "port: P", then one JSON line for each line on standard input, until "quit".
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "bench/args.h"
#include "bench/listen.h"

#define MAX_THREADS 64
#define BATCH       256
#define MAX_HEAD    4096
#define MAX_ANSWER  65536

static const char usage[] =
    "usage: rg-bare-accept --answer FILE [--threads N] [--cert FILE --key FILE]";

struct conn {
    int fd;
    SSL *ssl; /* NULL: plain */
    size_t head_n;
    char tail[3]; /* of the head so far */
    bool is_answered;
};

struct thread {
    pthread_t id;
    int epoll, listener;
    atomic_uint_fast64_t accepted, answered; /* this thread counts, main reads */
};

static struct thread threads[MAX_THREADS];
static unsigned threads_n = 2;
static SSL_CTX *tls; /* NULL: plain */
static struct rg_buf answer;

static void read_answer(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *room = rg_buf_reserve(&answer, MAX_ANSWER);

    if (file == NULL)
        rg_args_die(path);
    answer.n = fread(room, 1, MAX_ANSWER, file);
    if (answer.n == 0 || answer.n == MAX_ANSWER)
        rg_args_fail("%s: 1 to %d bytes are expected", path, MAX_ANSWER - 1);
    fclose(file);
}

static void start_tls(const char *cert, const char *key)
{
    tls = SSL_CTX_new(TLS_server_method());
    if (tls == NULL || SSL_CTX_use_certificate_chain_file(tls, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        rg_args_fail("%s, %s: no certificate or no key", cert, key);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    /* Tickets only, as where several processes must resume each other's sessions. */
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(tls, 1);
    SSL_CTX_set_quiet_shutdown(tls, 1);
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
        if (tls != NULL) {
            conn->ssl = SSL_new(tls);
            if (conn->ssl == NULL || SSL_set_fd(conn->ssl, fd) != 1)
                rg_args_fail("OpenSSL refuses a new connection");
            SSL_set_accept_state(conn->ssl);
        }
        epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &event);
        atomic_fetch_add(&t->accepted, 1);
    }
}

static void leave(struct conn *conn)
{
    SSL_free(conn->ssl);
    close(conn->fd);
    rg_free(conn);
}

/* Returns how many bytes came, 0 if none are there yet, -1 at the end. The handshake is done by
 * reading. */
static long read_some(struct conn *conn, void *p, size_t n)
{
    long got;

    if (conn->ssl == NULL) {
        got = recv(conn->fd, p, n, 0);
        if (got < 0 && errno == EAGAIN)
            return 0;
        return got > 0 ? got : -1;
    }
    ERR_clear_error();
    got = SSL_read(conn->ssl, p, (int)n);
    if (got > 0)
        return got;
    return SSL_get_error(conn->ssl, (int)got) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* False if the connection does not take it at once, as it does with its first bytes. */
static bool send_answer(struct conn *conn)
{
    if (conn->ssl != NULL)
        return SSL_write(conn->ssl, answer.p, (int)answer.n) == (int)answer.n;
    return send(conn->fd, answer.p, answer.n, MSG_NOSIGNAL) == (ssize_t)answer.n;
}

/* p has room for three bytes before it. True if the head ends with these bytes. */
static bool ends_head(struct conn *conn, char *p, size_t n)
{
    size_t kept = sizeof(conn->tail);
    const char *all = p - kept;
    bool is_end;

    memcpy(p - kept, conn->tail, kept);
    conn->head_n += n;
    is_end = memcmp(all + kept + n - 4, "\r\n\r\n", 4) == 0;
    memcpy(conn->tail, all + n, kept);
    return is_end;
}

static void on_conn(struct thread *t, struct conn *conn)
{
    char block[sizeof(conn->tail) + MAX_HEAD];
    char *p = block + sizeof(conn->tail);
    long n;

    while ((n = read_some(conn, p, MAX_HEAD)) > 0) {
        if (conn->is_answered)
            continue; /* nothing more is expected; whatever it is */
        if (!ends_head(conn, p, (size_t)n))
            continue;
        if (conn->head_n > MAX_HEAD || !send_answer(conn)) {
            n = -1;
            break;
        }
        conn->is_answered = true;
        atomic_fetch_add(&t->answered, 1);
        if (conn->ssl == NULL)
            return; /* epoll tells when there is more */
    }
    if (n < 0)
        leave(conn);
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
    if (t->epoll < 0)
        rg_args_die("epoll_create1");
    epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->listener, &event);
    if (pthread_create(&t->id, NULL, run, t) != 0)
        rg_args_die("pthread_create");
}

static void report(void)
{
    uint64_t accepted = 0, answered = 0;

    for (unsigned i = 0; i < threads_n; i++) {
        accepted += atomic_load(&threads[i].accepted);
        answered += atomic_load(&threads[i].answered);
    }
    printf("{\"accepted\":%" PRIu64 ",\"answered\":%" PRIu64 "}\n", accepted, answered);
    fflush(stdout);
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {{"threads", required_argument, NULL, 't'},
                                            {"answer", required_argument, NULL, 'a'},
                                            {"cert", required_argument, NULL, 'c'},
                                            {"key", required_argument, NULL, 'k'},
                                            {0}};
    const char *cert = NULL, *key = NULL, *path = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 't')
            threads_n = (unsigned)rg_args_u64("--threads", optarg, MAX_THREADS);
        else if (option == 'a')
            path = optarg;
        else if (option == 'c')
            cert = optarg;
        else if (option == 'k')
            key = optarg;
        else
            rg_args_fail("%s", usage);
    }
    if (path == NULL || threads_n == 0 || (cert == NULL) != (key == NULL))
        rg_args_fail("%s", usage);
    read_answer(path);
    if (cert != NULL)
        start_tls(cert, key);
}

int main(int argc, char **argv)
{
    uint16_t port = 0;
    char line[64];

    parse(argc, argv);
    rg_args_raise_descriptors();
    for (unsigned i = 0; i < threads_n; i++) {
        start_thread(&threads[i], port);
        port = rg_listen_port(threads[0].listener);
    }
    printf("port: %u\n", port);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL && strncmp(line, "quit", 4) != 0)
        report();
    return 0;
}
