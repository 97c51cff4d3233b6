/*
 *   start --address--------------> late --+
 *     \                                   v
 *      +--name--> lookup (a thread) --> next address --> attempt (polled) --> fn
 *                                         ^                 |
 *                                         +-- refused, late +
 *
 * What was cancelled stays until the lookup has come back: libuv writes to it.
 */
#include "net/connect.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"

/* One address being tried. Apart, because libuv lets go of its handle later than we go on. */
struct attempt {
    uv_poll_t poll;
    struct rg_connect *connect; /* NULL: given up */
    int fd;
};

struct rg_connect {
    struct rg_reactor *reactor;
    char *host;
    char port[8];
    rg_connect_fn *fn; /* NULL: cancelled */
    void *arg;
    uint64_t deadline_ms;
    struct rg_timer timer;
    struct rg_late late;

    uv_getaddrinfo_t lookup;
    bool is_looking_up;
    struct addrinfo *addresses;  /* all */
    const struct addrinfo *left; /* not tried yet */
    struct attempt *attempt;     /* NULL: none */
    struct rg_why why;           /* of the last failure */
    int err;
};

/* ---- the end ---- */

static void on_attempt_closed(uv_handle_t *handle)
{
    rg_free(RG_CONTAINER_OF((uv_poll_t *)handle, struct attempt, poll));
}

/* Returns the socket, which stays open. */
static int end_attempt(struct rg_connect *c)
{
    struct attempt *attempt = c->attempt;
    int fd = attempt->fd;

    c->attempt = NULL;
    attempt->connect = NULL;
    uv_close((uv_handle_t *)&attempt->poll, on_attempt_closed);
    return fd;
}

static void connect_free(struct rg_connect *c)
{
    rg_reactor_cancel_timer(c->reactor, &c->timer);
    rg_reactor_cancel_late(&c->late);
    if (c->attempt != NULL)
        close(end_attempt(c));
    c->fn = NULL;
    if (c->is_looking_up) {
        /* Comes to nothing once a thread has begun with it; then it is waited for. */
        uv_cancel((uv_req_t *)&c->lookup);
        return;
    }
    if (c->addresses != NULL)
        freeaddrinfo(c->addresses);
    rg_free(c->host);
    rg_free(c);
}

static void tell(struct rg_connect *c, int fd)
{
    rg_connect_fn *fn = c->fn;
    void *arg = c->arg;
    struct rg_why why = c->why;

    connect_free(c);
    fn(arg, fd, &why);
}

static void note_failure(struct rg_connect *c, int err, const char *what)
{
    char text[128];

    /* A resolver's codes, too. */
    uv_strerror_r(err, text, sizeof(text));
    c->err = rg_why_set(&c->why, err, "", "%s %s:%s: %s", what, c->host, c->port, text);
}

/* ---- addresses, one after the other ---- */

static void try_next(struct rg_connect *c);

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct attempt *attempt = RG_CONTAINER_OF(poll, struct attempt, poll);
    struct rg_connect *c = attempt->connect;
    int err = 0;
    socklen_t err_n = sizeof(err);

    (void)events;
    rg_reactor_assert(c->reactor);
    getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &err, &err_n);
    int fd = end_attempt(c);
    if (err == 0 && status == 0) {
        tell(c, fd);
        return;
    }
    close(fd);
    note_failure(c, err != 0 ? -err : UV_ECONNREFUSED, "cannot connect to");
    try_next(c);
}

/* A socket on its way to address, or a negative code. */
static int open_towards(const struct addrinfo *address)
{
    int one = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
        int err = errno;
        close(fd);
        return -err;
    }
    return fd;
}

