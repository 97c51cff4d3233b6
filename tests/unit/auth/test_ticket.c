#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "auth/ticket.h"
#include "base/alloc.h"

#define LIFETIME 30000
#define THREADS  4
#define ROUNDS   500

static const struct rg_str token = {"ey.claims.signature", 19};

static int redeem(struct rg_tickets *tickets, const char *ticket, uint64_t now_ms)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf got = {0};
    int err = rg_tickets_redeem(tickets, rg_str_c(ticket), now_ms, &got);

    assert_true(rg_str_eq(rg_buf_str(&got), err == 0 ? token : RG_STR("")));
    return err;
}

static bool exposes(const struct rg_tickets *tickets, const char *line)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};

    rg_tickets_expose(tickets, &out);
    rg_buf_add_char(&out, '\0');
    return strstr(out.p, line) != NULL;
}

static void a_ticket_works_once(void **state)
{
    RG_CLEANUP(rg_tickets_free) struct rg_tickets *tickets = rg_tickets_new(LIFETIME, 10);
    char ticket[RG_TICKET_LEN + 1];

    (void)state;
    assert_int_equal(rg_tickets_issue(tickets, token, 1000, ticket), 0);
    assert_int_equal(strlen(ticket), RG_TICKET_LEN);
    assert_int_equal(strspn(ticket, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                    "0123456789-_"),
                     RG_TICKET_LEN);
    assert_int_equal(redeem(tickets, ticket, 1001), 0);
    assert_int_equal(redeem(tickets, ticket, 1001), RG_EDENIED);
}

static void a_ticket_is_good_for_its_lifetime_and_no_longer(void **state)
{
    RG_CLEANUP(rg_tickets_free) struct rg_tickets *tickets = rg_tickets_new(LIFETIME, 10);
    char first[RG_TICKET_LEN + 1], second[RG_TICKET_LEN + 1];

    (void)state;
    assert_int_equal(rg_tickets_issue(tickets, token, 1000, first), 0);
    assert_int_equal(rg_tickets_issue(tickets, token, 1000, second), 0);
    assert_int_equal(redeem(tickets, first, 1000 + LIFETIME - 1), 0);
    assert_int_equal(redeem(tickets, second, 1000 + LIFETIME), RG_EDENIED);
}

static void a_ticket_from_a_clock_ahead_hides_no_old_one(void **state)
{
    RG_CLEANUP(rg_tickets_free) struct rg_tickets *tickets = rg_tickets_new(LIFETIME, 10);
    char ahead[RG_TICKET_LEN + 1], behind[RG_TICKET_LEN + 1];

    (void)state;
    assert_int_equal(rg_tickets_issue(tickets, token, 1010, ahead), 0);
    assert_int_equal(rg_tickets_issue(tickets, token, 1000, behind), 0);
    assert_int_equal(redeem(tickets, behind, 1005 + LIFETIME), RG_EDENIED);
    assert_int_equal(redeem(tickets, ahead, 1005 + LIFETIME), 0);
}

static void what_was_never_issued_is_refused(void **state)
{
    RG_CLEANUP(rg_tickets_free) struct rg_tickets *tickets = rg_tickets_new(LIFETIME, 10);
    char ticket[RG_TICKET_LEN + 1], other[RG_TICKET_LEN + 2];

    (void)state;
    assert_int_equal(redeem(tickets, "", 1000), RG_EDENIED);
    assert_int_equal(rg_tickets_issue(tickets, token, 1000, ticket), 0);
    for (size_t i = 0; i < RG_TICKET_LEN; i++) {
        strcpy(other, ticket);
        other[i] = ticket[i] == 'A' ? 'B' : 'A';
        assert_int_equal(redeem(tickets, other, 1000), RG_EDENIED);
    }
    snprintf(other, sizeof(other), "%sA", ticket);
    assert_int_equal(redeem(tickets, other, 1000), RG_EDENIED);
    other[RG_TICKET_LEN - 1] = '\0';
    assert_int_equal(redeem(tickets, other, 1000), RG_EDENIED);
    assert_int_equal(redeem(tickets, ticket, 1000), 0);
}

