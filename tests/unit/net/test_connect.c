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

/* ---- a resolver that says what the test says ---- */

static struct {
    uv_getaddrinfo_t *lookup; /* of the host "several", until it is answered */
    uv_getaddrinfo_cb fn;
} resolver;

/* In place of libuv's, which is called for all other names. */
int uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *lookup, uv_getaddrinfo_cb fn,
                   const char *host, const char *port, const struct addrinfo *hints)
{
    int (*real)(uv_loop_t *, uv_getaddrinfo_t *, uv_getaddrinfo_cb, const char *, const char *,
                const struct addrinfo *);

    if (strcmp(host, "several") == 0) {
        resolver.lookup = lookup;
        resolver.fn = fn;
        return 0;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "uv_getaddrinfo");
    return real(loop, lookup, fn, host, port, hints);
}

/* As the C library allocates it, which will free it. */
static struct addrinfo *address_of(unsigned port, struct addrinfo *next)
{
    struct {
        struct addrinfo info;
        struct sockaddr_in to;
    } *one = calloc(1, sizeof(*one));

    one->to.sin_family = AF_INET;
    one->to.sin_port = htons((uint16_t)port);
    one->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    one->info.ai_family = AF_INET;
    one->info.ai_addr = (struct sockaddr *)&one->to;
    one->info.ai_addrlen = sizeof(one->to);
    one->info.ai_next = next;
    return &one->info;
}

static void answer_lookup(int status, struct addrinfo *list)
{
    resolver.fn(resolver.lookup, status, list);
    resolver.lookup = NULL;
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
    struct rg_connect *connect =
        rg_connect_start(&reactor, host, port, TIMEOUT_MS, on_connect, &seen);

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

static void a_name_is_looked_up(void **state)
{
    unsigned port;
    int fd = listen_on_loopback(&port, 1);

    (void)state;
    start("localhost", port);
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

static void a_name_that_is_none_fails(void **state)
{
    (void)state;
    start("not a name", 80);
    wait_for_it();
    assert_true(seen.fd < 0);
    assert_memory_equal(seen.why.text, "cannot look up not a name:80: ", 30);
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

static void addresses_are_tried_in_turn_and_share_the_time(void **state)
{
    struct hole hole = hole_open();
    unsigned closed, open;

    (void)state;
    close(listen_on_loopback(&closed, 1));
    int fd = listen_on_loopback(&open, 1);
    start("several", 80);
    answer_lookup(0, address_of(closed, address_of(hole.port, address_of(open, NULL))));
    peer_turn(&reactor);
    /* Refused at once; then half of the time for nothing. */
    peer_move_time(&reactor, TIMEOUT_MS / 2 - RG_WHEEL_TICK_MS);
    assert_int_equal(seen.calls, 0);
    peer_let_pass(&reactor, RG_WHEEL_TICK_MS);
    expect_socket();
    hole_close(&hole);
    close(fd);
}

static void the_last_address_says_what_is_wrong(void **state)
{
    struct hole hole = hole_open();
    unsigned closed;

    (void)state;
    close(listen_on_loopback(&closed, 1));
    start("several", 80);
    answer_lookup(0, address_of(hole.port, address_of(closed, NULL)));
    peer_turn(&reactor);
    peer_let_pass(&reactor, TIMEOUT_MS / 2);
    wait_for_it();
    assert_string_equal(seen.why.text, "cannot connect to several:80: connection refused");
    hole_close(&hole);
}

static void a_lookup_that_takes_too_long_is_given_up(void **state)
{
    (void)state;
    start("several", 80);
    peer_let_pass(&reactor, TIMEOUT_MS);
    assert_int_equal(seen.calls, 1);
    assert_string_equal(seen.why.text, "cannot look up several:80: connection timed out");
    answer_lookup(UV_EAI_AGAIN, NULL);
    assert_int_equal(seen.calls, 1);
}

static void a_lookup_may_end_after_its_attempt(void **state)
{
    struct rg_connect *connect = start("several", 80);

    (void)state;
    rg_connect_cancel(&connect);
    answer_lookup(0, address_of(80, NULL));
    assert_int_equal(seen.calls, 0);
}

static void what_is_cancelled_tells_nothing(void **state)
{
    unsigned port;
    int fd = listen_on_loopback(&port, 8);
    struct rg_connect *connects[3];

    (void)state;
    /* Before its turn; under way; while its name is looked up. */
    connects[0] = start("127.0.0.1", port);
    rg_connect_cancel(&connects[0]);
    assert_null(connects[0]);
    connects[1] = start("127.0.0.1", port);
    uv_run(&reactor.loop, UV_RUN_NOWAIT);
    if (seen.calls == 0)
        rg_connect_cancel(&connects[1]);
    else
        close(seen.fd);
    seen.calls = 0;
    connects[2] = start("localhost", port);
    rg_connect_cancel(&connects[2]);
    peer_turn(&reactor);
    rg_connect_cancel(&connects[0]);
    /* The lookup comes back before the loop ends. */
    rg_reactor_stop(&reactor);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(seen.calls, 0);
    close(fd);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_address_is_connected_to),
        TEST(a_name_is_looked_up),
        TEST(addresses_are_tried_in_turn_and_share_the_time),
        TEST(the_last_address_says_what_is_wrong),
        TEST(a_lookup_that_takes_too_long_is_given_up),
        TEST(a_lookup_may_end_after_its_attempt),
        TEST(a_refusal_says_who_and_why),
        TEST(a_name_that_is_none_fails),
        TEST(who_does_not_answer_is_given_up_in_time),
        TEST(what_is_cancelled_tells_nothing),
    };

    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
