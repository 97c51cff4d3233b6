/*
 * An HTTP/2 connection: how it begins and ends, what it writes and when, time limits, and peers
 * that flood it.
 */
#include "h2_client.h"
#include "http/h2_conn_priv.h"

#define BIG_N ((size_t)3 * 1024 * 1024)

static char *big;
static struct rg_stream *taken[128];
static size_t taken_n;
static unsigned calls;
static struct rg_exchange_handle pending;

/* ---- handlers ---- */

static void respond(struct rg_exchange *exchange, struct rg_str body)
{
    struct rg_response response = {.status = 200, .body = body};
    rg_exchange_respond(exchange, &response);
}

static void hello(void *arg, struct rg_exchange *exchange)
{
    (void)arg;
    calls++;
    respond(exchange, RG_STR("hello"));
}

static void answer_later(void *arg, struct rg_exchange *exchange)
{
    (void)arg;
    calls++;
    pending = rg_exchange_get_handle(exchange);
}

static void answer_big(void *arg, struct rg_exchange *exchange)
{
    (void)arg;
    calls++;
    respond(exchange, rg_str_n(big, BIG_N));
}

static void take(void *arg, struct rg_exchange *exchange)
{
    struct rg_response head = {.status = 200};
    struct rg_taken ret;

    (void)arg;
    rg_exchange_take_stream(exchange, &head, &ret);
    taken[taken_n++] = ret.stream;
    rg_taken_done(&ret);
}

static const struct rg_route routes[] = {
    {RG_METHODS_ALL, "/take", take, NULL, 0},
    {RG_METHODS_ALL, "/later", answer_later, NULL, 0},
    {RG_METHODS_ALL, "/big", answer_big, NULL, 0},
    {RG_METHODS_ALL, "*", hello, NULL, 100000},
};

/* ---- the owner of what is taken ---- */

static unsigned writable;

static void on_nothing(struct rg_stream *stream)
{
    (void)stream;
}

static void on_writable(struct rg_stream *stream)
{
    (void)stream;
    writable++;
}

static const struct rg_stream_events owner_events = {on_nothing, on_writable, on_nothing};

/* ---- the stage ---- */

static int setup_bare(void **state)
{
    (void)state;
    calls = 0;
    taken_n = 0;
    writable = 0;
    stage_open(routes, RG_COUNT_OF(routes));
    return 0;
}

static int setup_silent(void **state)
{
    setup_bare(state);
    stage_connect(0);
    return 0;
}

static int setup(void **state)
{
    setup_silent(state);
    client_open(&client, NULL, 0, true);
    talk();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < taken_n; i++)
        rg_stream_close(&taken[i]);
    stage_close();
    return 0;
}

