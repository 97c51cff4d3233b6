#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rcu.h"
#include "push/token.h"

/* A push side of three reactors; there are no hubs behind them, only their number counts. */
static struct rg_push *push_with(struct rg_str secret)
{
    const struct rg_push_settings settings = {.secret = secret};
    struct rg_push *push = rg_push_new(&settings, NULL);

    push->hubs_n = 3;
    return push;
}

static const struct rg_client_handle handle = {2, 0xfffffffe, 0x80000001};

static void a_token_names_the_client_it_was_made_for(void **state)
{
    struct rg_push *push = push_with(RG_STR("secret"));
    struct rg_client_handle got = {0};
    struct rg_buf token = {0};

    (void)state;
    rg_token_add(push, handle, &token);
    assert_int_equal(rg_token_read(push, rg_buf_str(&token), &got), 0);
    assert_memory_equal(&got, &handle, sizeof(got));
    rg_buf_done(&token);
    rg_push_free(&push);
}

static void a_token_goes_into_a_url_and_json_as_it_is(void **state)
{
    struct rg_push *push = push_with(RG_STR(""));
    struct rg_buf token = {0};

    (void)state;
    rg_token_add(push, handle, &token);
    rg_buf_add_char(&token, '\0');
    assert_int_equal(strspn(token.p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-_."),
                     token.n - 1);
    rg_buf_done(&token);
    rg_push_free(&push);
}

static void every_changed_byte_makes_it_no_token(void **state)
{
    struct rg_push *push = push_with(RG_STR("secret"));
    struct rg_client_handle got = {7, 7, 7}, untouched = {7, 7, 7};
    struct rg_buf token = {0};

    (void)state;
    rg_token_add(push, handle, &token);
    for (size_t i = 0; i < token.n; i++) {
        char was = token.p[i];
        token.p[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(rg_token_read(push, rg_buf_str(&token), &got), RG_EINVAL);
        token.p[i] = was;
    }
    for (size_t n = 0; n < token.n; n++)
        assert_int_equal(rg_token_read(push, rg_str_n(token.p, n), &got), RG_EINVAL);
    rg_buf_add_char(&token, 'A');
    assert_int_equal(rg_token_read(push, rg_buf_str(&token), &got), RG_EINVAL);
    assert_memory_equal(&got, &untouched, sizeof(got));
    rg_buf_done(&token);
    rg_push_free(&push);
}

static void a_token_of_an_earlier_run_is_gone(void **state)
{
    struct rg_push *before = push_with(RG_STR("secret"));
    struct rg_push *after = push_with(RG_STR("secret"));
    struct rg_client_handle got;
    struct rg_buf token = {0};

    (void)state;
    rg_token_add(before, handle, &token);
    assert_int_equal(rg_token_read(after, rg_buf_str(&token), &got), RG_EGONE);
    rg_buf_done(&token);
    rg_push_free(&before);
    rg_push_free(&after);
}

static void a_token_of_another_secret_is_no_token(void **state)
{
    struct rg_push *ours = push_with(RG_STR("secret"));
    struct rg_push *others = push_with(RG_STR("other"));
    struct rg_push *random = push_with(RG_STR(""));
    struct rg_client_handle got;
    struct rg_buf token = {0};

    (void)state;
    rg_token_add(ours, handle, &token);
    assert_int_equal(rg_token_read(others, rg_buf_str(&token), &got), RG_EINVAL);
    assert_int_equal(rg_token_read(random, rg_buf_str(&token), &got), RG_EINVAL);
    rg_buf_done(&token);
    rg_push_free(&ours);
    rg_push_free(&others);
    rg_push_free(&random);
}

static void a_token_of_a_reactor_that_does_not_exist_is_gone(void **state)
{
    struct rg_push *push = push_with(RG_STR("secret"));
    struct rg_client_handle got;
    struct rg_buf token = {0};

    (void)state;
    rg_token_add(push, handle, &token);
    push->hubs_n = 2;
    assert_int_equal(rg_token_read(push, rg_buf_str(&token), &got), RG_EGONE);
    rg_buf_done(&token);
    rg_push_free(&push);
}

static void a_poll_id_is_no_token_and_a_token_no_poll_id(void **state)
{
    struct rg_push *push = push_with(RG_STR("secret")), *later = push_with(RG_STR("secret"));
    struct rg_client_handle got = {0};
    struct rg_buf token = {0}, id = {0};

    (void)state;
    rg_token_add(push, handle, &token);
    rg_token_add_poll_id(push, handle, &id);
    assert_int_equal(rg_token_read(push, rg_buf_str(&id), &got), RG_EINVAL);
    assert_int_equal(rg_token_read_poll_id(push, rg_buf_str(&token), &got), RG_EINVAL);
    assert_int_equal(rg_token_read_poll_id(later, rg_buf_str(&id), &got), RG_EGONE);
    assert_int_equal(rg_token_read_poll_id(push, rg_buf_str(&id), &got), 0);
    assert_memory_equal(&got, &handle, sizeof(got));
    rg_buf_done(&token);
    rg_buf_done(&id);
    rg_push_free(&push);
    rg_push_free(&later);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_names_the_client_it_was_made_for),
        cmocka_unit_test(a_token_goes_into_a_url_and_json_as_it_is),
        cmocka_unit_test(every_changed_byte_makes_it_no_token),
        cmocka_unit_test(a_token_of_an_earlier_run_is_gone),
        cmocka_unit_test(a_token_of_another_secret_is_no_token),
        cmocka_unit_test(a_poll_id_is_no_token_and_a_token_no_poll_id),
        cmocka_unit_test(a_token_of_a_reactor_that_does_not_exist_is_gone),
    };

    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
