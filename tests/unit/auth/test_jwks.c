/*
 * A key set behind a URL, whose server does what the test says; and one in a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <semaphore.h>
#include <stdatomic.h>

#include "../http/origin.h"
#include "auth/jwks.h"
#include "base/log.h"
#include "http/client.h"

#define HOUR 3600000

/* A set of one key, of RFC 8037 appendix A.2. */
#define SET(kid)                                                                                   \
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"" kid "\","                         \
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"

static struct origin origin;
static struct rg_http_client *http;
static struct rg_jwks *jwks;
static _Atomic uint64_t now_ms;

static uint64_t read_clock(void)
{
    return atomic_load(&now_ms);
}

static void start_client(uint64_t timeout_ms)
{
    struct rg_http_client_settings settings = rg_http_client_default_settings;

    settings.timeout_ms = timeout_ms;
    http = rg_http_client_new(&settings);
}

static int start(void **state)
{
    (void)state;
    origin_start(&origin);
    origin_answer(&origin, "200 OK", "", RG_STR(SET("one")));
    start_client(30000);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rg_http_client_free(&http);
    rg_jwks_free(&jwks);
    origin_stop(&origin);
    return 0;
}

static void fetch_from_origin(uint64_t interval_ms, uint64_t min_interval_ms)
{
    const struct rg_jwks_settings settings = {origin.url, interval_ms, min_interval_ms, http,
                                              read_clock};
    struct rg_why why;

    jwks = rg_jwks_new(&settings, &why);
    assert_non_null(jwks);
}

static void note(void *arg)
{
    sem_post(arg);
}

/* Waits until no refresh is under way. */
static void settle(void)
{
    sem_t is_over;

    sem_init(&is_over, 0, 0);
    assert_int_equal(rg_jwks_wait(jwks, note, &is_over), 0);
    while (sem_wait(&is_over) < 0)
        ;
    sem_destroy(&is_over);
}

static bool ask(void)
{
    return rg_jwks_ask_refresh(jwks, rg_jwks_generation(jwks));
}

static bool has(const char *kid)
{
    struct rg_keyset *set = rg_jwks_get(jwks);
    bool is_there = set != NULL && rg_keyset_find(set, rg_str_c(kid), RG_STR("EdDSA")) != NULL;

    rg_keyset_unref(&set);
    return is_there;
}

static bool exposes(const char *line)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};

    rg_jwks_expose(jwks, &out);
    return memmem(out.p, out.n, line, strlen(line)) != NULL;
}

/* ---- a URL ---- */

static void keys_come_in_the_background(void **state)
{
    (void)state;
    origin_hold(&origin);
    fetch_from_origin(HOUR, HOUR);
    assert_null(rg_jwks_get(jwks));
    assert_int_equal(rg_jwks_generation(jwks), 0);
    origin_await(&origin, 1);
    origin_go_on(&origin);
    settle();
    assert_true(has("one"));
    assert_int_equal(rg_jwks_generation(jwks), 1);
    assert_true(exposes("rgate_jwks_keys 1\n"));
    assert_true(exposes("rgate_jwks_refreshes_total{outcome=\"done\"} 1\n"));
}

static void an_unknown_kid_asks_for_new_keys(void **state)
{
    (void)state;
    fetch_from_origin(HOUR, 0);
    settle();
    origin_answer(&origin, "200 OK", "", RG_STR(SET("two")));
    assert_true(ask());
    settle();
    assert_true(has("two"));
    assert_false(has("one"));
    assert_int_equal(rg_jwks_generation(jwks), 2);
}

static void who_has_missed_new_keys_may_look_at_once(void **state)
{
    (void)state;
    fetch_from_origin(HOUR, HOUR);
    settle();
    assert_false(rg_jwks_ask_refresh(jwks, 1));
    assert_true(rg_jwks_ask_refresh(jwks, 0));
    assert_int_equal(origin_requests(&origin), 1);
}

static void many_who_ask_cause_one_request(void **state)
{
    (void)state;
    fetch_from_origin(HOUR, 0);
    settle();
    origin_hold(&origin);
    for (int i = 0; i < 100; i++)
        assert_true(ask());
    origin_await(&origin, 2);
    for (int i = 0; i < 100; i++)
        assert_true(ask());
    origin_go_on(&origin);
    settle();
    assert_int_equal(origin_requests(&origin), 2);
}