/* Preface and SETTINGS as bytes, for tests that make all frames themselves. */
static void begin_by_hand(void)
{
    peer_put(&client.peer, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    put_frame(NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    peer_turn(&reactor);
}

/* GET http://h/ */
static const unsigned char head_block[] = {0x82, 0x86, 0x84, 0x41, 0x01, 'h'};
#define WHOLE (NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM)

static void put_request(uint32_t id)
{
    put_frame(NGHTTP2_HEADERS, WHOLE, id, head_block, sizeof(head_block));
}

/* ---- how it begins ---- */

static void the_preface_may_come_byte_by_byte(void **state)
{
    const uint8_t *p;
    ssize_t n;

    (void)state;
    client_open(&client, NULL, 0, true);
    int32_t id = GET("/");
    while ((n = nghttp2_session_mem_send(client.session, &p)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            peer_put(&client.peer, p + i, 1);
            peer_turn(&reactor);
        }
    }
    talk();
    assert_body(id, "hello");
    assert_int_equal(count("rgate_http2_connections"), 1);
    assert_int_equal(rg_http_server_connections(server), 1);
}

static void what_only_begins_like_the_preface_is_another_version(void **state)
{
    static const char *const texts[] = {"P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"};
    static const char *const answers[] = {"200 OK", "400 "};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        peer_send(&reactor, &client.peer, texts[i]);
        peer_send(&reactor, &client.peer, "OST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
        peer_read(&reactor, &client.peer);
        assert_true(peer_has(&client.peer, answers[i]));
        peer_close(&client.peer);
        peer_turn(&reactor);
        stage_connect(0);
    }
    assert_int_equal(count("rgate_http2_connections"), 0);
}

static void a_preface_that_does_not_end_times_out(void **state)
{
    (void)state;
    peer_send(&reactor, &client.peer, "PRI * HTTP/2.0\r\n\r\nSM");
    peer_let_pass(&reactor, settings.header_timeout_ms);
    peer_read(&reactor, &client.peer);
    assert_true(peer_has(&client.peer, "HTTP/1.1 408 "));
    assert_closed();
}

static void a_preface_behind_a_request_is_none(void **state)
{
    (void)state;
    peer_send(&reactor, &client.peer, "GET / HTTP/1.1\r\nhost: h\r\n\r\n" NGHTTP2_CLIENT_MAGIC);
    peer_read(&reactor, &client.peer);
    assert_true(peer_has(&client.peer, "HTTP/1.1 200 OK"));
    assert_true(peer_has(&client.peer, "HTTP/1.1 400 "));
    assert_closed();
}

static void it_can_be_switched_off(void **state)
{
    (void)state;
    settings.is_h2_on = false;
    stage_connect(0);
    peer_send(&reactor, &client.peer, NGHTTP2_CLIENT_MAGIC);
    peer_read(&reactor, &client.peer);
    assert_true(peer_has(&client.peer, "HTTP/1.1 400 "));
    assert_closed();
}

static void who_says_nothing_behind_the_preface_is_cut(void **state)
{
    (void)state;
    peer_send(&reactor, &client.peer, NGHTTP2_CLIENT_MAGIC);
    peer_let_pass(&reactor, settings.header_timeout_ms - 1000);
    assert_int_equal(rg_http_server_connections(server), 1);
    peer_let_pass(&reactor, 1000);
    assert_cut_off(NGHTTP2_NO_ERROR);
}

static void requests_are_counted_by_the_peers_limit(void **state)
{
    (void)state;
    settings.h2_max_streams = 2;
    stage_connect(0);
    client_open(&client, NULL, 0, true);
    talk();
    for (int i = 0; i < 3; i++)
        GET("/later");
    talk();
    assert_int_equal(calls, 2);
    /* A peer that does not care is refused. */
    put_request(99);
    hear_out();
    assert_true(client.has_goaway);
    assert_int_equal(calls, 2);
}

/* ---- a stream of ours under the connection ---- */

struct fake {
    struct rg_stream stream;
    struct rg_buf in, out;
    unsigned writes;
    size_t takes_at_most; /* of all */
    bool is_closed, is_shut;
};

static struct fake fake;

static long fake_read(struct rg_stream *stream, void *p, size_t n)
{
    (void)stream;
    if (fake.in.n == 0)
        return UV_EAGAIN;
    n = n < fake.in.n ? n : fake.in.n;
    memcpy(p, fake.in.p, n);
    rg_buf_consume(&fake.in, n);
    return (long)n;
}

static long fake_write(struct rg_stream *stream, const void *p, size_t n)
{
    size_t room = fake.takes_at_most - fake.out.n;

    (void)stream;
    if (room == 0)
        return UV_EAGAIN;
    fake.writes++;
    n = n < room ? n : room;
    rg_buf_add(&fake.out, p, n);
    return (long)n;
}

static long fake_writev(struct rg_stream *stream, const struct iovec *iov, int n)
{
    rg_assert(n == 1);
    return fake_write(stream, iov->iov_base, iov->iov_len);
}

static void fake_update(struct rg_stream *stream)
{
    (void)stream;
}

static void fake_shutdown(struct rg_stream *stream)
{
    (void)stream;
    fake.is_shut = true;
}

static void fake_close(struct rg_stream *stream)
{
    (void)stream;
    fake.is_closed = true;
}

static const struct rg_stream_ops fake_ops = {
    fake_read, fake_write, fake_writev, fake_update, fake_shutdown, fake_close,
};

static void fake_open(void)
{
    fake = (struct fake){.takes_at_most = SIZE_MAX};
    rg_stream_init(&fake.stream, &fake_ops, &reactor);
    rg_h1_conn_open(server, &fake.stream, (struct rg_http_transport){.fd = -1});
}

static void fake_done(void)
{
    rg_buf_done(&fake.in);
    rg_buf_done(&fake.out);
}

/* What the client says becomes readable, and what was written goes to the client. */
static void fake_talk(void)
{
    const uint8_t *p;
    ssize_t n;

    while ((n = nghttp2_session_mem_send(client.session, &p)) > 0)
        rg_buf_add(&fake.in, p, (size_t)n);
    while (fake.in.n > 0 && fake.stream.wants_read)
        fake.stream.events->on_readable(&fake.stream);
    peer_turn(&reactor);
    if (fake.out.n > 0)
        nghttp2_session_mem_recv(client.session, (const uint8_t *)fake.out.p, fake.out.n);
    if (fake.takes_at_most != SIZE_MAX)
        fake.takes_at_most -= fake.out.n;
    rg_buf_clear(&fake.out);
}

static void what_many_streams_write_in_a_turn_is_one_write(void **state)
{
    (void)state;
    fake_open();
    client_open(&client, NULL, 0, true);
    fake_talk();
    for (int i = 0; i < 100; i++)
        GET("/take");
    fake_talk();
    assert_int_equal(taken_n, 100);

    fake.writes = 0;
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(rg_stream_write(taken[i], big, 300), 300);
    assert_int_equal(fake.writes, 0);
    peer_turn(&reactor);
    assert_int_equal(fake.writes, 1);
    assert_true(fake.out.n >= 100 * 309);
    fake_talk();
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(answer((int32_t)(2 * i + 1))->body.n, 300);
    rg_http_server_close_all(server);
    assert_true(fake.is_closed);
    fake_done();
}

static void a_long_turn_does_not_pile_up_memory(void **state)
{
    const nghttp2_settings_entry wide[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30}};

    (void)state;
    fake_open();
    client_open(&client, wide, 1, true);
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    GET("/take");
    fake_talk();
    fake.writes = 0;
    for (int i = 0; i < 16; i++)
        assert_int_equal(rg_stream_write(taken[0], big, 16384), 16384);
    assert_in_range(fake.writes, 3, 5);
    rg_http_server_close_all(server);
    fake_done();
}

static void a_socket_that_takes_nothing_stops_its_streams_and_reading(void **state)
{
    const nghttp2_settings_entry wide[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30}};
    size_t wrote = 0;
    long n;

    (void)state;
    fake_open();
    client_open(&client, wide, 1, true);
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    GET("/take");
    fake_talk();
    rg_stream_adopt(taken[0], &owner_events, &client);
    fake.takes_at_most = 0;
    while ((n = rg_stream_write(taken[0], big, 10000)) > 0)
        wrote += (size_t)n;
    assert_int_equal(n, UV_EAGAIN);
    assert_in_range(wrote, RG_H2_MAX_UNSENT - 20000, RG_H2_MAX_UNSENT + 20000);
    rg_stream_want(taken[0], true, true);
    peer_turn(&reactor);
    assert_false(fake.stream.wants_read);
    assert_true(fake.stream.wants_write);
    assert_int_equal(writable, 0);

    /* A little room is not enough, some is. */
    fake.takes_at_most = 200000;
    fake.stream.events->on_writable(&fake.stream);
    peer_turn(&reactor);
    assert_true(fake.stream.wants_read);
    assert_int_equal(writable, 1);
    rg_http_server_close_all(server);
    fake_done();
}

