/*
 * Services with several addresses: which is chosen, which is left out and for how long, names that
 * change, and calls that wait in line.
 */
#include "../net/resolver.h"
#include "upstream_stage.h"

static struct service others[2]; /* beside the stage's */
static struct rg_upstream_service *to;
static struct told all[8];

static int setup_several(void **state)
{
    setup(state);
    for (size_t i = 0; i < RG_COUNT_OF(others); i++)
        others[i] = service_open(16);
    to = NULL;
    resolver.asked = 0;
    return 0;
}

static int teardown_several(void **state)
{
    rg_upstreams_close_all(upstreams);
    if (resolver.lookup != NULL)
        answer_lookup(UV_ECANCELED, NULL);
    rg_upstream_service_unref(&to);
    for (size_t i = 0; i < RG_COUNT_OF(others); i++)
        service_close(&others[i]);
    for (size_t i = 0; i < RG_COUNT_OF(all); i++)
        forget(&all[i]);
    return teardown(state);
}

/* A service at these ports of 127.0.0.1, of 0: at a name. */
static void make_service(const unsigned *ports, size_t n, size_t max_connections)
{
    struct rg_upstream_origin origins[4];
    struct rg_upstream_service_settings of_service = {
        .origins = origins, .origins_n = n, .max_connections = max_connections};

    for (size_t i = 0; i < n; i++)
        origins[i] = ports[i] > 0 ? (struct rg_upstream_origin){"127.0.0.1", ports[i]}
                                  : (struct rg_upstream_origin){"several", 80};
    to = rg_upstream_service_new(&of_service);
}

static void ask_it(struct told *who, const char *method)
{
    struct rg_upstream_request request = {
        .method = rg_str_c(method), .target = RG_STR("/"), .service = to};

    forget(who);
    ask_with(who, &request);
}

static struct rg_upstream_address *address_at(unsigned port)
{
    char text[RG_ADDRESS_SIZE];

    snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    for (size_t i = 0; i < upstreams->pools->addresses_n; i++) {
        if (strcmp(upstreams->pools->addresses[i]->text, text) == 0)
            return upstreams->pools->addresses[i];
    }
    return NULL;
}

static bool is_left_out(unsigned port)
{
    return address_at(port)->left_out_ms > 0;
}

static void expect_ok(struct told *who)
{
    expect_end(who, "200 2|\nok");
}

