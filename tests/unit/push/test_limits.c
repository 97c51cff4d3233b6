#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "push/limits.h"

#define MINUTE  60000u
#define NOON    (UINT64_C(29000000) * MINUTE) /* some boundary between two minutes */
#define THREADS 4
#define ROUNDS  2000

static struct rg_limits *limits;
static struct rg_seat *seats[20];
static size_t seats_n;

static void begin(int64_t per_minute, size_t per_address, size_t clients)
{
    const struct rg_limits_settings settings = {per_minute, per_address, clients};

    limits = rg_limits_new(&settings);
    seats_n = 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < seats_n; i++)
        rg_limits_leave(limits, &seats[i]);
    /* Asserts that every seat has been given up. */
    rg_limits_free(&limits);
    return 0;
}

static unsigned retry_after_s;

static enum rg_limit enter_from(const char *address, uint64_t wall_ms)
{
    char peer[RG_PEER_SIZE] = "";
    struct rg_seat *seat = (struct rg_seat *)peer;

    retry_after_s = 0;
    strcpy(peer, address);
    enum rg_limit limit = rg_limits_enter(limits, peer, wall_ms, &seat, &retry_after_s);
    assert_int_equal(seat != NULL, limit == RG_LIMIT_NONE);
    assert_int_equal(retry_after_s > 0, limit != RG_LIMIT_NONE);
    if (seat != NULL) {
        assert_true(seats_n < RG_COUNT_OF(seats));
        seats[seats_n++] = seat;
    }
    return limit;
}

static enum rg_limit enter(uint64_t wall_ms)
{
    return enter_from("192.0.2.7", wall_ms);
}

static bool exposes(const char *line)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};

    rg_limits_expose(limits, &out);
    rg_buf_add_char(&out, '\0');
    return strstr(out.p, line) != NULL;
}

/* ---- the rate ---- */