static void after_a_refresh_nobody_gets_another_for_a_while(void **state)
{
    (void)state;
    origin_hold(&origin);
    fetch_from_origin(HOUR, 5000);
    /* The while begins when it has ended, however long it took. */
    origin_await(&origin, 1);
    atomic_fetch_add(&now_ms, 60000);
    origin_go_on(&origin);
    settle();
    atomic_fetch_add(&now_ms, 4999);
    for (int i = 0; i < 100; i++)
        assert_false(ask());
    assert_int_equal(origin_requests(&origin), 1);
    atomic_fetch_add(&now_ms, 1);
    assert_true(ask());
    settle();
    assert_int_equal(origin_requests(&origin), 2);
}

static void keys_are_refreshed_by_themselves(void **state)
{
    (void)state;
    fetch_from_origin(1, HOUR);
    settle();
    origin_answer(&origin, "200 OK", "", RG_STR(SET("two")));
    /* When the second from now begins, the first has been taken in. */
    origin_await(&origin, origin_requests(&origin) + 2);
    assert_true(has("two"));
}

static void the_same_text_is_the_same_set(void **state)
{
    (void)state;
    fetch_from_origin(HOUR, 0);
    settle();
    struct rg_keyset *before = rg_jwks_get(jwks);
    assert_true(ask());
    settle();
    struct rg_keyset *after = rg_jwks_get(jwks);
    assert_ptr_equal(before, after);
    assert_int_equal(rg_jwks_generation(jwks), 1);
    assert_true(exposes("rgate_jwks_refreshes_total{outcome=\"done\"} 2\n"));
    rg_keyset_unref(&before);
    rg_keyset_unref(&after);
}

/* The keys stay when the server answers with this. */
static void assert_kept(const char *status, const char *fields, struct rg_str body)
{
    fetch_from_origin(HOUR, 0);
    settle();
    origin_answer(&origin, status, fields, body);
    assert_true(ask());
    settle();
    assert_int_equal(origin_requests(&origin), 2);
    assert_true(has("one"));
    assert_int_equal(rg_jwks_generation(jwks), 1);
    assert_true(exposes("rgate_jwks_refreshes_total{outcome=\"failed\"} 1\n"));
}

static void a_wrong_answer_changes_nothing(void **state)
{
    (void)state;
    assert_kept("200 OK", "content-type: text/html\r\n", RG_STR("<html>Sign in</html>"));
}

static void an_empty_set_changes_nothing(void **state)
{
    (void)state;
    assert_kept("200 OK", "", RG_STR("{\"keys\":[]}"));
}

static void an_error_changes_nothing_whatever_its_body(void **state)
{
    (void)state;
    assert_kept("503 Service Unavailable", "", RG_STR(SET("two")));
}

static void a_redirect_changes_nothing(void **state)
{
    char location[128];

    (void)state;
    snprintf(location, sizeof(location), "location: %skeys\r\n", origin.url);
    assert_kept("302 Found", location, RG_STR(""));
}

static void a_huge_answer_changes_nothing(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf body = {0};

    (void)state;
    rg_buf_add_c(&body, SET("two"));
    while (body.n <= RG_KEYSET_MAX_BYTES)
        rg_buf_add_char(&body, ' ');
    assert_kept("200 OK", "", rg_buf_str(&body));
}

static void while_nobody_is_there_the_keys_stay(void **state)
{
    (void)state;
    fetch_from_origin(HOUR, 0);
    settle();
    origin_stop(&origin);
    assert_true(ask());
    settle();
    assert_true(has("one"));
    assert_true(exposes("rgate_jwks_refreshes_total{outcome=\"failed\"} 1\n"));
    origin_start(&origin);
}

static void who_waits_for_a_slow_server_is_told_in_the_end(void **state)
{
    (void)state;
    origin_hold(&origin);
    rg_http_client_free(&http);
    start_client(50);
    fetch_from_origin(HOUR, HOUR);
    settle();
    assert_null(rg_jwks_get(jwks));
    assert_true(exposes("rgate_jwks_refreshes_total{outcome=\"failed\"} 1\n"));
}

static void the_end_tells_who_waits(void **state)
{
    sem_t told;
    int n;

    (void)state;
    sem_init(&told, 0, 0);
    origin_hold(&origin);
    fetch_from_origin(HOUR, HOUR);
    assert_int_equal(rg_jwks_wait(jwks, note, &told), 0);
    assert_int_equal(rg_jwks_wait(jwks, note, &told), 0);
    rg_http_client_free(&http);
    assert_int_equal(sem_getvalue(&told, &n), 0);
    assert_int_equal(n, 2);
    sem_destroy(&told);
}

