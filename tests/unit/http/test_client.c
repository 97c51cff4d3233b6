/*
 * The client against a server of the test's own. Nothing here waits for a time to pass but the one
 * test of a time limit, which waits for that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <semaphore.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "http/client.h"
#include "origin.h"

#define THREADS  4
#define REQUESTS 25 /* of each thread */

static struct origin origin;

/* What became of one request. */
struct outcome {
    sem_t is_there;
    unsigned calls;
    int err, status;
    struct rg_why why;
    struct rg_buf body;
};

static void take(void *arg, const struct rg_http_client_result *result)
{
    struct outcome *outcome = arg;

    outcome->calls++;
    outcome->err = result->err;
    outcome->status = result->status;
    outcome->why = result->why;
    rg_buf_add_str(&outcome->body, result->body);
    sem_post(&outcome->is_there);
}

static void outcome_init(struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    sem_init(&outcome->is_there, 0, 0);
}

static void outcome_done(struct outcome *outcome)
{
    sem_destroy(&outcome->is_there);
    rg_buf_done(&outcome->body);
}

static void await(struct outcome *outcome)
{
    while (sem_wait(&outcome->is_there) < 0)
        ;
}

static struct rg_http_client *client_new(unsigned max_requests, uint64_t timeout_ms)
{
    struct rg_http_client_settings settings = rg_http_client_default_settings;

    settings.max_requests = max_requests;
    settings.timeout_ms = timeout_ms;
    return rg_http_client_new(&settings);
}

/* Sends a request with a client of its own and waits for what becomes of it. */
static struct outcome outcome_of(const struct rg_http_client_request *request)
{
    struct rg_http_client *client = client_new(10, 30000);
    struct outcome outcome;
    struct rg_why why;

    outcome_init(&outcome);
    assert_int_equal(rg_http_client_send(client, request, take, &outcome, &why), 0);
    await(&outcome);
    rg_http_client_free(&client);
    assert_int_equal(outcome.calls, 1);
    return outcome;
}

static struct rg_http_client_request get(void)
{
    return (struct rg_http_client_request){.url = origin.url, .max_body = 100};
}

static int start(void **state)
{
    (void)state;
    origin_start(&origin);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    origin_stop(&origin);
    return 0;
}

/* ---- tests ---- */

static void a_request_gets_status_and_body(void **state)
{
    struct rg_http_client_request request = get();

    (void)state;
    struct outcome outcome = outcome_of(&request);
    assert_int_equal(outcome.err, 0);
    assert_int_equal(outcome.status, 200);
    assert_int_equal(outcome.body.n, 5);
    assert_memory_equal(outcome.body.p, "hello", 5);
    assert_true(origin_last_has(&origin, "GET / HTTP/1.1\r\n"));
    assert_true(origin_last_has(&origin, "\r\nUser-Agent: rgate/"));
    assert_false(origin_last_has(&origin, "uthorization"));
    outcome_done(&outcome);
}

static void a_post_carries_what_it_was_given(void **state)
{
    struct rg_http_client_request request = get();

    (void)state;
    request.is_post = true;
    request.body = RG_STR("{\"a\":1}");
    request.content_type = RG_STR("application/json; charset=utf-8");
    request.authorization = RG_STR("Bearer abc");
    struct outcome outcome = outcome_of(&request);
    assert_int_equal(outcome.status, 200);
    assert_true(origin_last_has(&origin, "POST / HTTP/1.1\r\n"));
    assert_true(origin_last_has(&origin, "content-type: application/json; charset=utf-8\r\n"));
    assert_true(origin_last_has(&origin, "authorization: Bearer abc\r\n"));
    assert_true(origin_last_has(&origin, "\r\n\r\n{\"a\":1}"));
    outcome_done(&outcome);
}

static void a_post_makes_nothing_up(void **state)
{
    struct rg_http_client_request request = get();

    (void)state;
    request.is_post = true;
    struct outcome outcome = outcome_of(&request);
    assert_int_equal(outcome.status, 200);
    assert_true(origin_last_has(&origin, "Content-Length: 0\r\n"));
    assert_false(origin_last_has(&origin, "ontent-type"));
    assert_false(origin_last_has(&origin, "ontent-Type"));
    assert_false(origin_last_has(&origin, "uthorization"));
    assert_false(origin_last_has(&origin, "xpect"));
    outcome_done(&outcome);
}

static void a_redirect_is_an_answer_like_any_other(void **state)
{
    struct rg_http_client_request request = get();
    char location[128];

    (void)state;
    snprintf(location, sizeof(location), "location: %selsewhere\r\n", origin.url);
    origin_answer(&origin, "302 Found", location, RG_STR(""));
    struct outcome outcome = outcome_of(&request);
    assert_int_equal(outcome.err, 0);
    assert_int_equal(outcome.status, 302);
    assert_int_equal(origin_requests(&origin), 1);
    outcome_done(&outcome);
}