/* A call that the service at this port answers on a connection that it then closes. */
static void serve_at(struct service *at, struct told *who)
{
    struct peer one = service_accept(&reactor, at);

    service_expect(&reactor, &one, "\r\n\r\n");
    put(&one, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
    expect_ok(who);
    peer_close(&one);
}

static bool metric_is(const char *line)
{
    struct rg_buf out = {0};

    rg_upstreams_expose(&upstreams, 1, &out);
    bool has = memmem(out.p, out.n, line, strlen(line)) != NULL;
    rg_buf_done(&out);
    return has;
}

/* ---- the choice ---- */

static void calls_go_where_the_fewest_are(void **state)
{
    const unsigned ports[] = {service.port, others[0].port, others[1].port};

    (void)state;
    make_service(ports, 3, 0);
    for (size_t i = 0; i < 6; i++)
        ask_it(&all[i], "GET");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(address_at(ports[i])->calls, 2);
    rg_upstream_cancel(all[1].call);
    all[1].call = NULL;
    ask_it(&all[6], "GET");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(address_at(ports[i])->calls, 2);
}

static void without_a_difference_they_take_turns(void **state)
{
    const unsigned ports[] = {service.port, others[0].port};

    (void)state;
    make_service(ports, 2, 0);
    for (int i = 0; i < 2; i++) {
        ask_it(&told, "GET");
        serve_at(&service, &told);
        ask_it(&told, "GET");
        serve_at(&others[0], &told);
    }
}

static void connections_are_kept_by_address(void **state)
{
    const unsigned ports[] = {service.port, others[0].port};
    struct peer peers[2];

    (void)state;
    make_service(ports, 2, 0);
    for (int i = 0; i < 2; i++) {
        ask_it(&told, "GET");
        peers[i] = service_accept(&reactor, i == 0 ? &service : &others[0]);
        put(&peers[i], OK);
        expect_ok(&told);
    }
    for (int i = 0; i < 4; i++) {
        ask_it(&told, "GET");
        put(&peers[i % 2], OK);
        expect_ok(&told);
        assert_true(told.timing.is_reused);
    }
    assert_true(metric_is("rgate_upstream_connections{state=\"idle\"} 2\n"));
    for (int i = 0; i < 2; i++)
        peer_close(&peers[i]);
}

/* ---- health ---- */

static void who_refuses_is_left_out_and_the_call_goes_elsewhere(void **state)
{
    const unsigned ports[] = {others[0].port, service.port};

    (void)state;
    service_close(&others[0]);
    make_service(ports, 2, 0);
    /* A method that is never sent twice: nothing was sent yet. */
    ask_it(&told, "POST");
    serve_at(&service, &told);
    char expected[32];
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", service.port);
    assert_string_equal(told.address, expected);
    assert_true(is_left_out(ports[0]));
    for (int i = 0; i < 3; i++) {
        ask_it(&told, "GET");
        serve_at(&service, &told);
    }
    assert_true(metric_is("rgate_upstream_left_out 1\n"));
    assert_true(metric_is("rgate_upstream_left_out_total 1\n"));
}

static void its_time_grows_and_ends_with_an_answer(void **state)
{
    const unsigned ports[] = {others[0].port, service.port};
    uint64_t pause_ms = 1000;

    (void)state;
    service_close(&others[0]);
    make_service(ports, 2, 0);
    ask_it(&told, "GET");
    serve_at(&service, &told);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(address_at(ports[0])->left_out_ms, pause_ms);
        peer_let_pass(&reactor, pause_ms + pause_ms / 8);
        pause_ms = pause_ms * 2 > 60000 ? 60000 : pause_ms * 2;
        upstreams->settings.idle_timeout_ms = 1000000;
        /* One call finds out; which one depends on whose turn it is. */
        for (int j = 0; j < 2; j++) {
            ask_it(&told, "GET");
            serve_at(&service, &told);
        }
    }
    assert_int_equal(pause_ms, 60000);
    int fd = service.fd;
    service.fd = -1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ports[0])};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    others[0].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    setsockopt(others[0].fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(others[0].fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(others[0].fd, 16), 0);
    service.fd = fd;
    peer_let_pass(&reactor, 60000 + 60000 / 8);
    ask_it(&told, "GET");
    ask_it(&second, "GET");
    serve_at(&others[0], address_at(ports[0]) == told.call->address ? &told : &second);
    assert_false(is_left_out(ports[0]));
    assert_true(metric_is("rgate_upstream_left_out 0\n"));
}

static void three_failures_in_a_row_are_as_bad(void **state)
{
    const unsigned ports[] = {service.port, others[0].port};

    (void)state;
    make_service(ports, 2, 0);
    for (int i = 0; i < 3; i++) {
        assert_false(i > 0 && is_left_out(ports[0]));
        ask_it(&told, "GET");
        peer = service_accept(&reactor, &service);
        say("nonsense\r\n\r\n");
        expect_failure(&told, RG_UPSTREAM_MALFORMED);
        peer_close(&peer);
        if (i < 2) {
            ask_it(&told, "GET");
            serve_at(&others[0], &told);
        }
    }
    assert_true(is_left_out(ports[0]));
}

static void an_answer_between_them_makes_good(void **state)
{
    const unsigned ports[] = {service.port, others[0].port};

    (void)state;
    make_service(ports, 2, 0);
    for (int i = 0; i < 5; i++) {
        ask_it(&told, "GET");
        if (i == 2) {
            serve_at(&service, &told);
        } else {
            peer = service_accept(&reactor, &service);
            peer_close(&peer);
            expect_failure(&told, RG_UPSTREAM_BROKEN);
        }
        ask_it(&told, "GET");
        serve_at(&others[0], &told);
    }
    assert_false(is_left_out(ports[0]));
}

