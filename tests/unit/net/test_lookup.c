/*
 * Names and their addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <poll.h>

#include "base/rcu.h"
#include "net/lookup.h"
#include "peer.h"
#include "resolver.h"

static struct rg_reactor reactor;

static struct {
    unsigned calls;
    int err;
    size_t n;
    struct rg_address addresses[RG_LOOKUP_MAX];
    struct rg_why why;
} seen;

static void on_lookup(void *arg, int err, const struct rg_address *addresses, size_t n,
                      const struct rg_why *why)
{
    assert_ptr_equal(arg, &seen);
    seen.calls++;
    seen.err = err;
    seen.n = n;
    memcpy(seen.addresses, addresses, n * sizeof(addresses[0]));
    seen.why = *why;
}

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
    rg_reactor_done(&reactor);
    return 0;
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

static void a_name_has_addresses(void **state)
{
    (void)state;
    rg_lookup_start(&reactor, "localhost", 80, on_lookup, &seen);
    assert_int_equal(seen.calls, 0);
    wait_for_it();
    assert_int_equal(seen.err, 0);
    assert_true(seen.n > 0);
}

static void each_address_is_told_once_and_in_order(void **state)
{
    char text[RG_ADDRESS_SIZE];

    (void)state;
    rg_lookup_start(&reactor, "several", 80, on_lookup, &seen);
    answer_lookup(0, address_of(7, address_of(5, address_of(7, NULL))));
    assert_int_equal(seen.n, 2);
    rg_address_text(&seen.addresses[0], text);
    assert_string_equal(text, "127.0.0.1:7");
    rg_address_text(&seen.addresses[1], text);
    assert_string_equal(text, "127.0.0.1:5");
}

static void there_are_not_more_than_a_limit(void **state)
{
    struct addrinfo *list = NULL;

    (void)state;
    rg_lookup_start(&reactor, "several", 80, on_lookup, &seen);
    for (unsigned port = 1; port <= RG_LOOKUP_MAX + 1; port++)
        list = address_of(port, list);
    answer_lookup(0, list);
    assert_int_equal(seen.n, RG_LOOKUP_MAX);
}

static void a_name_that_is_none_says_so(void **state)
{
    (void)state;
    rg_lookup_start(&reactor, "not a name", 80, on_lookup, &seen);
    wait_for_it();
    assert_true(seen.err < 0);
    assert_memory_equal(seen.why.text, "cannot look up not a name:80: ", 30);
}

static void a_name_without_addresses_is_a_failure(void **state)
{
    (void)state;
    rg_lookup_start(&reactor, "several", 80, on_lookup, &seen);
    answer_lookup(0, NULL);
    assert_true(seen.err < 0);
    assert_true(seen.why.text[0] != '\0');
}

static void what_is_cancelled_tells_nothing(void **state)
{
    struct rg_lookup *lookup = rg_lookup_start(&reactor, "several", 80, on_lookup, &seen);

    (void)state;
    rg_lookup_cancel(&lookup);
    assert_null(lookup);
    rg_lookup_cancel(&lookup);
    answer_lookup(0, address_of(7, NULL));
    /* One too long for any resolver, which does not even begin. */
    char name[3000];
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    lookup = rg_lookup_start(&reactor, name, 80, on_lookup, &seen);
    rg_lookup_cancel(&lookup);
    peer_turn(&reactor);
    assert_int_equal(seen.calls, 0);
    rg_lookup_start(&reactor, name, 80, on_lookup, &seen);
    assert_int_equal(seen.calls, 0);
    wait_for_it();
    assert_true(seen.err < 0);
}

static void addresses_are_read_and_written(void **state)
{
    static const struct {
        const char *host, *text;
    } rows[] = {{"192.0.2.7", "192.0.2.7:80"}, {"2001:db8::1", "[2001:db8::1]:80"}};
    struct rg_address a, b;
    char text[RG_ADDRESS_SIZE];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_true(rg_address_parse(&a, rows[i].host, 80));
        rg_address_text(&a, text);
        assert_string_equal(text, rows[i].text);
        assert_true(rg_address_parse(&b, rows[i].host, 80));
        assert_true(rg_address_eq(&a, &b));
        assert_true(rg_address_parse(&b, rows[i].host, 81));
        assert_false(rg_address_eq(&a, &b));
        assert_true(rg_address_parse(&b, rows[1 - i].host, 80));
        assert_false(rg_address_eq(&a, &b));
    }
    assert_false(rg_address_parse(&a, "localhost", 80));
    assert_false(rg_address_parse(&a, "", 80));
    assert_false(rg_address_parse(&a, "[::1]", 80));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_has_addresses),
        TEST(each_address_is_told_once_and_in_order),
        TEST(there_are_not_more_than_a_limit),
        TEST(a_name_that_is_none_says_so),
        TEST(a_name_without_addresses_is_a_failure),
        TEST(what_is_cancelled_tells_nothing),
        TEST(addresses_are_read_and_written),
    };

    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