static void a_minute_takes_as_many_as_allowed_and_the_next_one_again(void **state)
{
    (void)state;
    begin(5, 0, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(enter(NOON + (uint64_t)i), RG_LIMIT_NONE);
    assert_int_equal(enter(NOON + 5), RG_LIMIT_RATE);
    assert_int_equal(enter(NOON + MINUTE - 1), RG_LIMIT_RATE);
    for (int i = 0; i < 5; i++)
        assert_int_equal(enter(NOON + MINUTE), RG_LIMIT_NONE);
    assert_int_equal(enter(NOON + MINUTE), RG_LIMIT_RATE);
}

/* Not a sliding window: ten in two milliseconds are fine where a boundary lies between. */
static void windows_begin_with_the_minutes_of_the_clock(void **state)
{
    (void)state;
    begin(5, 0, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(enter(NOON - 1), RG_LIMIT_NONE);
    assert_int_equal(enter(NOON - 1), RG_LIMIT_RATE);
    for (int i = 0; i < 5; i++)
        assert_int_equal(enter(NOON), RG_LIMIT_NONE);
    assert_int_equal(enter(NOON), RG_LIMIT_RATE);
}

static void those_who_leave_make_no_room_in_the_minute(void **state)
{
    (void)state;
    begin(1, 0, 0);
    assert_int_equal(enter(NOON), RG_LIMIT_NONE);
    rg_limits_leave(limits, &seats[0]);
    assert_null(seats[0]);
    assert_int_equal(enter(NOON), RG_LIMIT_RATE);
}

static void a_limit_of_zero_refuses_all(void **state)
{
    (void)state;
    begin(0, 0, 0);
    assert_int_equal(enter(NOON), RG_LIMIT_RATE);
    assert_int_equal(enter(NOON + MINUTE), RG_LIMIT_RATE);
}

static void without_a_limit_all_come_in(void **state)
{
    (void)state;
    begin(-1, 0, 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(enter(NOON), RG_LIMIT_NONE);
}

static void who_comes_too_fast_is_told_when_the_minute_is_over(void **state)
{
    (void)state;
    begin(0, 0, 0);
    enter(NOON);
    assert_int_equal(retry_after_s, 60);
    enter(NOON + 1);
    assert_int_equal(retry_after_s, 60);
    enter(NOON + 30000);
    assert_int_equal(retry_after_s, 30);
    enter(NOON + MINUTE - 1);
    assert_int_equal(retry_after_s, 1);
}

static void a_clock_that_lags_does_not_open_the_minute_again(void **state)
{
    (void)state;
    begin(2, 0, 0);
    assert_int_equal(enter(NOON), RG_LIMIT_NONE);
    assert_int_equal(enter(NOON - 1), RG_LIMIT_NONE);
    assert_int_equal(enter(NOON), RG_LIMIT_RATE);
    assert_int_equal(enter(NOON - 1), RG_LIMIT_RATE);
}

static void a_clock_that_was_set_back_begins_a_new_minute(void **state)
{
    (void)state;
    begin(1, 0, 0);
    assert_int_equal(enter(NOON), RG_LIMIT_NONE);
    assert_int_equal(enter(NOON - 60 * MINUTE), RG_LIMIT_NONE);
    assert_int_equal(enter(NOON - 60 * MINUTE), RG_LIMIT_RATE);
}

/* ---- how many at once ---- */

static void an_address_has_so_many_places(void **state)
{
    (void)state;
    begin(-1, 2, 0);
    assert_int_equal(enter_from("192.0.2.7", NOON), RG_LIMIT_NONE);
    assert_int_equal(enter_from("192.0.2.7", NOON), RG_LIMIT_NONE);
    assert_int_equal(enter_from("192.0.2.7", NOON), RG_LIMIT_ADDRESS);
    assert_true(retry_after_s <= 10);
    assert_int_equal(enter_from("192.0.2.77", NOON), RG_LIMIT_NONE);
    assert_int_equal(enter_from("2001:db8::1", NOON), RG_LIMIT_NONE);
    rg_limits_leave(limits, &seats[1]);
    assert_int_equal(enter_from("192.0.2.7", NOON), RG_LIMIT_NONE);
    assert_int_equal(enter_from("192.0.2.7", NOON), RG_LIMIT_ADDRESS);
}

static void peers_without_address_share_one(void **state)
{
    (void)state;
    begin(-1, 1, 0);
    assert_int_equal(enter_from("", NOON), RG_LIMIT_NONE);
    assert_int_equal(enter_from("", NOON), RG_LIMIT_ADDRESS);
}

static void there_are_so_many_places_altogether(void **state)
{
    (void)state;
    begin(-1, 0, 2);
    assert_int_equal(enter_from("192.0.2.1", NOON), RG_LIMIT_NONE);
    assert_int_equal(enter_from("192.0.2.2", NOON), RG_LIMIT_NONE);
    assert_int_equal(enter_from("192.0.2.3", NOON), RG_LIMIT_CLIENTS);
    assert_true(retry_after_s <= 10);
    rg_limits_leave(limits, &seats[0]);
    assert_int_equal(enter_from("192.0.2.3", NOON), RG_LIMIT_NONE);
    assert_int_equal(enter_from("192.0.2.1", NOON), RG_LIMIT_CLIENTS);
}

static void a_refused_one_counts_against_the_minute_and_takes_no_place(void **state)
{
    (void)state;
    begin(4, 1, 2);
    assert_int_equal(enter_from("192.0.2.1", NOON), RG_LIMIT_NONE);
    assert_int_equal(enter_from("192.0.2.1", NOON), RG_LIMIT_ADDRESS);
    assert_int_equal(enter_from("192.0.2.2", NOON), RG_LIMIT_NONE);
    assert_int_equal(enter_from("192.0.2.3", NOON), RG_LIMIT_CLIENTS);
    assert_int_equal(enter_from("192.0.2.3", NOON), RG_LIMIT_RATE);
}

static void giving_up_no_seat_does_nothing(void **state)
{
    struct rg_seat *none = NULL;

    (void)state;
    begin(-1, 0, 1);
    rg_limits_leave(limits, &none);
    assert_int_equal(enter(NOON), RG_LIMIT_NONE);
    rg_limits_leave(limits, &none);
    assert_int_equal(enter(NOON), RG_LIMIT_CLIENTS);
}

static void metrics_count_refusals_by_limit(void **state)
{
    (void)state;
    begin(7, 1, 2);
    enter_from("192.0.2.1", NOON);
    enter_from("192.0.2.1", NOON);
    enter_from("192.0.2.1", NOON);
    enter_from("192.0.2.2", NOON);
    enter_from("192.0.2.3", NOON);
    enter_from("192.0.2.4", NOON);
    enter_from("192.0.2.5", NOON);
    enter_from("192.0.2.5", NOON);
    assert_true(exposes("\nrgate_limit_refusals_total{limit=\"rate\"} 1\n"));
    assert_true(exposes("\nrgate_limit_refusals_total{limit=\"address\"} 2\n"));
    assert_true(exposes("\nrgate_limit_refusals_total{limit=\"clients\"} 3\n"));
}

/* ---- threads ---- */

static atomic_size_t inside, passed;

static void *come_and_go(void *arg)
{
    char peer[RG_PEER_SIZE] = "192.0.2.1";
    unsigned retry;

    for (int i = 0; i < ROUNDS; i++) {
        struct rg_seat *seat = NULL;
        peer[8] = (char)('1' + i % 3);
        if (rg_limits_enter(arg, peer, NOON, &seat, &retry) != RG_LIMIT_NONE)
            continue;
        rg_assert(atomic_fetch_add(&inside, 1) < 3);
        atomic_fetch_add(&passed, 1);
        atomic_fetch_sub(&inside, 1);
        rg_limits_leave(arg, &seat);
    }
    return NULL;
}

static void threads_never_pass_a_limit_together(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    begin(THREADS * ROUNDS / 2, 2, 3);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, limits), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(passed > 0 && passed <= THREADS * ROUNDS / 2);
    assert_int_equal(enter(NOON), RG_LIMIT_RATE);
    assert_int_equal(enter(NOON + MINUTE), RG_LIMIT_NONE);
}

int main(void)
{
#define LIMITS_TEST(f) cmocka_unit_test_teardown(f, teardown)
    const struct CMUnitTest tests[] = {
        LIMITS_TEST(a_minute_takes_as_many_as_allowed_and_the_next_one_again),
        LIMITS_TEST(windows_begin_with_the_minutes_of_the_clock),
        LIMITS_TEST(those_who_leave_make_no_room_in_the_minute),
        LIMITS_TEST(a_limit_of_zero_refuses_all),
        LIMITS_TEST(without_a_limit_all_come_in),
        LIMITS_TEST(who_comes_too_fast_is_told_when_the_minute_is_over),
        LIMITS_TEST(a_clock_that_lags_does_not_open_the_minute_again),
        LIMITS_TEST(a_clock_that_was_set_back_begins_a_new_minute),
        LIMITS_TEST(an_address_has_so_many_places),
        LIMITS_TEST(peers_without_address_share_one),
        LIMITS_TEST(there_are_so_many_places_altogether),
        LIMITS_TEST(a_refused_one_counts_against_the_minute_and_takes_no_place),
        LIMITS_TEST(giving_up_no_seat_does_nothing),
        LIMITS_TEST(metrics_count_refusals_by_limit),
        LIMITS_TEST(threads_never_pass_a_limit_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