static void one_call_at_a_time_finds_out(void **state)
{
    const unsigned ports[] = {service.port, others[0].port};

    (void)state;
    make_service(ports, 2, 0);
    ask_it(&told, "GET");
    struct rg_why why = {0};
    rg_upstream_address_refused(address_at(ports[0]), &why);
    peer_let_pass(&reactor, 1000 + 1000 / 8);
    for (size_t i = 0; i < 4; i++)
        ask_it(&all[i], "GET");
    assert_true(is_left_out(ports[0]));
    /* The one before it was left out is still there. */
    assert_int_equal(address_at(ports[0])->calls, 1);
    assert_int_equal(address_at(ports[1])->calls, 4);
    rg_upstream_cancel(told.call);
    told.call = NULL;
    for (size_t i = 4; i < 7; i++)
        ask_it(&all[i], "GET");
    assert_int_equal(address_at(ports[0])->calls, 1);
}

static void where_all_are_left_out_all_are_used(void **state)
{
    const unsigned ports[] = {service.port, others[0].port};
    struct rg_why why = {0};

    (void)state;
    make_service(ports, 2, 0);
    ask_it(&told, "GET");
    for (size_t i = 0; i < 2; i++)
        rg_upstream_address_refused(address_at(ports[i]), &why);
    ask_it(&second, "GET");
    serve_at(&others[0], &second);
    serve_at(&service, &told);
}

static void a_call_fails_when_no_address_is_left(void **state)
{
    const unsigned ports[] = {service.port, others[0].port, others[1].port};

    (void)state;
    make_service(ports, 3, 0);
    service_close(&service);
    service_close(&others[0]);
    service_close(&others[1]);
    ask_it(&told, "GET");
    expect_failure(&told, RG_UPSTREAM_UNREACHABLE);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(address_at(ports[i])->failures, 1);
    assert_true(metric_is("rgate_upstream_failures_total{kind=\"unreachable\"} 1\n"));
}

static void an_address_that_does_not_answer_leaves_time_for_the_next(void **state)
{
    struct service full = service_open(0);
    const unsigned ports[] = {full.port, service.port};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)full.port)};
    int fds[8];

    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < RG_COUNT_OF(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fds[i], (struct sockaddr *)&address, sizeof(address));
    }
    make_service(ports, 2, 0);
    ask_it(&told, "GET");
    peer_turn(&reactor);
    peer_let_pass(&reactor, settings.connect_timeout_ms / 2);
    assert_int_equal(told.failures, 0);
    serve_at(&service, &told);
    for (size_t i = 0; i < RG_COUNT_OF(fds); i++)
        close(fds[i]);
    service_close(&full);
}

/* ---- names ---- */

static void a_name_is_looked_up_once_for_all_that_wait(void **state)
{
    const unsigned name = 0;

    (void)state;
    make_service(&name, 1, 0);
    ask_it(&told, "GET");
    ask_it(&second, "GET");
    assert_int_equal(resolver.asked, 1);
    assert_true(metric_is("rgate_upstream_waiting 2\n"));
    answer_lookup(0, address_of(service.port, NULL));
    serve_at(&service, &told);
    serve_at(&service, &second);
    assert_true(told.timing.queued_ns > 1);
    assert_true(metric_is("rgate_upstream_waiting 0\n"));
    assert_true(metric_is("rgate_upstream_lookups_total{outcome=\"done\"} 1\n"));
}

static void what_is_known_is_used_while_it_is_looked_up_again(void **state)
{
    const unsigned name = 0;

    (void)state;
    make_service(&name, 1, 0);
    ask_it(&told, "GET");
    answer_lookup(0, address_of(service.port, NULL));
    serve_at(&service, &told);
    peer_move_time(&reactor, 9000);
    ask_it(&told, "GET");
    serve_at(&service, &told);
    assert_int_equal(resolver.asked, 1);
    peer_let_pass(&reactor, 1000);
    ask_it(&told, "GET");
    ask_it(&second, "GET");
    assert_int_equal(resolver.asked, 2);
    serve_at(&service, &told);
    serve_at(&service, &second);
    answer_lookup(0, address_of(others[0].port, NULL));
    ask_it(&told, "GET");
    serve_at(&others[0], &told);
    assert_int_equal(resolver.asked, 2);
}

static void a_lookup_that_fails_keeps_what_is_known(void **state)
{
    const unsigned name = 0;

    (void)state;
    make_service(&name, 1, 0);
    ask_it(&told, "GET");
    answer_lookup(0, address_of(service.port, NULL));
    serve_at(&service, &told);
    peer_let_pass(&reactor, 10000);
    ask_it(&told, "GET");
    answer_lookup(UV_EAI_AGAIN, NULL);
    serve_at(&service, &told);
    assert_true(metric_is("rgate_upstream_lookups_total{outcome=\"failed\"} 1\n"));
    /* Not with every call, but soon. */
    ask_it(&told, "GET");
    assert_int_equal(resolver.asked, 2);
    serve_at(&service, &told);
    peer_let_pass(&reactor, 1000);
    ask_it(&told, "GET");
    assert_int_equal(resolver.asked, 3);
    serve_at(&service, &told);
}