/* How much each taken stream has written, and how much it writes at a time. */
static size_t written[3];

static void write_more(struct rg_stream *stream)
{
    size_t *mine = stream->owner;
    long n = rg_stream_write(stream, big, 40000);

    *mine += n > 0 ? (size_t)n : 0;
}

static void streams_take_turns_where_there_is_little_room(void **state)
{
    static const struct rg_stream_events greedy = {on_nothing, write_more, on_nothing};
    const nghttp2_settings_entry wide[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30}};

    (void)state;
    memset(written, 0, sizeof(written));
    fake_open();
    client_open(&client, wide, 1, true);
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    for (int i = 0; i < 3; i++)
        GET("/take");
    fake_talk();
    fake.takes_at_most = 0;
    for (size_t i = 0; i < 3; i++) {
        rg_stream_adopt(taken[i], &greedy, &written[i]);
        rg_stream_want(taken[i], true, true);
    }
    for (int i = 0; i < 30; i++) {
        fake.takes_at_most += 60000;
        fake.stream.events->on_writable(&fake.stream);
        peer_turn(&reactor);
    }
    for (size_t i = 0; i < 3; i++)
        assert_in_range(written[i], 500000, 700000);
    rg_http_server_close_all(server);
    fake_done();
}

static void a_socket_that_takes_nothing_for_too_long_is_closed(void **state)
{
    (void)state;
    fake_open();
    client_open(&client, NULL, 0, true);
    fake_talk();
    fake.takes_at_most = 0;
    GET("/");
    fake_talk();
    peer_let_pass(&reactor, settings.write_timeout_ms - 2000);
    assert_false(fake.is_closed);
    peer_let_pass(&reactor, 3000);
    assert_true(fake.is_closed);
    assert_int_equal(count("rgate_http_timeouts_total"), 1);
    assert_int_equal(rg_http_server_connections(server), 0);
    fake_done();
}