static void an_answer_may_be_as_long_as_allowed_but_not_longer(void **state)
{
    struct rg_http_client_request request = get();

    (void)state;
    request.max_body = 5;
    struct outcome outcome = outcome_of(&request);
    assert_int_equal(outcome.err, 0);
    outcome_done(&outcome);
    request.max_body = 4;
    outcome = outcome_of(&request);
    assert_int_equal(outcome.err, RG_EFULL);
    assert_string_equal(outcome.why.text, "the answer is longer than 4 bytes");
    outcome_done(&outcome);
}

static void an_answer_without_a_length_is_limited_too(void **state)
{
    struct rg_http_client_request request = get();
    RG_CLEANUP(rg_buf_done) struct rg_buf body = {0};

    (void)state;
    for (int i = 0; i < 100000; i++)
        rg_buf_add_c(&body, "0123456789");
    pthread_mutex_lock(&origin.lock);
    rg_buf_clear(&origin.answer);
    rg_buf_add_c(&origin.answer, "HTTP/1.1 200 OK\r\n\r\n");
    rg_buf_add_str(&origin.answer, rg_buf_str(&body));
    pthread_mutex_unlock(&origin.lock);
    struct outcome outcome = outcome_of(&request);
    assert_int_equal(outcome.err, RG_EFULL);
    outcome_done(&outcome);
}

static void nobody_there_is_a_failure_with_a_reason(void **state)
{
    struct rg_http_client_request request = get();
    struct origin other;

    (void)state;
    origin_start(&other);
    origin_stop(&other);
    request.url = other.url;
    struct outcome outcome = outcome_of(&request);
    assert_true(outcome.err < 0);
    assert_non_null(strstr(outcome.why.text, "connect"));
    outcome_done(&outcome);
}

static void what_is_no_answer_is_a_failure(void **state)
{
    struct rg_http_client_request request = get();

    (void)state;
    pthread_mutex_lock(&origin.lock);
    rg_buf_clear(&origin.answer);
    rg_buf_add_c(&origin.answer, "SSH-2.0-OpenSSH_9.2\r\n");
    pthread_mutex_unlock(&origin.lock);
    struct outcome outcome = outcome_of(&request);
    assert_true(outcome.err < 0);
    assert_true(outcome.why.text[0] != '\0');
    outcome_done(&outcome);
}

static void a_server_that_never_answers_is_given_up(void **state)
{
    struct rg_http_client_request request = get();

    (void)state;
    origin_hold(&origin);
    request.timeout_ms = 50;
    struct outcome outcome = outcome_of(&request);
    assert_true(outcome.err < 0);
    assert_non_null(strstr(outcome.why.text, "timed out"));
    outcome_done(&outcome);
}

static void a_slow_server_holds_up_nobody_else(void **state)
{
    struct rg_http_client *client = client_new(10, 30000);
    struct rg_http_client_request request = get();
    struct outcome slow, quick;
    struct origin other;

    (void)state;
    outcome_init(&slow);
    outcome_init(&quick);
    origin_start(&other);
    origin_hold(&origin);
    assert_int_equal(rg_http_client_send(client, &request, take, &slow, NULL), 0);
    origin_await(&origin, 1);
    request.url = other.url;
    assert_int_equal(rg_http_client_send(client, &request, take, &quick, NULL), 0);
    await(&quick);
    assert_int_equal(quick.status, 200);
    origin_go_on(&origin);
    await(&slow);
    assert_int_equal(slow.status, 200);
    rg_http_client_free(&client);
    origin_stop(&other);
    outcome_done(&slow);
    outcome_done(&quick);
}

static void too_many_requests_are_refused_without_a_call(void **state)
{
    struct rg_http_client *client = client_new(2, 30000);
    struct rg_http_client_request request = get();
    struct outcome first, second, third;
    struct rg_why why;

    (void)state;
    outcome_init(&first);
    outcome_init(&second);
    outcome_init(&third);
    origin_hold(&origin);
    assert_int_equal(rg_http_client_send(client, &request, take, &first, &why), 0);
    assert_int_equal(rg_http_client_send(client, &request, take, &second, &why), 0);
    assert_int_equal(rg_http_client_send(client, &request, take, &third, &why), RG_EFULL);
    assert_string_equal(why.text, "too many requests are under way");
    origin_await(&origin, 2);
    origin_go_on(&origin);
    await(&first);
    await(&second);
    /* There is room again. */
    assert_int_equal(rg_http_client_send(client, &request, take, &third, &why), 0);
    await(&third);
    rg_http_client_free(&client);
    assert_int_equal(third.calls, 1);
    outcome_done(&first);
    outcome_done(&second);
    outcome_done(&third);
}

static void the_end_tells_everybody_who_waits(void **state)
{
    struct rg_http_client *client = client_new(10, 30000);
    struct rg_http_client_request request = get();
    struct outcome outcomes[3];

    (void)state;
    origin_hold(&origin);
    for (size_t i = 0; i < RG_COUNT_OF(outcomes); i++) {
        outcome_init(&outcomes[i]);
        assert_int_equal(rg_http_client_send(client, &request, take, &outcomes[i], NULL), 0);
    }
    rg_http_client_free(&client);
    assert_null(client);
    for (size_t i = 0; i < RG_COUNT_OF(outcomes); i++) {
        assert_int_equal(outcomes[i].calls, 1);
        assert_int_equal(outcomes[i].err, RG_ECANCELED);
        outcome_done(&outcomes[i]);
    }
}

