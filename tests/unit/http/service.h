/*
 * service.h - a service on loopback, played by the test: it accepts, reads and says what the test
 * says, in the thread that also turns the loop.
 *
 * Thread: the test's.
 */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include "../net/peer.h"

struct service {
    int fd;
    unsigned port;
};

static inline struct service service_open(int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof(address);
    struct service service;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    service.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rg_assert(bind(service.fd, (struct sockaddr *)&address, n) == 0);
    rg_assert(listen(service.fd, backlog) == 0);
    rg_assert(getsockname(service.fd, (struct sockaddr *)&address, &n) == 0);
    service.port = ntohs(address.sin_port);
    return service;
}

static inline void service_close(struct service *service)
{
    if (service->fd >= 0)
        close(service->fd);
    service->fd = -1;
}

/* Turns the loop, and waits for its sockets, until this is true or nothing has happened for long.
 */
#define WAIT_FOR(reactor, condition)                                                               \
    do {                                                                                           \
        for (int i_ = 0; i_ < 200; i_++) {                                                         \
            struct pollfd loop_ = {uv_backend_fd(&(reactor)->loop), POLLIN, 0};                    \
            peer_turn(reactor);                                                                    \
            if (condition)                                                                         \
                break;                                                                             \
            poll(&loop_, 1, 25);                                                                   \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static inline bool service_try(const struct service *service, struct peer *ret)
{
    int fd = accept4(service->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0)
        *ret = (struct peer){.fd = fd};
    return fd >= 0;
}

/* The next connection to the service. */
static inline struct peer service_accept(struct rg_reactor *reactor, const struct service *service)
{
    struct peer peer = {.fd = -1};

    WAIT_FOR(reactor, peer.fd >= 0 || service_try(service, &peer));
    return peer;
}

/* Whether nobody has connected. */
static inline bool service_is_alone(struct rg_reactor *reactor, const struct service *service)
{
    struct pollfd waiting = {service->fd, POLLIN, 0};

    peer_turn(reactor);
    return poll(&waiting, 1, 0) == 0;
}

static inline bool service_has(struct peer *peer, const char *text)
{
    peer_take(peer, SIZE_MAX);
    return peer_has(peer, text);
}

/* Reads until this has come. */
static inline void service_expect(struct rg_reactor *reactor, struct peer *peer, const char *text)
{
    WAIT_FOR(reactor, service_has(peer, text));
}

static inline bool service_sees_end(struct peer *peer)
{
    peer_take(peer, SIZE_MAX);
    return peer->has_seen_end;
}

static inline void service_expect_end(struct rg_reactor *reactor, struct peer *peer)
{
    WAIT_FOR(reactor, service_sees_end(peer));
}
