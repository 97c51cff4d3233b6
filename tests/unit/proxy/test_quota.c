#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "proxy/quota.h"

#define PLACE RG_STR("shop/list")

static const struct rg_rate ten_a_second = {.requests = 10, .period_ms = 1000, .burst = 3};

static struct rg_quota_state take(struct rg_quota *quota, const struct rg_rate *rate,
                                  const char *who, uint64_t now_ms)
{
    struct rg_quota_state state;

    rg_quota_take(quota, rate, PLACE, rg_str_c(who), now_ms, &state);
    return state;
}

static bool allows(struct rg_quota *quota, const struct rg_rate *rate, const char *who,
                   uint64_t now_ms)
{
    return take(quota, rate, who, now_ms).is_allowed;
}

/* How many come through at once. */
static size_t drain(struct rg_quota *quota, const struct rg_rate *rate, const char *who,
                    uint64_t now_ms)
{
    size_t n = 0;

    while (n < 1000 && allows(quota, rate, who, now_ms))
        n++;
    return n;
}

static void a_burst_comes_through_and_then_the_rate(void **state)
{
    struct rg_quota *quota = rg_quota_new(10);

    (void)state;
    assert_int_equal(drain(quota, &ten_a_second, "1.2.3.4", 5000), 3);
    assert_false(allows(quota, &ten_a_second, "1.2.3.4", 5099));
    assert_true(allows(quota, &ten_a_second, "1.2.3.4", 5100));
    assert_false(allows(quota, &ten_a_second, "1.2.3.4", 5199));
    assert_int_equal(drain(quota, &ten_a_second, "1.2.3.4", 5400), 3);
    assert_int_equal(drain(quota, &ten_a_second, "1.2.3.4", 1000000), 3);
    rg_quota_free(&quota);
    rg_quota_free(&quota);
}

static void what_is_left_is_told(void **state)
{
    const struct rg_rate rate = {.requests = 1, .period_ms = 2500, .burst = 2};
    struct rg_quota *quota = rg_quota_new(10);

    (void)state;
    struct rg_quota_state got = take(quota, &rate, "a", 0);
    assert_true(got.is_allowed);
    assert_int_equal(got.remaining, 1);
    assert_int_equal(got.reset_s, 3);
    assert_int_equal(got.retry_after_s, 0);
    got = take(quota, &rate, "a", 0);
    assert_true(got.is_allowed);
    assert_int_equal(got.remaining, 0);
    assert_int_equal(got.reset_s, 5);
    got = take(quota, &rate, "a", 100);
    assert_false(got.is_allowed);
    assert_int_equal(got.remaining, 0);
    assert_int_equal(got.reset_s, 5);
    assert_int_equal(got.retry_after_s, 3);
    got = take(quota, &rate, "a", 2499);
    assert_false(got.is_allowed);
    assert_int_equal(got.retry_after_s, 1);
    assert_int_equal(got.reset_s, 3);
    assert_true(allows(quota, &rate, "a", 2500));
    rg_quota_free(&quota);
}

static void rates_above_one_a_millisecond_are_exact(void **state)
{
    const struct rg_rate rate = {.requests = 7000, .period_ms = 3000, .burst = 1};
    struct rg_quota *quota = rg_quota_new(10);
    size_t n = 0;

    (void)state;
    /* One at once, whenever one is paid back: 7 in 3 ms at most, and at 1 a call. */
    for (uint64_t now = 0; now < 3000; now++)
        n += drain(quota, &rate, "a", now);
    assert_int_equal(n, 3000);
    const struct rg_rate slow = {.requests = 3, .period_ms = 7, .burst = 1};
    n = 0;
    for (uint64_t now = 0; now < 7000; now++)
        n += drain(quota, &slow, "a", now);
    /* Whole milliseconds: each third of 7 ms is waited for until the next. */
    assert_int_equal(n, 2334);
    const struct rg_rate buffered = {.requests = 3, .period_ms = 7, .burst = 2};
    n = 0;
    for (uint64_t now = 0; now < 7000; now++)
        n += drain(quota, &buffered, "a", now);
    assert_int_equal(n, 3000 + 1);
    rg_quota_free(&quota);
}