static void without_any_address_all_that_wait_fail(void **state)
{
    const unsigned name = 0;

    (void)state;
    make_service(&name, 1, 0);
    ask_it(&told, "GET");
    ask_it(&second, "GET");
    answer_lookup(UV_EAI_NONAME, NULL);
    expect_failure(&told, RG_UPSTREAM_UNREACHABLE);
    expect_failure(&second, RG_UPSTREAM_UNREACHABLE);
    assert_memory_equal(told.why.text, "cannot look up several:80: ", 27);
    ask_it(&told, "GET");
    assert_int_equal(resolver.asked, 2);
    answer_lookup(0, address_of(service.port, NULL));
    serve_at(&service, &told);
}

static void a_lookup_that_takes_too_long_ends_the_call(void **state)
{
    const unsigned name = 0;

    (void)state;
    make_service(&name, 1, 0);
    ask_it(&told, "GET");
    peer_let_pass(&reactor, settings.connect_timeout_ms);
    expect_failure(&told, RG_UPSTREAM_UNREACHABLE);
    assert_string_equal(told.why.text, "cannot look up several:80: connection timed out");
    rg_upstreams_close_all(upstreams);
    answer_lookup(0, address_of(service.port, NULL));
}

static void an_address_that_is_gone_loses_its_idle_connections_only(void **state)
{
    const unsigned name = 0;
    struct peer idle, busy;

    (void)state;
    make_service(&name, 1, 0);
    ask_it(&told, "GET");
    answer_lookup(0, address_of(service.port, NULL));
    idle = service_accept(&reactor, &service);
    ask_it(&second, "GET");
    busy = service_accept(&reactor, &service);
    put(&idle, OK);
    expect_ok(&told);
    put(&busy, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
    WAIT_FOR(&reactor, second.heads == 1);
    rg_upstream_pause(second.call);
    peer_let_pass(&reactor, 10000);
    ask_it(&told, "GET");
    answer_lookup(0, address_of(others[0].port, NULL));
    rg_upstream_resume(second.call);
    put(&busy, "ok");
    expect_ok(&second);
    /* Its place is gone, too. */
    service_expect_end(&reactor, &busy);
    put(&idle, OK);
    expect_ok(&told);
    service_expect_end(&reactor, &idle);
    peer_close(&idle);
    peer_close(&busy);
}

/* ---- the line ---- */

static void calls_beyond_the_limit_wait_in_order(void **state)
{
    (void)state;
    make_service(&service.port, 1, 1);
    for (int i = 0; i < 3; i++)
        ask_it(&all[i], "GET");
    assert_true(metric_is("rgate_upstream_waiting 2\n"));
    peer = service_accept(&reactor, &service);
    for (int i = 0; i < 3; i++) {
        say(OK);
        expect_ok(&all[i]);
        assert_int_equal(all[i].timing.is_reused, i > 0);
        assert_true(i == 0 || all[i].timing.queued_ns > all[i - 1].timing.queued_ns);
    }
    assert_true(service_is_alone(&reactor, &service));
}

static void the_end_of_a_connection_is_room_for_the_next(void **state)
{
    (void)state;
    make_service(&service.port, 1, 1);
    ask_it(&told, "GET");
    ask_it(&second, "GET");
    serve_at(&service, &told);
    serve_at(&service, &second);
    /* A failure as well as a cancellation. */
    ask_it(&told, "GET");
    ask_it(&second, "GET");
    rg_upstream_cancel(told.call);
    peer = service_accept(&reactor, &service);
    service_expect_end(&reactor, &peer);
    peer_close(&peer);
    serve_at(&service, &second);
}

static void whoever_waits_too_long_fails(void **state)
{
    (void)state;
    make_service(&service.port, 1, 1);
    ask_it(&told, "GET");
    peer = service_accept(&reactor, &service);
    peer_move_time(&reactor, 4000);
    say("HTTP/1.1 200 OK\r\n\r\n");
    WAIT_FOR(&reactor, told.heads == 1);
    ask_it(&second, "GET");
    rg_upstream_pause(told.call);
    peer_let_pass(&reactor, settings.connect_timeout_ms);
    expect_failure(&second, RG_UPSTREAM_UNREACHABLE);
    assert_true(metric_is("rgate_upstream_waiting 0\n"));
}

static void whoever_waits_may_leave(void **state)
{
    (void)state;
    make_service(&service.port, 1, 1);
    for (int i = 0; i < 4; i++)
        ask_it(&all[i], "GET");
    rg_upstream_cancel(all[2].call);
    rg_upstream_cancel(all[3].call);
    all[2].call = all[3].call = NULL;
    serve_at(&service, &all[0]);
    serve_at(&service, &all[1]);
    assert_int_equal(all[2].ends + all[2].failures, 0);
    assert_true(service_is_alone(&reactor, &service));
}

static void at_the_limit_a_connection_to_another_address_will_do(void **state)
{
    const unsigned ports[] = {service.port, others[0].port};

    (void)state;
    make_service(ports, 2, 1);
    ask_it(&told, "GET");
    peer = service_accept(&reactor, &service);
    say(OK);
    expect_ok(&told);
    for (int i = 0; i < 3; i++) {
        ask_it(&told, "GET");
        say(OK);
        expect_ok(&told);
    }
    assert_true(service_is_alone(&reactor, &others[0]));
}

static void what_is_kept_where_nobody_is_sent_makes_room(void **state)
{
    const unsigned ports[] = {service.port, others[0].port};
    struct rg_why why = {0};

    (void)state;
    make_service(ports, 2, 1);
    ask_it(&told, "GET");
    peer = service_accept(&reactor, &service);
    say(OK);
    expect_ok(&told);
    rg_upstream_address_refused(address_at(service.port), &why);
    ask_it(&told, "GET");
    serve_at(&others[0], &told);
}

static void all_failures_are_counted_by_kind(void **state)
{
    (void)state;
    make_service(&service.port, 1, 0);
    ask_it(&told, "GET");
    peer = service_accept(&reactor, &service);
    peer_let_pass(&reactor, TIMEOUT_MS);
    expect_failure(&told, RG_UPSTREAM_TIMEOUT);
    assert_true(metric_is("rgate_upstream_failures_total{kind=\"timeout\"} 1\n"));
    assert_true(metric_is("rgate_upstream_failures_total{kind=\"broken\"} 0\n"));
    assert_true(metric_is("rgate_upstream_calls_total 1\n"));
    assert_true(metric_is("rgate_upstream_connections{state=\"open\"} 0\n"));
    assert_true(metric_is("rgate_upstream_retries_total 0\n"));
}

#undef TEST
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_several, teardown_several)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_go_where_the_fewest_are),
        TEST(without_a_difference_they_take_turns),
        TEST(connections_are_kept_by_address),
        TEST(who_refuses_is_left_out_and_the_call_goes_elsewhere),
        TEST(its_time_grows_and_ends_with_an_answer),
        TEST(three_failures_in_a_row_are_as_bad),
        TEST(an_answer_between_them_makes_good),
        TEST(one_call_at_a_time_finds_out),
        TEST(where_all_are_left_out_all_are_used),
        TEST(a_call_fails_when_no_address_is_left),
        TEST(an_address_that_does_not_answer_leaves_time_for_the_next),
        TEST(a_name_is_looked_up_once_for_all_that_wait),
        TEST(what_is_known_is_used_while_it_is_looked_up_again),
        TEST(a_lookup_that_fails_keeps_what_is_known),
        TEST(without_any_address_all_that_wait_fail),
        TEST(a_lookup_that_takes_too_long_ends_the_call),
        TEST(an_address_that_is_gone_loses_its_idle_connections_only),
        TEST(calls_beyond_the_limit_wait_in_order),
        TEST(the_end_of_a_connection_is_room_for_the_next),
        TEST(whoever_waits_too_long_fails),
        TEST(whoever_waits_may_leave),
        TEST(at_the_limit_a_connection_to_another_address_will_do),
        TEST(what_is_kept_where_nobody_is_sent_makes_room),
        TEST(all_failures_are_counted_by_kind),
    };

    stage_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
