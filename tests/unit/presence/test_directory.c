#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/alloc.h"
#include "presence/directory.h"

#define SESSIONS 1000
#define THREADS  4

#define ANY ((struct rg_str){NULL, 0})

/* The last session shown, as text that stays. */
struct shown {
    char session[32], user[32];
    size_t connections;
    int64_t since_ms;
    uint64_t cursor;
    unsigned n;
    unsigned seen[SESSIONS]; /* by the number that is the session's name */
};

static void show(void *arg, const struct rg_directory_session *session)
{
    struct shown *shown = arg;
    uint64_t number;

    snprintf(shown->session, sizeof(shown->session), "%.*s", RG_STR_ARG(session->session));
    snprintf(shown->user, sizeof(shown->user), "%.*s", RG_STR_ARG(session->user));
    shown->connections = session->connections;
    shown->since_ms = session->since_ms;
    assert_true(shown->n == 0 || session->cursor > shown->cursor);
    shown->cursor = session->cursor;
    shown->n++;
    if (rg_str_to_u64(session->session, SESSIONS - 1, &number) == 0)
        shown->seen[number]++;
}

static struct rg_str name(char out[32], const char *prefix, unsigned i)
{
    return rg_str_n(out, (size_t)snprintf(out, 32, "%s%u", prefix, i));
}

static void a_session_is_there_while_it_has_connections(void **state)
{
    RG_CLEANUP(rg_directory_free) struct rg_directory *directory = rg_directory_new();
    struct shown shown = {.n = 0};

    (void)state;
    assert_false(rg_directory_find(directory, RG_STR("s"), show, &shown));
    rg_directory_enter(directory, RG_STR("s"), RG_STR("ada"), 1000);
    rg_directory_enter(directory, RG_STR("s"), RG_STR("ada"), 2000);
    assert_true(rg_directory_find(directory, RG_STR("s"), show, &shown));
    assert_string_equal(shown.session, "s");
    assert_string_equal(shown.user, "ada");
    assert_int_equal(shown.connections, 2);
    assert_int_equal(shown.since_ms, 1000);
    rg_directory_leave(directory, RG_STR("s"));
    assert_int_equal(rg_directory_count(directory, ANY), 1);
    rg_directory_leave(directory, RG_STR("s"));
    assert_int_equal(rg_directory_count(directory, ANY), 0);
    assert_int_equal(rg_directory_count(directory, RG_STR("ada")), 0);
    assert_false(rg_directory_find(directory, RG_STR("s"), show, &shown));
    assert_int_equal(shown.n, 1);
}

static void a_user_counts_where_none_was_known(void **state)
{
    RG_CLEANUP(rg_directory_free) struct rg_directory *directory = rg_directory_new();
    struct shown shown = {.n = 0};

    (void)state;
    rg_directory_enter(directory, RG_STR("s"), ANY, 1000);
    assert_true(rg_directory_find(directory, RG_STR("s"), show, &shown));
    assert_string_equal(shown.user, "");
    rg_directory_enter(directory, RG_STR("s"), RG_STR("ada"), 2000);
    rg_directory_enter(directory, RG_STR("s"), RG_STR("bob"), 3000);
    shown.n = 0;
    assert_true(rg_directory_find(directory, RG_STR("s"), show, &shown));
    assert_string_equal(shown.user, "ada");
    assert_int_equal(shown.since_ms, 1000);
    assert_int_equal(rg_directory_count(directory, RG_STR("ada")), 1);
    assert_int_equal(rg_directory_count(directory, RG_STR("bob")), 0);
}

static void sessions_are_counted_by_user(void **state)
{
    RG_CLEANUP(rg_directory_free) struct rg_directory *directory = rg_directory_new();

    (void)state;
    rg_directory_enter(directory, RG_STR("a1"), RG_STR("ada"), 0);
    rg_directory_enter(directory, RG_STR("a2"), RG_STR("ada"), 0);
    rg_directory_enter(directory, RG_STR("b"), RG_STR("bob"), 0);
    rg_directory_enter(directory, RG_STR("x"), ANY, 0);
    assert_int_equal(rg_directory_count(directory, ANY), 4);
    assert_int_equal(rg_directory_count(directory, RG_STR("ada")), 2);
    assert_int_equal(rg_directory_count(directory, RG_STR("bob")), 1);
    rg_directory_leave(directory, RG_STR("a1"));
    assert_int_equal(rg_directory_count(directory, RG_STR("ada")), 1);
}

static void pages_show_each_session_once_while_others_come_and_go(void **state)
{
    RG_CLEANUP(rg_directory_free) struct rg_directory *directory = rg_directory_new();
    static struct shown shown;
    unsigned pages = 0;
    char text[32];

    (void)state;
    for (unsigned i = 0; i < SESSIONS; i++)
        rg_directory_enter(directory, name(text, "", i), ANY, i);
    while (rg_directory_list(directory, ANY, shown.cursor, 7, show, &shown) >= 7) {
        for (unsigned i = 0; i < 50; i++) {
            if (pages % 2 == 0)
                rg_directory_enter(directory, name(text, "other ", pages / 2 * 50 + i), ANY, 0);
            else if (i % 2 == 0)
                rg_directory_leave(directory, name(text, "other ", pages / 2 * 50 + i));
        }
        pages++;
    }
    for (unsigned i = 0; i < SESSIONS; i++)
        assert_int_equal(shown.seen[i], 1);
    assert_int_equal(rg_directory_list(directory, ANY, UINT64_MAX, 7, show, &shown), 0);
}

static void pages_of_a_user_show_the_sessions_of_this_user(void **state)
{
    RG_CLEANUP(rg_directory_free) struct rg_directory *directory = rg_directory_new();
    static struct shown shown;
    char text[32];

    (void)state;
    for (unsigned i = 0; i < SESSIONS; i++)
        rg_directory_enter(directory, name(text, "", i), i % 3 == 0 ? RG_STR("ada") : ANY, i);
    while (rg_directory_list(directory, RG_STR("ada"), shown.cursor, 10, show, &shown) >= 10)
        assert_string_equal(shown.user, "ada");
    for (unsigned i = 0; i < SESSIONS; i++)
        assert_int_equal(shown.seen[i], i % 3 == 0);
    assert_int_equal(rg_directory_list(directory, RG_STR("bob"), 0, 10, show, &shown), 0);
}

static void *come_and_go(void *arg)
{
    struct rg_directory *directory = arg;
    char text[32];

    for (unsigned i = 0; i < 3000; i++) {
        rg_directory_enter(directory, name(text, "", i % 10), RG_STR("ada"), 0);
        rg_directory_count(directory, RG_STR("ada"));
        rg_directory_leave(directory, name(text, "", i % 10));
    }
    return NULL;
}

static void threads_may_enter_and_leave_at_the_same_time(void **state)
{
    RG_CLEANUP(rg_directory_free) struct rg_directory *directory = rg_directory_new();
    pthread_t threads[THREADS];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, directory), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(rg_directory_count(directory, ANY), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_there_while_it_has_connections),
        cmocka_unit_test(a_user_counts_where_none_was_known),
        cmocka_unit_test(sessions_are_counted_by_user),
        cmocka_unit_test(pages_show_each_session_once_while_others_come_and_go),
        cmocka_unit_test(pages_of_a_user_show_the_sessions_of_this_user),
        cmocka_unit_test(threads_may_enter_and_leave_at_the_same_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