static void buckets_are_by_place_and_who_and_rate(void **state)
{
    struct rg_rate other = ten_a_second;
    struct rg_quota *quota = rg_quota_new(10);
    struct rg_quota_state got;

    (void)state;
    assert_int_equal(drain(quota, &ten_a_second, "1.2.3.4", 0), 3);
    assert_int_equal(drain(quota, &ten_a_second, "1.2.3.5", 0), 3);
    rg_quota_take(quota, &ten_a_second, RG_STR("shop/lis"), RG_STR("t1.2.3.4"), 0, &got);
    assert_true(got.is_allowed);
    other.burst = 2;
    assert_int_equal(drain(quota, &other, "1.2.3.4", 0), 2);
    other.burst = 3;
    other.by_session = true;
    assert_int_equal(drain(quota, &other, "1.2.3.4", 0), 3);
    assert_int_equal(drain(quota, &ten_a_second, "1.2.3.4", 0), 0);
    assert_int_equal(drain(quota, &other, "", 0), 3);
    assert_int_equal(drain(quota, &ten_a_second, "", 0), 3);
    rg_quota_free(&quota);
}

static void addresses_of_ipv6_count_by_network(void **state)
{
    struct rg_rate by_session = ten_a_second;
    struct rg_quota *quota = rg_quota_new(100);

    (void)state;
    by_session.by_session = true;
    assert_int_equal(drain(quota, &ten_a_second, "2001:db8:1:2::1", 0), 3);
    assert_int_equal(drain(quota, &ten_a_second, "2001:db8:1:2:ffff:1:2:3", 0), 0);
    assert_int_equal(drain(quota, &ten_a_second, "2001:DB8:1:2::9%eth0", 0), 0);
    assert_int_equal(drain(quota, &ten_a_second, "2001:db8:1:3::1", 0), 3);
    /* Addresses of IPv4 do not share a network. */
    assert_int_equal(drain(quota, &ten_a_second, "::ffff:1.2.3.4", 0), 3);
    assert_int_equal(drain(quota, &ten_a_second, "::ffff:1.2.3.5", 0), 3);
    assert_int_equal(drain(quota, &ten_a_second, "1.2.3.4", 0), 0);
    assert_int_equal(drain(quota, &ten_a_second, "::ffff:255.255.255.255", 0), 3);
    assert_int_equal(drain(quota, &ten_a_second, "255.255.255.255", 0), 0);
    /* What looks like one and is none. */
    assert_int_equal(drain(quota, &ten_a_second, "2001:db8:1:2:::", 0), 3);
    assert_int_equal(drain(quota, &ten_a_second, "2001:db8:1:2:::x", 0), 3);
    assert_int_equal(drain(quota, &by_session, "2001:db8:1:2::1", 0), 3);
    assert_int_equal(drain(quota, &by_session, "2001:db8:1:2::2", 0), 3);
    rg_quota_free(&quota);
}

static void a_full_table_forgets_who_was_away_longest(void **state)
{
    struct rg_quota *quota = rg_quota_new(2);
    struct rg_buf out = {0};

    (void)state;
    assert_int_equal(drain(quota, &ten_a_second, "a", 0), 3);
    assert_int_equal(drain(quota, &ten_a_second, "b", 0), 3);
    assert_false(allows(quota, &ten_a_second, "a", 0));
    assert_true(allows(quota, &ten_a_second, "c", 0));
    assert_false(allows(quota, &ten_a_second, "a", 0));
    assert_true(allows(quota, &ten_a_second, "b", 0));
    rg_quota_expose(quota, &out);
    rg_buf_add_char(&out, '\0');
    assert_non_null(strstr(out.p, "\nrgate_proxy_quota_buckets 2\n"));
    assert_non_null(strstr(out.p, "\nrgate_proxy_quota_refusals_total 4\n"));
    rg_buf_done(&out);
    rg_quota_free(&quota);
}

static void the_table_stays_as_large_as_it_may_be(void **state)
{
    struct rg_quota *quota = rg_quota_new(5000);
    struct rg_buf out = {0};
    unsigned buckets = 0;
    char who[16];

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(who, sizeof(who), "10.0.%u.%u", i >> 8, i & 255);
        assert_true(allows(quota, &ten_a_second, who, i));
    }
    rg_quota_expose(quota, &out);
    rg_buf_add_char(&out, '\0');
    const char *line = strstr(out.p, "\nrgate_proxy_quota_buckets ");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "\nrgate_proxy_quota_buckets %u", &buckets), 1);
    assert_true(buckets <= 5000 && buckets > 4900);
    rg_buf_done(&out);
    rg_quota_free(&quota);
}

