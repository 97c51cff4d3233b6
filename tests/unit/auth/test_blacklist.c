#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "auth/blacklist.h"
#include "base/alloc.h"
#include "base/rcu.h"

#define THREADS  4
#define SESSIONS 500

static _Atomic uint64_t now_ms;

static uint64_t read_clock(void)
{
    return atomic_load(&now_ms);
}

static struct rg_blacklist *blacklist_new(size_t max)
{
    atomic_store(&now_ms, 5000);
    return rg_blacklist_new_with(max, read_clock);
}

static void pass(uint64_t ms)
{
    atomic_fetch_add(&now_ms, ms);
}

static struct rg_str name(char out[32], unsigned i)
{
    return rg_str_n(out, (size_t)snprintf(out, 32, "session %u", i));
}

static bool exposes(struct rg_blacklist *blacklist, const char *line)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};

    rg_blacklist_expose(blacklist, &out);
    rg_buf_add_char(&out, '\0');
    return strstr(out.p, line) != NULL;
}

static void only_the_banned_session_is_banned(void **state)
{
    RG_CLEANUP(rg_blacklist_free) struct rg_blacklist *blacklist = blacklist_new(10);

    (void)state;
    assert_false(rg_blacklist_has(blacklist, RG_STR("s1")));
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 60), 0);
    assert_true(rg_blacklist_has(blacklist, RG_STR("s1")));
    assert_false(rg_blacklist_has(blacklist, RG_STR("s")));
    assert_false(rg_blacklist_has(blacklist, RG_STR("s12")));
    assert_false(rg_blacklist_has(blacklist, RG_STR("S1")));
    assert_false(rg_blacklist_has(blacklist, RG_STR("s1\0")));
}

static void a_ban_lasts_as_long_as_asked_for_and_not_a_second_more(void **state)
{
    RG_CLEANUP(rg_blacklist_free) struct rg_blacklist *blacklist = blacklist_new(10);

    (void)state;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 2), 0);
    pass(2000);
    assert_true(rg_blacklist_has(blacklist, RG_STR("s1")));
    pass(999);
    assert_false(rg_blacklist_has(blacklist, RG_STR("s1")));
}

static void the_longest_ban_does_not_end(void **state)
{
    RG_CLEANUP(rg_blacklist_free) struct rg_blacklist *blacklist = blacklist_new(10);

    (void)state;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), RG_BLACKLIST_MAX_SECONDS), 0);
    pass((RG_BLACKLIST_MAX_SECONDS - 1) * 1000);
    assert_true(rg_blacklist_has(blacklist, RG_STR("s1")));
}

static void banning_again_prolongs_and_never_shortens(void **state)
{
    RG_CLEANUP(rg_blacklist_free) struct rg_blacklist *blacklist = blacklist_new(10);

    (void)state;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 2), 0);
    pass(1000);
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 60), 0);
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 1), 0);
    assert_int_equal(rg_blacklist_count(blacklist), 1);
    pass(59000);
    assert_true(rg_blacklist_has(blacklist, RG_STR("s1")));
    pass(2000);
    assert_false(rg_blacklist_has(blacklist, RG_STR("s1")));
}

static void a_session_can_be_banned_again_after_its_time(void **state)
{
    RG_CLEANUP(rg_blacklist_free) struct rg_blacklist *blacklist = blacklist_new(10);

    (void)state;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 1), 0);
    pass(5000);
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 1), 0);
    assert_true(rg_blacklist_has(blacklist, RG_STR("s1")));
    assert_int_equal(rg_blacklist_count(blacklist), 1);
}

/* Times that are neither in order nor in reverse, each prolonged once or not at all. */
static void entries_leave_in_the_order_of_their_ends(void **state)
{
    RG_CLEANUP(rg_blacklist_free) struct rg_blacklist *blacklist = blacklist_new(SESSIONS);
    unsigned end_s[SESSIONS];
    char text[32];

    (void)state;
    for (unsigned i = 0; i < SESSIONS; i++) {
        end_s[i] = 1 + i * 7919 % 100;
        assert_int_equal(rg_blacklist_add(blacklist, name(text, i), end_s[i]), 0);
    }
    for (unsigned i = 0; i < SESSIONS; i += 3) {
        end_s[i] += i * 31 % 50;
        assert_int_equal(rg_blacklist_add(blacklist, name(text, i), end_s[i]), 0);
    }
    for (unsigned s = 1; s <= 150; s++) {
        size_t left = 0;
        pass(1000);
        for (unsigned i = 0; i < SESSIONS; i++) {
            assert_int_equal(rg_blacklist_has(blacklist, name(text, i)), s <= end_s[i]);
            left += s <= end_s[i];
        }
        assert_int_equal(rg_blacklist_count(blacklist), left);
    }
    assert_int_equal(rg_blacklist_count(blacklist), 0);
}