static int begin_attempt(struct rg_connect *c, const struct addrinfo *address)
{
    int fd = open_towards(address);

    if (fd < 0)
        return fd;
    struct attempt *attempt = rg_zalloc(sizeof(*attempt));
    int err = uv_poll_init(&c->reactor->loop, &attempt->poll, fd);
    if (err < 0) {
        rg_free(attempt);
        close(fd);
        return err;
    }
    attempt->fd = fd;
    attempt->connect = c;
    c->attempt = attempt;
    rg_assert(uv_poll_start(&attempt->poll, UV_WRITABLE, on_poll) == 0);
    return 0;
}

/* The next address has its share of the time that is left. */
static void set_share(struct rg_connect *c)
{
    uint64_t now = c->reactor->now_ms;
    uint64_t left = c->deadline_ms > now ? c->deadline_ms - now : 0;
    unsigned n = 1;

    for (const struct addrinfo *a = c->left; a != NULL; a = a->ai_next)
        n++;
    rg_reactor_set_timer(c->reactor, &c->timer, left / n);
}

static void try_next(struct rg_connect *c)
{
    while (c->left != NULL && c->attempt == NULL) {
        const struct addrinfo *address = c->left;
        c->left = address->ai_next;
        int err = begin_attempt(c, address);
        if (err < 0)
            note_failure(c, err, "cannot connect to");
    }
    if (c->attempt != NULL)
        set_share(c);
    else
        tell(c, c->err);
}

static void on_timer(struct rg_timer *timer)
{
    struct rg_connect *c = RG_CONTAINER_OF(timer, struct rg_connect, timer);

    if (c->is_looking_up) {
        note_failure(c, UV_ETIMEDOUT, "cannot look up");
        tell(c, c->err);
        return;
    }
    close(end_attempt(c));
    note_failure(c, UV_ETIMEDOUT, "cannot connect to");
    try_next(c);
}

/* ---- where to ---- */

static const struct addrinfo tcp = {
    .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};

static void on_lookup(uv_getaddrinfo_t *lookup, int status, struct addrinfo *list)
{
    struct rg_connect *c = RG_CONTAINER_OF(lookup, struct rg_connect, lookup);

    rg_reactor_assert(c->reactor);
    c->is_looking_up = false;
    c->addresses = list;
    c->left = list;
    if (c->fn == NULL) {
        connect_free(c);
        return;
    }
    if (status < 0)
        note_failure(c, status, "cannot look up");
    try_next(c);
}

static void at_turn_end(struct rg_late *late)
{
    try_next(RG_CONTAINER_OF(late, struct rg_connect, late));
}

static bool is_address(struct rg_connect *c)
{
    struct addrinfo hints = tcp;

    /* Without a lookup, so that it does not block. */
    hints.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST;
    return getaddrinfo(c->host, c->port, &hints, &c->addresses) == 0;
}

struct rg_connect *rg_connect_start(struct rg_reactor *reactor, const char *host, unsigned port,
                                    uint64_t timeout_ms, rg_connect_fn *fn, void *arg)
{
    struct rg_connect *c = rg_zalloc(sizeof(*c));

    c->reactor = reactor;
    c->host = rg_strndup(host, strlen(host));
    snprintf(c->port, sizeof(c->port), "%u", port & 0xffff);
    c->fn = fn;
    c->arg = arg;
    c->err = UV_EAI_NODATA;
    c->deadline_ms = reactor->now_ms + timeout_ms;
    c->timer.fn = on_timer;
    c->late.fn = at_turn_end;
    if (!is_address(c)) {
        int err = uv_getaddrinfo(&reactor->loop, &c->lookup, on_lookup, host, c->port, &tcp);
        c->is_looking_up = err == 0;
        if (err < 0)
            note_failure(c, err, "cannot look up");
    }
    c->left = c->addresses;
    if (c->is_looking_up)
        rg_reactor_set_timer(reactor, &c->timer, timeout_ms);
    else
        rg_reactor_run_late(reactor, &c->late);
    return c;
}

void rg_connect_cancel(struct rg_connect **connectp)
{
    struct rg_connect *c = *connectp;

    if (c == NULL)
        return;
    *connectp = NULL;
    connect_free(c);
}