static void no_rate_is_no_limit(void **state)
{
    const struct rg_rate none = {.requests = 0, .period_ms = 1000, .burst = 1};
    const struct rg_rate timeless = {.requests = 1, .period_ms = 0, .burst = 1};
    struct rg_quota *quota = rg_quota_new(1);

    (void)state;
    assert_int_equal(drain(quota, &none, "a", 0), 1000);
    assert_int_equal(drain(quota, &timeless, "a", 0), 1000);
    assert_true(take(quota, &none, "a", 0).remaining == UINT64_MAX);
    rg_quota_free(&quota);
}

static void a_burst_of_none_is_one(void **state)
{
    const struct rg_rate rate = {.requests = 1, .period_ms = 1000};
    struct rg_quota *quota = rg_quota_new(1);

    (void)state;
    assert_int_equal(drain(quota, &rate, "a", 0), 1);
    assert_int_equal(drain(quota, &rate, "a", 1000), 1);
    rg_quota_free(&quota);
}

static void extremes_do_not_overflow(void **state)
{
    const struct rg_rate huge = {UINT64_MAX, UINT64_MAX, UINT64_MAX, false};
    const struct rg_rate rare = {1, UINT64_MAX, UINT64_MAX, false};
    const struct rg_rate once = {1, UINT64_MAX, 1, false};
    const struct rg_rate often = {UINT64_MAX, 1, 1, false};
    struct rg_quota *quota = rg_quota_new(10);

    (void)state;
    struct rg_quota_state got = take(quota, &huge, "a", 0);
    assert_true(got.is_allowed && got.remaining == UINT64_MAX - 1);
    assert_int_equal(got.reset_s, 1);
    got = take(quota, &huge, "a", UINT64_MAX);
    assert_true(got.is_allowed && got.remaining == UINT64_MAX - 1);
    take(quota, &rare, "a", 0);
    got = take(quota, &rare, "a", 0);
    assert_true(got.is_allowed && got.remaining == UINT64_MAX - 2);
    assert_true(got.reset_s == UINT64_MAX / 1000 + 1);
    assert_true(allows(quota, &once, "a", 0));
    got = take(quota, &once, "a", UINT64_MAX - 1);
    assert_false(got.is_allowed);
    assert_int_equal(got.retry_after_s, 1);
    assert_true(allows(quota, &once, "a", UINT64_MAX));
    for (uint64_t now = 0; now < 10; now++)
        assert_int_equal(drain(quota, &often, "a", now), 1);
    rg_quota_free(&quota);
}

static void a_clock_that_is_behind_pays_nothing_twice(void **state)
{
    struct rg_quota *quota = rg_quota_new(10);

    (void)state;
    assert_int_equal(drain(quota, &ten_a_second, "a", 1000), 3);
    assert_false(allows(quota, &ten_a_second, "a", 990));
    assert_false(allows(quota, &ten_a_second, "a", 1090));
    assert_false(allows(quota, &ten_a_second, "a", 1000));
    assert_true(allows(quota, &ten_a_second, "a", 1100));
    rg_quota_free(&quota);
}

struct crowd {
    struct rg_quota *quota;
    atomic_size_t allowed;
};

static void *press_in(void *arg)
{
    struct crowd *crowd = arg;
    const struct rg_rate rate = {.requests = 1, .period_ms = 1000000, .burst = 50};
    char who[16];

    for (unsigned i = 0; i < 4000; i++) {
        snprintf(who, sizeof(who), "10.0.0.%u", i % 40);
        if (allows(crowd->quota, &rate, who, i))
            atomic_fetch_add(&crowd->allowed, 1);
    }
    return NULL;
}

static void threads_share_buckets(void **state)
{
    struct crowd crowd = {.quota = rg_quota_new(RG_QUOTA_MAX_BUCKETS)};
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, press_in, &crowd), 0);
    for (size_t i = 0; i < RG_COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crowd.allowed), 40 * 50);
    rg_quota_free(&crowd.quota);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_comes_through_and_then_the_rate),
        cmocka_unit_test(what_is_left_is_told),
        cmocka_unit_test(rates_above_one_a_millisecond_are_exact),
        cmocka_unit_test(buckets_are_by_place_and_who_and_rate),
        cmocka_unit_test(addresses_of_ipv6_count_by_network),
        cmocka_unit_test(a_full_table_forgets_who_was_away_longest),
        cmocka_unit_test(the_table_stays_as_large_as_it_may_be),
        cmocka_unit_test(no_rate_is_no_limit),
        cmocka_unit_test(a_burst_of_none_is_one),
        cmocka_unit_test(extremes_do_not_overflow),
        cmocka_unit_test(a_clock_that_is_behind_pays_nothing_twice),
        cmocka_unit_test(threads_share_buckets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