static void a_full_list_refuses_and_keeps_what_it_has(void **state)
{
    RG_CLEANUP(rg_blacklist_free) struct rg_blacklist *blacklist = blacklist_new(2);

    (void)state;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 60), 0);
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s2"), 5), 0);
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s3"), 60), RG_EFULL);
    assert_false(rg_blacklist_has(blacklist, RG_STR("s3")));
    assert_true(rg_blacklist_has(blacklist, RG_STR("s1")));
    /* What is there can be prolonged, and what is over makes room. */
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 90), 0);
    pass(6000);
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s3"), 60), 0);
    assert_true(rg_blacklist_has(blacklist, RG_STR("s3")));
}

struct told {
    struct rg_blacklist *blacklist;
    char names[64];
};

static void note_ban(void *arg, struct rg_str session)
{
    struct told *told = arg;

    /* Whoever is told finds the ban in force. */
    assert_true(rg_blacklist_has(told->blacklist, session));
    strncat(told->names, session.p, session.n);
}

static void every_ban_is_told_and_no_refused_one(void **state)
{
    RG_CLEANUP(rg_blacklist_free) struct rg_blacklist *blacklist = blacklist_new(2);
    struct told told = {blacklist, ""};

    (void)state;
    rg_blacklist_on_ban(blacklist, note_ban, &told);
    rg_blacklist_add(blacklist, RG_STR("a"), 60);
    rg_blacklist_add(blacklist, RG_STR("b"), 60);
    rg_blacklist_add(blacklist, RG_STR("c"), 60);
    rg_blacklist_add(blacklist, RG_STR("a"), 1);
    assert_string_equal(told.names, "aba");
}

static void metrics_show_bans_ever_and_entries_in_force(void **state)
{
    RG_CLEANUP(rg_blacklist_free) struct rg_blacklist *blacklist = blacklist_new(10);

    (void)state;
    rg_blacklist_add(blacklist, RG_STR("a"), 1);
    rg_blacklist_add(blacklist, RG_STR("b"), 60);
    pass(2000);
    assert_true(exposes(blacklist,
                        "\nrig_distributed_set_items_total{name=\"Elixir.SessionBlacklist\"} 2\n"));
    assert_true(exposes(
        blacklist, "\nrig_distributed_set_items_current{name=\"Elixir.SessionBlacklist\"} 1\n"));
}

/* ---- threads ---- */

static void *add_and_ask(void *arg)
{
    struct rg_blacklist *blacklist = arg;
    char text[32];

    rg_rcu_thread_start();
    for (unsigned i = 0; i < SESSIONS; i++) {
        rg_assert(rg_blacklist_add(blacklist, name(text, i), 60) == 0);
        rg_assert(rg_blacklist_has(blacklist, name(text, i)));
        rg_assert(!rg_blacklist_has(blacklist, name(text, SESSIONS + i)));
        /* Entries of before end under the eyes of the others. */
        rg_assert(rg_blacklist_add(blacklist, name(text, 2 * SESSIONS + i), 1) == 0);
        pass(2);
    }
    rg_rcu_thread_stop();
    return NULL;
}

static void threads_ban_and_ask_at_the_same_time(void **state)
{
    RG_CLEANUP(rg_blacklist_free) struct rg_blacklist *blacklist = blacklist_new(3 * SESSIONS);
    pthread_t threads[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_and_ask, blacklist), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pass(1001);
    assert_int_equal(rg_blacklist_count(blacklist), SESSIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_banned_session_is_banned),
        cmocka_unit_test(a_ban_lasts_as_long_as_asked_for_and_not_a_second_more),
        cmocka_unit_test(the_longest_ban_does_not_end),
        cmocka_unit_test(banning_again_prolongs_and_never_shortens),
        cmocka_unit_test(a_session_can_be_banned_again_after_its_time),
        cmocka_unit_test(entries_leave_in_the_order_of_their_ends),
        cmocka_unit_test(a_full_list_refuses_and_keeps_what_it_has),
        cmocka_unit_test(every_ban_is_told_and_no_refused_one),
        cmocka_unit_test(metrics_show_bans_ever_and_entries_in_force),
        cmocka_unit_test(threads_ban_and_ask_at_the_same_time),
    };

    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
