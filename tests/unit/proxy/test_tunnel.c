/* Two connections that become one, and how they get there. */
#include "stage.h"

#include "net/socket.h"
#include "proxy/tunnel.h"

#define IDLE_MS 100000

/* ---- by itself ---- */

static struct {
    _Atomic uint64_t open, opened;
    struct rg_tunnels *tunnels;
    struct peer client, service;
    int ends_n;
    struct rg_tunnel_totals totals;
} t;

static void on_end(void *arg, const struct rg_tunnel_totals *totals)
{
    assert_ptr_equal(arg, &t);
    t.ends_n++;
    t.totals = *totals;
}

/* A stream that its next owner adopts. */
static struct rg_stream *open_stream(struct peer *peer)
{
    static const struct rg_stream_events nobody;
    int theirs;

    *peer = peer_open(&theirs, 0);
    return rg_socket_open(&reactor, theirs, &nobody, NULL);
}

static void open_tunnel(const char *to_client, const char *to_service)
{
    struct rg_tunnel_side client_side = {.stream = open_stream(&t.client)};
    struct rg_tunnel_side service_side = {.stream = open_stream(&t.service)};

    rg_buf_add_c(&client_side.first, to_client);
    rg_buf_add_c(&service_side.first, to_service);
    rg_tunnel_open(t.tunnels, &client_side, &service_side, IDLE_MS, on_end, &t);
    peer_turn(&reactor);
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    memset(&t, 0, sizeof(t));
    peer_reactor_init(&reactor);
    t.tunnels = rg_tunnels_new(&reactor, &t.open, &t.opened);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_tunnels_close_all(t.tunnels);
    peer_turn(&reactor);
    assert_int_equal(t.open, 0);
    assert_int_equal(t.ends_n, t.opened);
    assert_int_equal(reactor.wheel.pending, 0);
    rg_tunnels_free(&t.tunnels);
    peer_close(&t.client);
    peer_close(&t.service);
    rg_reactor_done(&reactor);
    return 0;
}

static void what_one_side_says_reaches_the_other(void **state)
{
    (void)state;
    open_tunnel("", "");
    assert_int_equal(t.open, 1);
    peer_send(&reactor, &t.client, "hello");
    service_expect(&reactor, &t.service, "hello");
    peer_send(&reactor, &t.service, "good day");
    service_expect(&reactor, &t.client, "good day");
}

static void what_was_said_before_comes_first(void **state)
{
    (void)state;
    open_tunnel("head, ", "early, ");
    peer_send(&reactor, &t.client, "late");
    peer_send(&reactor, &t.service, "body");
    service_expect(&reactor, &t.service, "early, late");
    service_expect(&reactor, &t.client, "head, body");
}

static void one_side_may_end_and_the_other_go_on(void **state)
{
    (void)state;
    open_tunnel("", "");
    peer_send(&reactor, &t.client, "all of it");
    peer_half_close(&t.client);
    service_expect_end(&reactor, &t.service);
    assert_true(peer_has(&t.service, "all of it"));
    peer_send(&reactor, &t.service, "the answer");
    service_expect(&reactor, &t.client, "the answer");
    assert_int_equal(t.ends_n, 0);
    peer_half_close(&t.service);
    service_expect_end(&reactor, &t.client);
    assert_int_equal(t.ends_n, 1);
    assert_int_equal(t.totals.in, strlen("all of it"));
    assert_int_equal(t.totals.out, strlen("the answer"));
    assert_false(t.totals.is_idle);
}

static void where_one_side_breaks_the_other_is_closed(void **state)
{
    (void)state;
    open_tunnel("", "");
    peer_close(&t.client);
    service_expect_end(&reactor, &t.service);
    peer_send(&reactor, &t.service, "anybody?");
    peer_turn(&reactor);
    assert_int_equal(t.ends_n, 1);
}

