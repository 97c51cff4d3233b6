/*
 * Sockets are told of changes only, and their owners must not notice:
 *
 * - What can be read is told until it is read, also over many turns, and not while reading is off.
 * - Room for writing is told for as long as it is asked for, and again after the socket was full.
 * - A hang-up is told once where nothing else would tell, and as readable where reading is on.
 * - A peer that has said its last word and reads slowly does not keep the loop busy.
 * - Who is closed is told nothing more, whatever is ready in the same turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/socket.h"
#include "peer.h"

struct owner {
    struct rg_stream *stream;
    unsigned reads, writes, hangups;
    size_t read_at_once; /* 0: do not read when told */
    size_t got;
    struct owner *closes; /* another one, when told to read */
};

static struct rg_reactor reactor;

static void on_readable(struct rg_stream *stream)
{
    struct owner *owner = stream->owner;
    char bytes[4096];

    owner->reads++;
    if (owner->closes != NULL)
        rg_stream_close(&owner->closes->stream);
    if (owner->read_at_once == 0)
        return;
    long n = rg_stream_read(stream, bytes, owner->read_at_once);
    owner->got += n > 0 ? (size_t)n : 0;
}

static void on_writable(struct rg_stream *stream)
{
    ((struct owner *)stream->owner)->writes++;
}

static void on_hangup(struct rg_stream *stream)
{
    ((struct owner *)stream->owner)->hangups++;
}

static const struct rg_stream_events events = {on_readable, on_writable, on_hangup};

static struct peer open_owner(struct owner *owner, int send_buffer)
{
    int fd;
    struct peer peer = peer_open(&fd, send_buffer);

    *owner = (struct owner){.read_at_once = 4096};
    owner->stream = rg_socket_open(&reactor, fd, &events, owner);
    assert_non_null(owner->stream);
    return peer;
}

static void turn(void)
{
    uv_run(&reactor.loop, UV_RUN_NOWAIT);
}

static int setup(void **state)
{
    (void)state;
    peer_reactor_init(&reactor);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_reactor_done(&reactor);
    return 0;
}

static void what_is_not_read_is_told_again(void **state)
{
    struct owner owner;
    struct peer peer = open_owner(&owner, 0);

    (void)state;
    owner.read_at_once = 0;
    assert_int_equal(write(peer.fd, "abcdef", 6), 6);
    peer_turn(&reactor);
    assert_true(owner.reads > 3);
    owner.read_at_once = 2;
    peer_turn(&reactor);
    assert_int_equal(owner.got, 6);
    unsigned reads = owner.reads;
    peer_turn(&reactor);
    assert_int_equal(owner.reads, reads);
    rg_stream_close(&owner.stream);
    peer_close(&peer);
}

static void nothing_is_told_while_reading_is_off(void **state)
{
    struct owner owner;
    struct peer peer = open_owner(&owner, 0);

    (void)state;
    rg_stream_want(owner.stream, false, false);
    assert_int_equal(write(peer.fd, "abc", 3), 3);
    peer_turn(&reactor);
    assert_int_equal(owner.reads, 0);
    rg_stream_want(owner.stream, true, false);
    assert_int_equal(owner.reads, 0); /* not from inside */
    peer_turn(&reactor);
    assert_int_equal(owner.got, 3);
    rg_stream_close(&owner.stream);
    peer_close(&peer);
}

/* Writes until the socket is full; returns how many bytes it took. */
static size_t fill(struct owner *owner)
{
    static const char bytes[8192];
    size_t all = 0;

    for (;;) {
        long n = rg_stream_write(owner->stream, bytes, sizeof(bytes));
        if (n == UV_EAGAIN)
            return all;
        assert_true(n > 0);
        all += (size_t)n;
    }
}

static void room_is_told_while_it_is_asked_for(void **state)
{
    struct owner owner;
    struct peer peer = open_owner(&owner, 4096);

    (void)state;
    rg_stream_want(owner.stream, false, true);
    peer_turn(&reactor);
    assert_true(owner.writes > 3);
    fill(&owner);
    unsigned writes = owner.writes;
    peer_turn(&reactor);
    assert_int_equal(owner.writes, writes);
    peer_take(&peer, SIZE_MAX);
    peer_turn(&reactor);
    assert_true(owner.writes > writes);
    rg_stream_want(owner.stream, false, false);
    writes = owner.writes;
    peer_turn(&reactor);
    assert_int_equal(owner.writes, writes);
    rg_stream_close(&owner.stream);
    peer_close(&peer);
}

static void a_hangup_is_told_once(void **state)
{
    struct owner owner;
    struct peer peer = open_owner(&owner, 0);

    (void)state;
    rg_stream_want(owner.stream, false, false);
    peer_turn(&reactor);
    peer_half_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(owner.hangups, 1);
    assert_int_equal(owner.reads, 0);
    /* Who asks again is told again. */
    rg_stream_want(owner.stream, true, false);
    turn();
    assert_true(owner.reads > 0);
    rg_stream_want(owner.stream, false, false);
    peer_turn(&reactor);
    assert_int_equal(owner.hangups, 2);
    rg_stream_close(&owner.stream);
    peer_close(&peer);
}

static void a_slow_reader_that_sends_no_more_keeps_nobody_busy(void **state)
{
    struct owner owner;
    struct peer peer = open_owner(&owner, 4096);

    (void)state;
    peer_half_close(&peer);
    rg_stream_want(owner.stream, false, true);
    peer_turn(&reactor);
    fill(&owner);
    unsigned writes = owner.writes;
    peer_turn(&reactor);
    assert_int_equal(owner.writes, writes);
    assert_false(uv_is_active((uv_handle_t *)&reactor.sockets.idle));
    rg_stream_close(&owner.stream);
    peer_close(&peer);
}

static void who_is_closed_is_told_nothing(void **state)
{
    struct owner owners[2];
    struct peer peers[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        peers[i] = open_owner(&owners[i], 0);
    /* Whoever comes first closes the other, in the turn in which both are ready. */
    owners[0].closes = &owners[1];
    owners[1].closes = &owners[0];
    for (int i = 0; i < 2; i++)
        assert_int_equal(write(peers[i].fd, "x", 1), 1);
    peer_turn(&reactor);
    assert_int_equal(owners[0].reads + owners[1].reads, 1);
    for (int i = 0; i < 2; i++) {
        rg_stream_close(&owners[i].stream);
        peer_close(&peers[i]);
    }
}

static void who_is_known_to_be_ready_may_be_closed(void **state)
{
    struct owner owner;
    struct peer peer = open_owner(&owner, 0);

    (void)state;
    owner.read_at_once = 0;
    assert_int_equal(write(peer.fd, "x", 1), 1);
    turn();
    turn();
    unsigned reads = owner.reads;
    rg_stream_close(&owner.stream);
    peer_turn(&reactor);
    assert_int_equal(owner.reads, reads);
    peer_close(&peer);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_read_is_told_again),
        TEST(nothing_is_told_while_reading_is_off),
        TEST(room_is_told_while_it_is_asked_for),
        TEST(a_hangup_is_told_once),
        TEST(a_slow_reader_that_sends_no_more_keeps_nobody_busy),
        TEST(who_is_closed_is_told_nothing),
        TEST(who_is_known_to_be_ready_may_be_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
