#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/str.h"

#define BACKLOG            4096
#define ACCEPTS_PER_TURN   64
#define PAUSE_MS           100
#define FIRST_INHERITED_FD 3
#define MAX_INHERITED_FDS  16

static atomic_ulong pauses;

/* ---- binding ---- */

static int try_bind(const struct addrinfo *ai, bool is_shared, struct rg_why *why)
{
    int one = 1, zero = 0;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return rg_why_set(why, -errno, "", "cannot make a socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (is_shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int err = errno;
        close(fd);
        return rg_why_set(why, -err, "", "cannot listen: %s", strerror(err));
    }
    return fd;
}

/*
 * SO_REUSEPORT lets any process of this user in. So the first socket is tried without it, which
 * fails if somebody else listens, and given up again for the shared one.
 */
static int bind_one(const struct addrinfo *ai, bool is_first, struct rg_why *why)
{
    if (is_first) {
        int probe = try_bind(ai, false, why);
        if (probe < 0)
            return probe;
        close(probe);
    }
    return try_bind(ai, true, why);
}

int rg_listener_bind(const char *host, unsigned port, bool is_first, struct rg_why *why)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                             .ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char service[8];
    int fd = UV_EAFNOSUPPORT;

    snprintf(service, sizeof(service), "%u", port & 0xffff);
    /* "::" without V6ONLY takes IPv4 too; a system without IPv6 falls back to 0.0.0.0. */
    if (host == NULL)
        hints.ai_family = AF_INET6;
    int err = getaddrinfo(host, service, &hints, &list);
    if (err == 0) {
        fd = bind_one(list, is_first, why);
        freeaddrinfo(list);
    } else if (host != NULL) {
        return rg_why_set(why, RG_EINVAL, "", "cannot resolve %s: %s", host, gai_strerror(err));
    }
    if (fd == UV_EAFNOSUPPORT && host == NULL)
        return rg_listener_bind("0.0.0.0", port, is_first, why);
    return fd;
}

unsigned rg_listener_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t n = sizeof(address);

    if (getsockname(fd, &address.any, &n) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

/* ---- socket activation: sd_listen_fds(3) ---- */

static struct {
    unsigned n;
    const char *names; /* colon-separated, NULL if not given */
    bool is_read;
} inherited;

static void read_inherited(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *fds = getenv("LISTEN_FDS");
    uint64_t n = 0, own = 0;

    inherited.is_read = true;
    if (pid == NULL || fds == NULL)
        return;
    if (rg_str_to_u64(rg_str_c(pid), UINT32_MAX, &own) < 0 || own != (uint64_t)getpid())
        return;
    if (rg_str_to_u64(rg_str_c(fds), MAX_INHERITED_FDS, &n) < 0)
        return;
    inherited.n = (unsigned)n;
    inherited.names = getenv("LISTEN_FDNAMES");
    for (unsigned i = 0; i < inherited.n; i++) {
        fcntl(FIRST_INHERITED_FD + (int)i, F_SETFD, FD_CLOEXEC);
        fcntl(FIRST_INHERITED_FD + (int)i, F_SETFL, O_NONBLOCK);
    }
}

int rg_listener_inherited(const char *name, unsigned position)
{
    if (!inherited.is_read)
        read_inherited();
    if (inherited.n == 0)
        return -1;

    struct rg_str names = rg_str_c(inherited.names);
    bool is_named = false;
    for (unsigned i = 0; names.p != NULL && i < inherited.n; i++) {
        struct rg_str each = rg_str_split(&names, ':');
        if (rg_str_eq(each, rg_str_c(name)))
            return FIRST_INHERITED_FD + (int)i;
        /* What systemd calls a socket without FileDescriptorName= ends in .socket. */
        if (!rg_str_ends_with(each, RG_STR(".socket")) && !rg_str_eq(each, RG_STR("unknown")))
            is_named = true;
    }
    return !is_named && position < inherited.n ? FIRST_INHERITED_FD + (int)position : -1;
}

/* ---- accepting ---- */

struct rg_listener {
    uv_poll_t poll;
    struct rg_reactor *reactor;
    struct rg_timer resume;
    rg_accept_fn *on_accept;
    void *arg;
    int fd;
    bool is_paused;
};

static void on_pending(uv_poll_t *poll, int status, int events);

static void resume(struct rg_timer *timer)
{
    struct rg_listener *listener = RG_CONTAINER_OF(timer, struct rg_listener, resume);
    uv_poll_start(&listener->poll, UV_READABLE, on_pending);
}

static void pause_accepting(struct rg_listener *listener, int err)
{
    if (!listener->is_paused) {
        rg_log_warn("accepting paused", RG_FS("reason", rg_strerror(err)),
                    RG_FU("reactor", listener->reactor->id));
    }
    listener->is_paused = true;
    atomic_fetch_add(&pauses, 1);
    uv_poll_stop(&listener->poll);
    rg_reactor_set_timer(listener->reactor, &listener->resume, PAUSE_MS);
}

/* Errors of the connection that was about to be accepted, not of the listener: accept(2). */
static bool is_passing(int err)
{
    switch (err) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

static void on_pending(uv_poll_t *poll, int status, int events)
{
    struct rg_listener *listener = RG_CONTAINER_OF(poll, struct rg_listener, poll);
    int one = 1;

    (void)status;
    (void)events;
    rg_reactor_assert(listener->reactor);
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (listener->is_paused) {
                listener->is_paused = false;
                rg_log_warn("accepting resumed", RG_FU("reactor", listener->reactor->id));
            }
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
            listener->on_accept(listener->arg, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (!is_passing(errno)) {
            pause_accepting(listener, -errno);
            return;
        }
    }
}

struct rg_listener *rg_listener_open(struct rg_reactor *reactor, int fd, rg_accept_fn *on_accept,
                                     void *arg)
{
    struct rg_listener *listener = rg_zalloc(sizeof(*listener));

    listener->reactor = reactor;
    listener->fd = fd;
    listener->on_accept = on_accept;
    listener->arg = arg;
    listener->resume.fn = resume;
    rg_assert(uv_poll_init(&reactor->loop, &listener->poll, fd) == 0);
    rg_assert(uv_poll_start(&listener->poll, UV_READABLE, on_pending) == 0);
    return listener;
}

static void on_closed(uv_handle_t *handle)
{
    rg_free(RG_CONTAINER_OF((uv_poll_t *)handle, struct rg_listener, poll));
}

void rg_listener_close(struct rg_listener **listenerp)
{
    struct rg_listener *listener = *listenerp;

    if (listener == NULL)
        return;
    *listenerp = NULL;
    rg_reactor_cancel_timer(listener->reactor, &listener->resume);
    uv_close((uv_handle_t *)&listener->poll, on_closed);
    close(listener->fd);
}

unsigned long rg_listener_pauses(void)
{
    return atomic_load(&pauses);
}