static void only_http_urls_are_urls(void **state)
{
    static const char *const good[] = {"http://a",         "https://a",
                                       "HTTP://A/",        "http://a:1/b?c#d",
                                       "http://[::1]:80/", "http://user:password@host/"};
    static const char *const bad[] = {
        "",           "a",          "http:",       "http://",
        "http:///b",  "http:/a",    "ftp://a/",    "file:///etc/passwd",
        "gopher://a", "http://a b", "http://a\nb", "http://?a",
        "//a/",       "http://:80/"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(good); i++)
        assert_true(rg_http_client_is_url(rg_str_c(good[i])));
    for (size_t i = 0; i < RG_COUNT_OF(bad); i++)
        assert_false(rg_http_client_is_url(rg_str_c(bad[i])));
    assert_false(rg_http_client_is_url(RG_STR("http://a\0b")));
}

static void what_cannot_be_sent_is_refused_without_a_call(void **state)
{
    struct rg_http_client *client = client_new(10, 30000);
    struct rg_http_client_request request = get();
    struct outcome outcome;
    struct rg_why why;

    (void)state;
    outcome_init(&outcome);
    request.url = "file:///etc/passwd";
    assert_int_equal(rg_http_client_send(client, &request, take, &outcome, &why), RG_EINVAL);
    assert_string_equal(why.text, "not an http or https URL");
    request = get();
    request.authorization = RG_STR("Bearer a\r\nx-admin: 1");
    assert_int_equal(rg_http_client_send(client, &request, take, &outcome, &why), RG_EINVAL);
    request = get();
    request.is_post = true;
    request.content_type = RG_STR("text/plain\n");
    assert_int_equal(rg_http_client_send(client, &request, take, &outcome, &why), RG_EINVAL);
    rg_http_client_free(&client);
    assert_int_equal(outcome.calls, 0);
    assert_int_equal(origin_requests(&origin), 0);
    outcome_done(&outcome);
}

static void note_tick(void *arg)
{
    sem_post(arg);
}

static void the_tick_comes_again_and_again(void **state)
{
    struct rg_http_client *client = client_new(10, 30000);
    sem_t ticks;

    (void)state;
    sem_init(&ticks, 0, 0);
    rg_http_client_set_tick(client, 1, note_tick, &ticks);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sem_wait(&ticks), 0);
    rg_http_client_free(&client);
    sem_destroy(&ticks);
}

/* ---- several threads ---- */

static struct rg_http_client *shared;
static atomic_uint answers;
static sem_t all_are_there;

static void count(void *arg, const struct rg_http_client_result *result)
{
    (void)arg;
    if (result->err == 0 && result->status == 200 &&
        atomic_fetch_add(&answers, 1) + 1 == THREADS * REQUESTS)
        sem_post(&all_are_there);
}

static void *send_many(void *arg)
{
    struct rg_http_client_request request = get();

    (void)arg;
    for (int i = 0; i < REQUESTS; i++)
        rg_assert(rg_http_client_send(shared, &request, count, NULL, NULL) == 0);
    return NULL;
}

static void threads_may_send_at_the_same_time(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    shared = client_new(THREADS * REQUESTS, 30000);
    sem_init(&all_are_there, 0, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(sem_wait(&all_are_there), 0);
    rg_http_client_free(&shared);
    assert_int_equal(origin_requests(&origin), THREADS * REQUESTS);
    sem_destroy(&all_are_there);
}

#define WITH_ORIGIN(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ORIGIN(a_request_gets_status_and_body),
        WITH_ORIGIN(a_post_carries_what_it_was_given),
        WITH_ORIGIN(a_post_makes_nothing_up),
        WITH_ORIGIN(a_redirect_is_an_answer_like_any_other),
        WITH_ORIGIN(an_answer_may_be_as_long_as_allowed_but_not_longer),
        WITH_ORIGIN(an_answer_without_a_length_is_limited_too),
        WITH_ORIGIN(nobody_there_is_a_failure_with_a_reason),
        WITH_ORIGIN(what_is_no_answer_is_a_failure),
        WITH_ORIGIN(a_server_that_never_answers_is_given_up),
        WITH_ORIGIN(a_slow_server_holds_up_nobody_else),
        WITH_ORIGIN(too_many_requests_are_refused_without_a_call),
        WITH_ORIGIN(the_end_tells_everybody_who_waits),
        cmocka_unit_test(only_http_urls_are_urls),
        WITH_ORIGIN(what_cannot_be_sent_is_refused_without_a_call),
        cmocka_unit_test(the_tick_comes_again_and_again),
        WITH_ORIGIN(threads_may_send_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