static void who_has_agreed_on_http2_is_not_answered_in_another_version(void **state)
{
    (void)state;
    fake = (struct fake){.takes_at_most = SIZE_MAX};
    rg_stream_init(&fake.stream, &fake_ops, &reactor);
    fake.stream.speaks_h2 = true;
    rg_buf_add_c(&fake.in, "GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    rg_h1_conn_open(server, &fake.stream, (struct rg_http_transport){.fd = -1, .is_secure = true});
    peer_turn(&reactor);
    rg_buf_add(&client.heard, fake.out.p, fake.out.n);
    client_note_goaway(&client);
    assert_true(client.has_goaway);
    assert_int_equal(client.goaway_code, NGHTTP2_PROTOCOL_ERROR);
    assert_true(fake.is_shut);
    rg_http_server_close_all(server);
    fake_done();
}

#define MANY 90

/* What waits to be read from a socket, at most 100000 bytes. */
static ssize_t waiting(int fd)
{
    static char bytes[100000];

    return recv(fd, bytes, sizeof(bytes), MSG_PEEK);
}

static void what_is_written_to_many_connections_does_not_wait_for_the_last(void **state)
{
    static const unsigned char windows[] = {0, 4, 0, 16, 0, 0}, more[] = {0, 16, 0, 0};
    static const unsigned char take_block[] = {0x82, 0x86, 0x41, 0x01, 'h', 0x04,
                                               0x05, '/',  't',  'a',  'k', 'e'};
    struct peer peers[MANY];

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        stage_connect(0);
        begin_by_hand();
        put_frame(NGHTTP2_SETTINGS, 0, 0, windows, sizeof(windows));
        put_frame(NGHTTP2_WINDOW_UPDATE, 0, 0, more, sizeof(more));
        put_frame(NGHTTP2_HEADERS, WHOLE, 1, take_block, sizeof(take_block));
        peer_turn(&reactor);
        hear_out();
        peers[i] = client.peer;
        client.peer.got = (struct rg_buf){0};
    }
    client.peer.fd = -1;
    assert_int_equal(taken_n, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(rg_stream_write(taken[i], big, 60000), 60000);
    assert_true(waiting(peers[0].fd) > 60000);
    assert_int_equal(waiting(peers[MANY - 1].fd), -1);
    peer_turn(&reactor);
    assert_true(waiting(peers[MANY - 1].fd) > 60000);
    assert_int_equal(server->h2_unflushed, 0);
    for (size_t i = 0; i < MANY; i++)
        peer_close(&peers[i]);
}

/* ---- how it ends ---- */

static void a_peer_that_closes_is_forgotten(void **state)
{
    (void)state;
    GET("/later");
    talk();
    assert_non_null(rg_http_server_find(server, pending));
    peer_close(&client.peer);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_null(rg_http_server_find(server, pending));
}

static void a_peer_that_says_goaway_is_answered_and_closed(void **state)
{
    (void)state;
    int32_t id = GET("/later");
    talk();
    nghttp2_submit_goaway(client.session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    talk();
    assert_false(client.peer.has_seen_end);
    respond(rg_http_server_find(server, pending), RG_STR("late"));
    hear_out();
    assert_body(id, "late");
    assert_closed();
}

static void an_idle_connection_is_closed(void **state)
{
    (void)state;
    GET("/");
    talk();
    peer_let_pass(&reactor, settings.idle_timeout_ms - 2000);
    assert_int_equal(rg_http_server_connections(server), 1);
    peer_let_pass(&reactor, 2000);
    assert_cut_off(NGHTTP2_NO_ERROR);
}

static void a_connection_with_a_stream_is_not_idle(void **state)
{
    (void)state;
    GET("/take");
    talk();
    peer_let_pass(&reactor, 10 * settings.idle_timeout_ms);
    assert_int_equal(reactor.wheel.pending, 0);
    assert_int_equal(rg_http_server_connections(server), 1);
    rg_stream_close(&taken[0]);
    talk();
    peer_let_pass(&reactor, settings.idle_timeout_ms - 2000);
    assert_int_equal(rg_http_server_connections(server), 1);
    peer_let_pass(&reactor, 2000);
    assert_cut_off(NGHTTP2_NO_ERROR);
}

static void a_lingering_connection_ends_by_itself(void **state)
{
    (void)state;
    rg_http_server_drain(server);
    talk();
    assert_true(client.peer.has_seen_end);
    assert_int_equal(rg_http_server_connections(server), 1);
    peer_let_pass(&reactor, 2000);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void a_lingering_connection_does_not_read_for_ever(void **state)
{
    static const char chunk[65536];

    (void)state;
    rg_http_server_drain(server);
    talk();
    for (int i = 0; i < 4; i++) {
        peer_put(&client.peer, chunk, sizeof(chunk));
        peer_turn(&reactor);
        assert_int_equal(rg_http_server_connections(server), 1);
    }
    peer_put(&client.peer, "x", 1);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void who_connects_to_a_draining_server_is_answered_and_sent_away(void **state)
{
    (void)state;
    stage_connect(0);
    rg_http_server_drain(server);
    stage_connect(0);
    client_open(&client, NULL, 0, true);
    int32_t id = GET("/");
    talk();
    assert_body(id, "hello");
    assert_cut_off(NGHTTP2_NO_ERROR);
}

/* ---- time ---- */

static void a_head_that_does_not_end_is_cut(void **state)
{
    (void)state;
    begin_by_hand();
    put_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, head_block, sizeof(head_block));
    peer_turn(&reactor);
    peer_let_pass(&reactor, settings.header_timeout_ms - 2000);
    assert_int_equal(rg_http_server_connections(server), 1);
    peer_let_pass(&reactor, 3000);
    assert_cut_off(NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(calls, 0);
    assert_int_equal(count("rgate_http_timeouts_total"), 1);
}

static void a_body_that_comes_too_slowly_gets_408(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    int32_t a = POST("/"), b = GET("/later");
    talk();
    peer_let_pass(&reactor, 9000);
    talk();
    assert_false(answer(a)->is_over);
    /* Fast enough in one window, not in the next. */
    rg_buf_add(&client.upload, big, 10240);
    nghttp2_session_resume_data(client.session, a);
    talk();
    peer_let_pass(&reactor, 2000);
    talk();
    assert_false(answer(a)->is_over);
    for (int i = 0; i < 11; i++)
        peer_let_pass(&reactor, 1000);
    talk();
    assert_int_equal(answer(a)->status, 408);
    assert_true(answer(a)->is_over);
    assert_false(answer(b)->is_over);
    assert_int_equal(count("rgate_http_timeouts_total"), 1);
}

static void a_pending_answer_has_no_deadline_here(void **state)
{
    (void)state;
    int32_t id = GET("/later");
    talk();
    for (int i = 0; i < 200; i++)
        peer_let_pass(&reactor, 1000);
    respond(rg_http_server_find(server, pending), RG_STR("late"));
    talk();
    assert_body(id, "late");
}

static void a_peer_that_takes_a_little_now_and_then_is_not_cut(void **state)
{
    const nghttp2_settings_entry none[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}};

    (void)state;
    stage_connect(0);
    client_open(&client, none, 1, false);
    int32_t id = GET("/big");
    talk();
    for (int i = 0; i < 10; i++) {
        peer_let_pass(&reactor, settings.write_timeout_ms - 1500);
        nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, id, 10);
        talk();
    }
    assert_int_equal(answer(id)->body.n, 100);
    assert_false(answer(id)->is_over);
}

/* ---- what is against the protocol ---- */

static void frames_for_closed_streams_end_the_connection(void **state)
{
    (void)state;
    begin_by_hand();
    put_request(1);
    peer_turn(&reactor);
    put_frame(NGHTTP2_DATA, 0, 1, "x", 1);
    assert_cut_off(NGHTTP2_STREAM_CLOSED);
}

static void a_lower_stream_number_ends_the_connection(void **state)
{
    (void)state;
    begin_by_hand();
    put_request(5);
    peer_turn(&reactor);
    put_request(3);
    assert_cut_off(NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(calls, 1);
}

/* A refused upload: the peer could not know yet. */
static void what_was_under_way_for_a_stream_that_we_closed_is_ignored(void **state)
{
    static const unsigned char long_block[] = {0x83, 0x86, 0x84, 0x41, 0x01, 'h', 0x0f, 0x0d,
                                               0x06, '1',  '0',  '0',  '0',  '0', '1'};

    (void)state;
    begin_by_hand();
    put_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, long_block, sizeof(long_block));
    peer_turn(&reactor);
    put_frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "x", 1);
    put_request(3);
    hear_out();
    assert_false(client.has_goaway);
    assert_int_equal(calls, 1);
}

static void priorities_are_ignored_if_they_are_well_formed(void **state)
{
    const unsigned char on_7[] = {0, 0, 0, 7, 16}, on_9[] = {0x80, 0, 0, 9, 16};

    (void)state;
    begin_by_hand();
    put_frame(NGHTTP2_PRIORITY, 0, 9, on_7, 5);
    put_request(9);
    hear_out();
    assert_false(client.has_goaway);
    assert_int_equal(calls, 1);
    put_frame(NGHTTP2_PRIORITY, 0, 9, on_9, 5);
    assert_cut_off(NGHTTP2_PROTOCOL_ERROR);
}

static void a_priority_of_another_size_ends_the_connection(void **state)
{
    (void)state;
    begin_by_hand();
    put_frame(NGHTTP2_PRIORITY, 0, 9, "abcd", 4);
    assert_cut_off(NGHTTP2_FRAME_SIZE_ERROR);
}

static void nothing_behind_a_violation_is_handled(void **state)
{
    (void)state;
    begin_by_hand();
    put_frame(NGHTTP2_PING, 0, 1, "12345678", 8);
    put_request(1);
    put_frame(NGHTTP2_PRIORITY, 0, 0, "abcde", 5);
    put_request(3);
    assert_cut_off(NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(calls, 0);
}

/* ---- floods ---- */

static void assert_flooded(void)
{
    assert_cut_off(NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(count("rgate_http2_floods_total"), 1);
}

static void rapid_resets_are_cut(void **state)
{
    static const unsigned char cancel[] = {0, 0, 0, NGHTTP2_CANCEL};
    uint32_t id = 1;

    (void)state;
    begin_by_hand();
    for (; id < 2 * 500; id += 2) {
        put_request(id);
        put_frame(NGHTTP2_RST_STREAM, 0, id, cancel, 4);
        peer_turn(&reactor);
    }
    client_take(&client);
    assert_false(client.has_goaway);
    assert_int_equal(count("rgate_http2_resets_total{by=\"peer\"}"), 500);
    put_request(id);
    put_frame(NGHTTP2_RST_STREAM, 0, id, cancel, 4);
    assert_flooded();
}

static void resets_that_the_peer_brings_about_are_cut(void **state)
{
    static const unsigned char too_much[4] = {0x7f, 0xff, 0xff, 0xff};
    uint32_t id = 1;

    (void)state;
    begin_by_hand();
    for (; id < 2 * 501; id += 2) {
        put_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, head_block, sizeof(head_block));
        put_frame(NGHTTP2_WINDOW_UPDATE, 0, id, too_much, 4);
        peer_turn(&reactor);
    }
    assert_int_equal(calls, 0);
    assert_flooded();
}

static void resets_are_forgiven_with_time(void **state)
{
    static const unsigned char cancel[] = {0, 0, 0, NGHTTP2_CANCEL};

    (void)state;
    begin_by_hand();
    put_frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
    for (uint32_t id = 1; id < 2 * 2000; id += 2) {
        put_request(id);
        put_frame(NGHTTP2_RST_STREAM, 0, id, cancel, 4);
        peer_turn(&reactor);
        reactor.now_ms += 10;
    }
    client_take(&client);
    assert_false(client.has_goaway);
    assert_int_equal(count("rgate_http2_floods_total"), 0);
}

/* Frames of one kind until the connection is cut; that it takes more than a few is checked, too. */
static void assert_cuts(unsigned char type, uint32_t id, size_t n)
{
    static const char payload[16] = {0};

    begin_by_hand();
    for (int i = 0; i < 100; i++)
        put_frame(type, 0, id, payload, n);
    hear_out();
    assert_false(client.has_goaway);
    for (int i = 0; i < 401; i++) {
        put_frame(type, 0, id, payload, n);
        if (i % 50 == 0)
            peer_turn(&reactor);
    }
    assert_flooded();
}

static void floods_of_pings_are_cut(void **state)
{
    (void)state;
    assert_cuts(NGHTTP2_PING, 0, 8);
}

static void floods_of_settings_are_cut(void **state)
{
    (void)state;
    assert_cuts(NGHTTP2_SETTINGS, 0, 0);
}

static void floods_of_unknown_frames_are_cut(void **state)
{
    (void)state;
    assert_cuts(99, 0, 0);
}

static void floods_of_priorities_are_cut(void **state)
{
    (void)state;
    assert_cuts(NGHTTP2_PRIORITY, 7, 5);
}

static void floods_of_empty_data_are_cut(void **state)
{
    (void)state;
    begin_by_hand();
    put_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, head_block, sizeof(head_block));
    for (int i = 0; i < 501; i++) {
        put_frame(NGHTTP2_DATA, 0, 1, NULL, 0);
        if (i % 50 == 0)
            peer_turn(&reactor);
    }
    assert_flooded();
}

static void answers_that_nobody_reads_are_not_piled_up(void **state)
{
    (void)state;
    fake_open();
    fake.takes_at_most = 0;
    rg_buf_add_c(&fake.in, NGHTTP2_CLIENT_MAGIC);
    for (int i = 0; i < 300; i++)
        rg_buf_add(&fake.in, "\0\0\0\4\0\0\0\0\0", 9);
    fake.stream.events->on_readable(&fake.stream);
    peer_turn(&reactor);
    assert_int_equal(count("rgate_http2_floods_total"), 1);
    rg_http_server_close_all(server);
    fake_done();
}

static void a_head_in_too_many_pieces_is_cut(void **state)
{
    (void)state;
    begin_by_hand();
    put_frame(NGHTTP2_HEADERS, 0, 1, head_block, sizeof(head_block));
    for (int i = 0; i < 9; i++)
        put_frame(NGHTTP2_CONTINUATION, 0, 1, NULL, 0);
    hear_out();
    assert_true(client.has_goaway);
    assert_int_equal(calls, 0);
    assert_closed();
}

/* A short block that means many fields: each byte names one of the static table again. */
static void a_bomb_of_fields_is_cut(void **state)
{
    unsigned char block[1000];

    (void)state;
    begin_by_hand();
    memcpy(block, head_block, sizeof(head_block));
    memset(block + sizeof(head_block), 0x90, sizeof(block) - sizeof(head_block));
    put_frame(NGHTTP2_HEADERS, WHOLE, 1, block, 200);
    hear_out();
    assert_int_equal(count("rgate_http_responses_total{class=\"4xx\"}"), 1);
    assert_false(client.has_goaway);
    put_frame(NGHTTP2_HEADERS, WHOLE, 3, block, sizeof(block));
    assert_flooded();
    assert_int_equal(calls, 0);
}

#define TEST(name)   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define SILENT(name) cmocka_unit_test_setup_teardown(name, setup_silent, teardown)
#define BARE(name)   cmocka_unit_test_setup_teardown(name, setup_bare, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SILENT(the_preface_may_come_byte_by_byte),
        SILENT(what_only_begins_like_the_preface_is_another_version),
        SILENT(a_preface_that_does_not_end_times_out),
        SILENT(a_preface_behind_a_request_is_none),
        BARE(it_can_be_switched_off),
        SILENT(who_says_nothing_behind_the_preface_is_cut),
        BARE(requests_are_counted_by_the_peers_limit),
        BARE(what_many_streams_write_in_a_turn_is_one_write),
        BARE(a_long_turn_does_not_pile_up_memory),
        BARE(what_is_written_to_many_connections_does_not_wait_for_the_last),
        BARE(a_socket_that_takes_nothing_stops_its_streams_and_reading),
        BARE(streams_take_turns_where_there_is_little_room),
        BARE(a_socket_that_takes_nothing_for_too_long_is_closed),
        BARE(who_has_agreed_on_http2_is_not_answered_in_another_version),
        TEST(a_peer_that_closes_is_forgotten),
        TEST(a_peer_that_says_goaway_is_answered_and_closed),
        TEST(an_idle_connection_is_closed),
        TEST(a_connection_with_a_stream_is_not_idle),
        TEST(a_lingering_connection_ends_by_itself),
        TEST(a_lingering_connection_does_not_read_for_ever),
        BARE(who_connects_to_a_draining_server_is_answered_and_sent_away),
        SILENT(a_head_that_does_not_end_is_cut),
        TEST(a_body_that_comes_too_slowly_gets_408),
        TEST(a_pending_answer_has_no_deadline_here),
        BARE(a_peer_that_takes_a_little_now_and_then_is_not_cut),
        SILENT(frames_for_closed_streams_end_the_connection),
        SILENT(a_lower_stream_number_ends_the_connection),
        SILENT(what_was_under_way_for_a_stream_that_we_closed_is_ignored),
        SILENT(priorities_are_ignored_if_they_are_well_formed),
        SILENT(a_priority_of_another_size_ends_the_connection),
        SILENT(nothing_behind_a_violation_is_handled),
        SILENT(rapid_resets_are_cut),
        SILENT(resets_that_the_peer_brings_about_are_cut),
        SILENT(resets_are_forgiven_with_time),
        SILENT(floods_of_pings_are_cut),
        SILENT(floods_of_settings_are_cut),
        SILENT(floods_of_unknown_frames_are_cut),
        SILENT(floods_of_priorities_are_cut),
        SILENT(floods_of_empty_data_are_cut),
        BARE(answers_that_nobody_reads_are_not_piled_up),
        SILENT(a_head_in_too_many_pieces_is_cut),
        SILENT(a_bomb_of_fields_is_cut),
    };

    big = rg_alloc(BIG_N);
    memset(big, 'b', BIG_N);
    int failed = RUN(tests);
    rg_free(big);
    rg_rcu_thread_stop();
    return failed;
}
