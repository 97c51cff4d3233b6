/*
 *   start --> attempt (polled) --> fn
 *     \--- no socket, refused at once: late --> fn
 */
#include "net/connect.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/alloc.h"

struct rg_connect {
    uv_poll_t poll;
    struct rg_reactor *reactor;
    struct rg_address address;
    rg_connect_fn *fn;
    void *arg;
    struct rg_timer timer;
    struct rg_late late;
    int fd;  /* negative: there is none, and nothing is polled */
    int err; /* why there is none */
};

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    rg_free(RG_CONTAINER_OF((uv_poll_t *)handle, struct rg_connect, poll));
}

/* Lets go of everything but the socket, which is returned. */
static int connect_end(struct rg_connect *c)
{
    int fd = c->fd;

    rg_reactor_cancel_timer(c->reactor, &c->timer);
    rg_reactor_cancel_late(&c->late);
    c->fd = -1;
    if (fd >= 0)
        uv_close((uv_handle_t *)&c->poll, on_closed);
    else
        rg_free(c);
    return fd;
}

/* err is negative. */
static void fail(struct rg_connect *c, int err)
{
    rg_connect_fn *fn = c->fn;
    void *arg = c->arg;
    char to[RG_ADDRESS_SIZE], text[128];
    struct rg_why why = {0};

    rg_address_text(&c->address, to);
    uv_strerror_r(err, text, sizeof(text));
    rg_why_set(&why, err, "", "cannot connect to %s: %s", to, text);
    int fd = connect_end(c);
    if (fd >= 0)
        close(fd);
    fn(arg, err, &why);
}

static void succeed(struct rg_connect *c)
{
    rg_connect_fn *fn = c->fn;
    void *arg = c->arg;
    struct rg_why none = {0};

    fn(arg, connect_end(c), &none);
}

void rg_connect_cancel(struct rg_connect **connectp)
{
    if (*connectp == NULL)
        return;
    int fd = connect_end(*connectp);
    *connectp = NULL;
    if (fd >= 0)
        close(fd);
}

/* ---- the attempt ---- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct rg_connect *c = RG_CONTAINER_OF(poll, struct rg_connect, poll);
    int err = 0;
    socklen_t err_n = sizeof(err);

    (void)events;
    rg_reactor_assert(c->reactor);
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &err_n);
    if (err == 0 && status == 0)
        succeed(c);
    else
        fail(c, err != 0 ? -err : UV_ECONNREFUSED);
}

static void on_timer(struct rg_timer *timer)
{
    fail(RG_CONTAINER_OF(timer, struct rg_connect, timer), UV_ETIMEDOUT);
}

static void at_turn_end(struct rg_late *late)
{
    struct rg_connect *c = RG_CONTAINER_OF(late, struct rg_connect, late);

    fail(c, c->err);
}

/* A socket on its way to address, or a negative code. */
static int open_towards(const struct rg_address *address)
{
    int one = 1;
    int fd = socket(address->to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, &address->to.any, address->n) != 0 && errno != EINPROGRESS) {
        int err = errno;
        close(fd);
        return -err;
    }
    return fd;
}

static int begin(struct rg_connect *c)
{
    int fd = open_towards(&c->address);

    if (fd < 0)
        return fd;
    int err = uv_poll_init(&c->reactor->loop, &c->poll, fd);
    if (err < 0) {
        close(fd);
        return err;
    }
    rg_assert(uv_poll_start(&c->poll, UV_WRITABLE, on_poll) == 0);
    return fd;
}

struct rg_connect *rg_connect_start(struct rg_reactor *reactor, const struct rg_address *address,
                                    uint64_t timeout_ms, rg_connect_fn *fn, void *arg)
{
    struct rg_connect *c = rg_zalloc(sizeof(*c));

    c->reactor = reactor;
    c->address = *address;
    c->fn = fn;
    c->arg = arg;
    c->timer.fn = on_timer;
    c->late.fn = at_turn_end;
    c->fd = begin(c);
    c->err = c->fd < 0 ? c->fd : 0;
    if (c->fd >= 0)
        rg_reactor_set_timer(reactor, &c->timer, timeout_ms);
    else
        rg_reactor_run_late(reactor, &c->late);
    return c;
}
