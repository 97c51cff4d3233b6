/*
 * Connections that we open, to sockets on loopback; time passes only where the test says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "base/rcu.h"
#include "net/connect.h"
#include "peer.h"

#define TIMEOUT_MS 4000

static struct rg_reactor reactor;

/* What the last attempt came to. */
static struct {
    unsigned calls;
    int fd;
    struct rg_why why;
} seen;

static void on_connect(void *arg, int fd, const struct rg_why *why)
{
    assert_ptr_equal(arg, &seen);
    seen.calls++;
    seen.fd = fd;
    seen.why = *why;
}

static int listen_on_loopback(unsigned *ret_port, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* ---- the stage ---- */

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    peer_reactor_init(&reactor);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(reactor.wheel.pending, 0);
    rg_reactor_done(&reactor);
    return 0;
}

static struct rg_connect *start(const char *host, unsigned port)
{
    struct rg_address address;

    assert_true(rg_address_parse(&address, host, port));
    struct rg_connect *connect =
        rg_connect_start(&reactor, &address, TIMEOUT_MS, on_connect, &seen);

    assert_int_equal(seen.calls, 0);
    return connect;
}

static void wait_for_it(void)
{
    for (int i = 0; i < 200 && seen.calls == 0; i++) {
        struct pollfd loop = {uv_backend_fd(&reactor.loop), POLLIN, 0};
        peer_turn(&reactor);
        if (seen.calls == 0)
            poll(&loop, 1, 25);
    }
    assert_int_equal(seen.calls, 1);
}

static void expect_socket(void)
{
    int on = 0;
    socklen_t n = sizeof(on);

    wait_for_it();
    assert_true(seen.fd >= 0);
    assert_true((fcntl(seen.fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(seen.fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(getsockopt(seen.fd, IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
    assert_true(on);
    close(seen.fd);
}

static void an_address_is_connected_to(void **state)
{
    unsigned port;
    int fd = listen_on_loopback(&port, 1);

    (void)state;
    start("127.0.0.1", port);
    expect_socket();
    close(fd);
}

static void a_refusal_says_who_and_why(void **state)
{
    unsigned port;
    char text[64];

    (void)state;
    close(listen_on_loopback(&port, 1));
    start("127.0.0.1", port);
    wait_for_it();
    assert_int_equal(seen.fd, UV_ECONNREFUSED);
    snprintf(text, sizeof(text), "cannot connect to 127.0.0.1:%u: connection refused", port);
    assert_string_equal(seen.why.text, text);
}

/* A port where nobody is answered: once its queue is full, the system is silent. */
struct hole {
    unsigned port;
    int fds[9];
};

static struct hole hole_open(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct hole hole;

    hole.fds[0] = listen_on_loopback(&hole.port, 0);
    address.sin_port = htons((uint16_t)hole.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 1; i < 9; i++) {
        hole.fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(hole.fds[i], (struct sockaddr *)&address, sizeof(address));
    }
    return hole;
}

static void hole_close(struct hole *hole)
{
    for (int i = 0; i < 9; i++)
        close(hole->fds[i]);
}

static void who_does_not_answer_is_given_up_in_time(void **state)
{
    struct hole hole = hole_open();

    (void)state;
    start("127.0.0.1", hole.port);
    peer_turn(&reactor);
    peer_move_time(&reactor, TIMEOUT_MS - RG_WHEEL_TICK_MS);
    assert_int_equal(seen.calls, 0);
    peer_let_pass(&reactor, RG_WHEEL_TICK_MS);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.fd, UV_ETIMEDOUT);
    hole_close(&hole);
}

/* An attempt to what is no address. */
static struct rg_connect *start_without_socket(void)
{
    struct rg_address none = {.n = sizeof(none.to.v4)};

    none.to.any.sa_family = 255;
    return rg_connect_start(&reactor, &none, TIMEOUT_MS, on_connect, &seen);
}

static void without_a_socket_it_fails_later(void **state)
{
    (void)state;
    start_without_socket();
    assert_int_equal(seen.calls, 0);
    wait_for_it();
    assert_true(seen.fd < 0);
    assert_memory_equal(seen.why.text, "cannot connect to ", 18);
}

static void a_connection_by_ipv6_is_made_where_there_is_one(void **state)
{
    (void)state;
    /* Nobody listens there: who it was is said with brackets. */
    start("::1", 1);
    wait_for_it();
    assert_true(seen.fd < 0);
    assert_memory_equal(seen.why.text, "cannot connect to [::1]:1: ", 27);
}

static void what_is_cancelled_tells_nothing(void **state)
{
    unsigned port;
    int fd = listen_on_loopback(&port, 8);
    struct rg_connect *connect;

    (void)state;
    connect = start("127.0.0.1", port);
    rg_connect_cancel(&connect);
    assert_null(connect);
    connect = start("127.0.0.1", port);
    uv_run(&reactor.loop, UV_RUN_NOWAIT);
    if (seen.calls == 0)
        rg_connect_cancel(&connect);
    else
        close(seen.fd);
    seen.calls = 0;
    peer_turn(&reactor);
    /* One for which there is no socket at all. */
    connect = start_without_socket();
    rg_connect_cancel(&connect);
    peer_turn(&reactor);
    assert_int_equal(seen.calls, 0);
    close(fd);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_address_is_connected_to),
        TEST(a_refusal_says_who_and_why),
        TEST(who_does_not_answer_is_given_up_in_time),
        TEST(without_a_socket_it_fails_later),
        TEST(a_connection_by_ipv6_is_made_where_there_is_one),
        TEST(what_is_cancelled_tells_nothing),
    };

    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