/* Sends until the socket takes no more. Returns how much it took. */
static size_t flood_from(struct peer *peer)
{
    static char piece[65536];
    size_t sent = 0;

    for (int idle = 0; idle < 20 && sent < ((size_t)64 << 20);) {
        ssize_t n = send(peer->fd, piece, sizeof(piece), MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        peer_turn(&reactor);
    }
    return sent;
}

static void a_side_that_does_not_read_holds_the_other_back(void **state)
{
    size_t got = 0;

    (void)state;
    open_tunnel("", "");
    size_t sent = flood_from(&t.client);
    assert_in_range(sent, 1, (size_t)8 << 20);
    /* The other way is open. */
    peer_send(&reactor, &t.service, "meanwhile");
    service_expect(&reactor, &t.client, "meanwhile");
    WAIT_FOR(&reactor, (got += peer_take(&t.service, SIZE_MAX)) >= sent);
    assert_int_equal(got, sent);
    assert_true(flood_from(&t.client) > 0);
}

static void the_end_comes_behind_what_was_kept(void **state)
{
    (void)state;
    open_tunnel("", "");
    size_t sent = flood_from(&t.client);
    peer_half_close(&t.client);
    service_expect_end(&reactor, &t.service);
    assert_int_equal(t.service.got.n, sent);
}

static void a_tunnel_in_which_nothing_moves_is_cut(void **state)
{
    (void)state;
    open_tunnel("", "");
    peer_let_pass(&reactor, IDLE_MS - 10000);
    peer_send(&reactor, &t.client, "x");
    peer_let_pass(&reactor, 20000);
    assert_int_equal(t.ends_n, 0);
    peer_let_pass(&reactor, IDLE_MS);
    service_expect_end(&reactor, &t.client);
    service_expect_end(&reactor, &t.service);
    assert_int_equal(t.ends_n, 1);
    assert_true(t.totals.is_idle);
}

static void sooner_where_one_side_has_ended(void **state)
{
    (void)state;
    open_tunnel("", "");
    peer_half_close(&t.client);
    service_expect_end(&reactor, &t.service);
    peer_let_pass(&reactor, RG_TUNNEL_HALF_IDLE_MS);
    peer_let_pass(&reactor, RG_TUNNEL_HALF_IDLE_MS);
    assert_int_equal(t.ends_n, 1);
}

static void all_of_them_can_be_cut(void **state)
{
    (void)state;
    open_tunnel("", "");
    assert_int_equal(rg_tunnels_count(t.tunnels), 1);
    rg_tunnels_close_all(t.tunnels);
    assert_int_equal(rg_tunnels_count(t.tunnels), 0);
    service_expect_end(&reactor, &t.client);
    service_expect_end(&reactor, &t.service);
}

/* ---- from a request on ---- */

#define UPGRADE "Connection: upgrade\r\nUpgrade: chat/2\r\n"

static void ask_for_socket(void)
{
    ask("GET /socket HTTP/1.1\r\n" HOST UPGRADE "Sec-WebSocket-Key: k\r\n\r\n");
    expect_asked("\r\n\r\n");
}

static void an_endpoint_may_let_protocols_be_switched(void **state)
{
    (void)state;
    ask_for_socket();
    assert_true(peer_has(&upstream, "upgrade: chat/2\r\n"));
    answer("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat/2\r\n"
           "Sec-WebSocket-Accept: a\r\n\r\nfirst");
    expect_answer("\r\n\r\nfirst");
    assert_true(peer_has(&client, "HTTP/1.1 101 "));
    assert_true(peer_has(&client, "upgrade: chat/2\r\n"));
    assert_true(peer_has(&client, "connection: upgrade\r\n"));
    assert_true(peer_has(&client, "sec-websocket-accept: a\r\n"));
    assert_int_equal(peer_count(&client, "chat/2"), 1);
    assert_int_equal(rg_forwarder_tunnels(forwarder), 1);
    expect_count("method=\"GET\",path=\"/socket\",target=\"http\",response_from=\"http\","
                 "status=\"ok\"",
                 1);
    ask("any bytes");
    expect_asked("any bytes");
    peer_close(&upstream);
    service_expect_end(&reactor, &client);
}

static void what_the_client_says_too_early_is_kept_for_the_service(void **state)
{
    (void)state;
    ask("GET /socket HTTP/1.1\r\n" HOST UPGRADE "\r\nearly");
    expect_asked("\r\n\r\n");
    assert_false(peer_has(&upstream, "early"));
    answer("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat/2\r\n\r\n");
    expect_asked("\r\n\r\nearly");
}

static void a_service_that_does_not_want_to_answers_as_always(void **state)
{
    (void)state;
    ask_for_socket();
    answer("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
    expect_answer("\r\n\r\nno");
    assert_int_equal(rg_forwarder_tunnels(forwarder), 0);
}

static void elsewhere_an_upgrade_is_a_plain_request(void **state)
{
    (void)state;
    ask("GET /items HTTP/1.1\r\n" HOST UPGRADE "\r\n");
    expect_asked("\r\n\r\n");
    assert_false(peer_has(&upstream, "pgrade"));
    answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    expect_answer("\r\n\r\nok");
}

static void who_leaves_before_the_switch_ends_the_call(void **state)
{
    (void)state;
    ask_for_socket();
    peer_close(&client);
    service_expect_end(&reactor, &upstream);
    stage_client();
}

static void tunnels_end_with_the_forwarder(void **state)
{
    (void)state;
    ask_for_socket();
    answer("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat/2\r\n\r\n");
    expect_answer("\r\n\r\n");
    rg_forwarder_close(forwarder);
    service_expect_end(&reactor, &client);
    service_expect_end(&reactor, &upstream);
}

#define ALONE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(what_one_side_says_reaches_the_other),
        ALONE(what_was_said_before_comes_first),
        ALONE(one_side_may_end_and_the_other_go_on),
        ALONE(where_one_side_breaks_the_other_is_closed),
        ALONE(a_side_that_does_not_read_holds_the_other_back),
        ALONE(the_end_comes_behind_what_was_kept),
        ALONE(a_tunnel_in_which_nothing_moves_is_cut),
        ALONE(sooner_where_one_side_has_ended),
        ALONE(all_of_them_can_be_cut),
        TEST(an_endpoint_may_let_protocols_be_switched),
        TEST(what_the_client_says_too_early_is_kept_for_the_service),
        TEST(a_service_that_does_not_want_to_answers_as_always),
        TEST(elsewhere_an_upgrade_is_a_plain_request),
        TEST(who_leaves_before_the_switch_ends_the_call),
        TEST(tunnels_end_with_the_forwarder),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