static void not_everybody_can_wait(void **state)
{
    sem_t told;
    int n, waiting = 0;

    (void)state;
    sem_init(&told, 0, 0);
    origin_hold(&origin);
    fetch_from_origin(HOUR, HOUR);
    while (waiting < 1000000 && rg_jwks_wait(jwks, note, &told) == 0)
        waiting++;
    assert_int_equal(waiting, 10000);
    assert_int_equal(rg_jwks_wait(jwks, note, &told), RG_EFULL);
    rg_http_client_free(&http);
    assert_int_equal(sem_getvalue(&told, &n), 0);
    assert_int_equal(n, waiting);
    sem_destroy(&told);
}

/* ---- a file ---- */

static char path[] = "/tmp/rgate-jwks-XXXXXX";

/* At once, so that nobody reads half of it. */
static void write_file(const char *text)
{
    char other[sizeof(path) + 4];

    snprintf(other, sizeof(other), "%s.new", path);
    FILE *file = fopen(other, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(rename(other, path), 0);
}

static void a_file_is_there_at_once(void **state)
{
    const struct rg_jwks_settings settings = {path, HOUR, 0, NULL, read_clock};
    struct rg_why why;

    (void)state;
    write_file(SET("one"));
    jwks = rg_jwks_new(&settings, &why);
    assert_non_null(jwks);
    assert_true(has("one"));
    /* There is nobody to ask. */
    assert_false(ask());
    settle();
}

static void a_file_that_is_no_key_set_is_an_error(void **state)
{
    const struct rg_jwks_settings settings = {path, HOUR, 0, NULL, read_clock};
    const struct rg_jwks_settings nowhere = {"/nowhere/keys.json", HOUR, 0, NULL, read_clock};
    const struct rg_jwks_settings directory = {"/tmp", HOUR, 0, NULL, read_clock};
    struct rg_why why;

    (void)state;
    write_file("{\"keys\":[]}");
    assert_null(rg_jwks_new(&settings, &why));
    assert_string_equal(why.text, "has no key that verifies signatures");
    assert_null(rg_jwks_new(&nowhere, &why));
    assert_non_null(strstr(why.text, "/nowhere/keys.json cannot be read"));
    assert_null(rg_jwks_new(&directory, &why));
    assert_non_null(strstr(why.text, "not a regular file"));
}

static void await_generation(unsigned long generation)
{
    while (rg_jwks_generation(jwks) < generation)
        sched_yield();
}

static void a_file_is_read_again_and_kept_while_it_is_broken(void **state)
{
    const struct rg_jwks_settings settings = {path, 1, 0, http, read_clock};
    struct rg_why why;

    (void)state;
    write_file(SET("one"));
    jwks = rg_jwks_new(&settings, &why);
    assert_non_null(jwks);
    write_file(SET("two"));
    await_generation(2);
    assert_true(has("two"));
    write_file("{");
    while (exposes("outcome=\"failed\"} 0\n"))
        sched_yield();
    assert_true(has("two"));
    write_file(SET("three"));
    await_generation(3);
    assert_true(has("three"));
}

#define WITH_ORIGIN(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ORIGIN(keys_come_in_the_background),
        WITH_ORIGIN(an_unknown_kid_asks_for_new_keys),
        WITH_ORIGIN(who_has_missed_new_keys_may_look_at_once),
        WITH_ORIGIN(many_who_ask_cause_one_request),
        WITH_ORIGIN(after_a_refresh_nobody_gets_another_for_a_while),
        WITH_ORIGIN(keys_are_refreshed_by_themselves),
        WITH_ORIGIN(the_same_text_is_the_same_set),
        WITH_ORIGIN(a_wrong_answer_changes_nothing),
        WITH_ORIGIN(an_empty_set_changes_nothing),
        WITH_ORIGIN(an_error_changes_nothing_whatever_its_body),
        WITH_ORIGIN(a_redirect_changes_nothing),
        WITH_ORIGIN(a_huge_answer_changes_nothing),
        WITH_ORIGIN(while_nobody_is_there_the_keys_stay),
        WITH_ORIGIN(who_waits_for_a_slow_server_is_told_in_the_end),
        WITH_ORIGIN(the_end_tells_who_waits),
        WITH_ORIGIN(not_everybody_can_wait),
        WITH_ORIGIN(a_file_is_there_at_once),
        WITH_ORIGIN(a_file_that_is_no_key_set_is_an_error),
        WITH_ORIGIN(a_file_is_read_again_and_kept_while_it_is_broken),
    };

    close(mkstemp(path));
    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