static void too_many_outstanding_are_refused_until_some_are_gone(void **state)
{
    RG_CLEANUP(rg_tickets_free) struct rg_tickets *tickets = rg_tickets_new(LIFETIME, 2);
    char first[RG_TICKET_LEN + 1], other[RG_TICKET_LEN + 1] = "kept";

    (void)state;
    assert_int_equal(rg_tickets_issue(tickets, token, 1000, first), 0);
    assert_int_equal(rg_tickets_issue(tickets, token, 2000, other), 0);
    strcpy(other, "kept");
    assert_int_equal(rg_tickets_issue(tickets, token, 2000, other), RG_EFULL);
    assert_string_equal(other, "kept");
    assert_int_equal(redeem(tickets, first, 2000), 0);
    assert_int_equal(rg_tickets_issue(tickets, token, 3000, other), 0);
    assert_int_equal(rg_tickets_issue(tickets, token, 2000 + LIFETIME, other), 0);
}

static void the_tokens_of_all_tickets_have_a_limit(void **state)
{
    RG_CLEANUP(rg_tickets_free) struct rg_tickets *tickets = rg_tickets_new(LIFETIME, 10);
    RG_CLEANUP(rg_buf_done) struct rg_buf half = {0}, got = {0};
    char first[RG_TICKET_LEN + 1], other[RG_TICKET_LEN + 1];

    (void)state;
    memset(rg_buf_reserve(&half, RG_TICKETS_MAX_BYTES / 2), 'x', RG_TICKETS_MAX_BYTES / 2);
    half.n = RG_TICKETS_MAX_BYTES / 2;
    assert_int_equal(rg_tickets_issue(tickets, rg_buf_str(&half), 1000, first), 0);
    assert_int_equal(rg_tickets_issue(tickets, rg_buf_str(&half), 1000, other), 0);
    assert_int_equal(rg_tickets_issue(tickets, token, 1000, other), RG_EFULL);
    assert_int_equal(rg_tickets_redeem(tickets, rg_str_c(first), 1000, &got), 0);
    assert_int_equal(got.n, half.n);
    assert_int_equal(rg_tickets_issue(tickets, token, 1000, other), 0);
}

static void metrics_count_what_became_of_tickets(void **state)
{
    RG_CLEANUP(rg_tickets_free) struct rg_tickets *tickets = rg_tickets_new(LIFETIME, 3);
    char ticket[RG_TICKET_LEN + 1];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(rg_tickets_issue(tickets, token, 1000, ticket), 0);
    redeem(tickets, ticket, 1000);
    redeem(tickets, ticket, 1000);
    redeem(tickets, "nonsense", 1000);
    assert_true(exposes(tickets, "\nrgate_tickets_total{outcome=\"issued\"} 3\n"));
    assert_true(exposes(tickets, "\nrgate_tickets_total{outcome=\"redeemed\"} 1\n"));
    assert_true(exposes(tickets, "\nrgate_tickets_total{outcome=\"refused\"} 2\n"));
}

static void *issue_and_redeem(void *arg)
{
    struct rg_tickets *tickets = arg;
    char ticket[RG_TICKET_LEN + 1];
    struct rg_buf got = {0};

    for (uint64_t i = 0; i < ROUNDS; i++) {
        rg_assert(rg_tickets_issue(tickets, token, i, ticket) == 0);
        if (i % 3 == 0)
            continue;
        rg_assert(rg_tickets_redeem(tickets, rg_str_c(ticket), i, &got) == 0);
        rg_assert(rg_str_eq(rg_buf_str(&got), token));
        rg_buf_clear(&got);
    }
    rg_buf_done(&got);
    return NULL;
}

static void threads_issue_and_redeem_at_the_same_time(void **state)
{
    RG_CLEANUP(rg_tickets_free) struct rg_tickets *tickets = rg_tickets_new(LIFETIME, 10000);
    pthread_t threads[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, issue_and_redeem, tickets), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(exposes(tickets, "{outcome=\"issued\"} 2000\n"));
    assert_true(exposes(tickets, "{outcome=\"redeemed\"} 1332\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_works_once),
        cmocka_unit_test(a_ticket_is_good_for_its_lifetime_and_no_longer),
        cmocka_unit_test(a_ticket_from_a_clock_ahead_hides_no_old_one),
        cmocka_unit_test(what_was_never_issued_is_refused),
        cmocka_unit_test(too_many_outstanding_are_refused_until_some_are_gone),
        cmocka_unit_test(the_tokens_of_all_tickets_have_a_limit),
        cmocka_unit_test(metrics_count_what_became_of_tickets),
        cmocka_unit_test(threads_issue_and_redeem_at_the_same_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
