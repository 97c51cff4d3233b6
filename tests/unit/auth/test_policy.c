#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <semaphore.h>

#include "../http/origin.h"
#include "auth/policy.h"
#include "base/log.h"
#include "http/client.h"

static struct origin origin;
static struct rg_http_client *http;
static struct rg_policy policy;

static int start(void **state)
{
    struct rg_http_client_settings settings = rg_http_client_default_settings;

    (void)state;
    settings.max_requests = 2;
    http = rg_http_client_new(&settings);
    origin_start(&origin);
    return rg_policy_init(&policy, "SUBSCRIPTION_CHECK", origin.url, http, NULL);
}

static int stop(void **state)
{
    (void)state;
    rg_http_client_free(&http);
    origin_stop(&origin);
    return 0;
}

/* What became of a question. */
struct verdict {
    sem_t is_there;
    unsigned calls;
    bool is_allowed;
};

static void take(void *arg, bool is_allowed)
{
    struct verdict *verdict = arg;

    verdict->calls++;
    verdict->is_allowed = is_allowed;
    sem_post(&verdict->is_there);
}

static void ask(struct verdict *verdict, struct rg_str authorization)
{
    *verdict = (struct verdict){0};
    sem_init(&verdict->is_there, 0, 0);
    rg_policy_ask(&policy, RG_STR("application/json; charset=utf-8"), authorization,
                  RG_STR("{\"subscriptions\":[]}"), take, verdict);
}

static bool await(struct verdict *verdict)
{
    while (sem_wait(&verdict->is_there) < 0)
        ;
    sem_destroy(&verdict->is_there);
    assert_int_equal(verdict->calls, 1);
    return verdict->is_allowed;
}

static bool is_allowed(void)
{
    struct verdict verdict;

    ask(&verdict, RG_STR("Bearer a.b.c"));
    return await(&verdict);
}

static unsigned counted(const char *outcome)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    char series[64];

    rg_policy_expose(&out);
    rg_buf_add_char(&out, '\0');
    snprintf(series, sizeof(series), "{outcome=\"%s\"} ", outcome);
    const char *at = strstr(out.p, series);
    assert_non_null(at);
    return (unsigned)strtoul(at + strlen(series), NULL, 10);
}

/* ---- tests ---- */

static void a_setting_is_a_word_or_a_url(void **state)
{
    static const struct {
        const char *value;
        enum rg_policy_kind kind;
    } good[] = {
        {NULL, RG_POLICY_OPEN},
        {"", RG_POLICY_OPEN},
        {"no_check", RG_POLICY_OPEN},
        {"NO_CHECK", RG_POLICY_OPEN},
        {"jwt_validation", RG_POLICY_TOKEN},
        {"JWT_Validation", RG_POLICY_TOKEN},
        {"http://service/Check", RG_POLICY_ASK},
        {"https://service:1/", RG_POLICY_ASK},
    };
    static const char *const bad[] = {"yes", "no check", "jwt", "service/check", "ftp://service/"};
    struct rg_why why;

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(good); i++) {
        assert_int_equal(rg_policy_init(&policy, "A", good[i].value, NULL, &why), 0);
        assert_int_equal(policy.kind, good[i].kind);
    }
    for (size_t i = 0; i < RG_COUNT_OF(bad); i++) {
        assert_int_equal(rg_policy_init(&policy, "A", bad[i], NULL, &why), RG_EINVAL);
        assert_non_null(strstr(why.text, "must be no_check, jwt_validation"));
    }
}

static void a_url_keeps_its_letters(void **state)
{
    (void)state;
    assert_int_equal(rg_policy_init(&policy, "A", "http://Service/Check", NULL, NULL), 0);
    assert_string_equal(policy.url, "http://Service/Check");
}

static void the_service_gets_what_it_needs_to_decide(void **state)
{
    (void)state;
    assert_true(is_allowed());
    assert_true(origin_last_has(&origin, "POST / HTTP/1.1\r\n"));
    assert_true(origin_last_has(&origin, "content-type: application/json; charset=utf-8\r\n"));
    assert_true(origin_last_has(&origin, "authorization: Bearer a.b.c\r\n"));
    assert_true(origin_last_has(&origin, "\r\n\r\n{\"subscriptions\":[]}"));
}

static void without_a_token_there_is_no_authorization(void **state)
{
    struct verdict verdict;

    (void)state;
    ask(&verdict, RG_STR(""));
    assert_true(await(&verdict));
    assert_false(origin_last_has(&origin, "uthorization"));
}

static void only_2xx_allows(void **state)
{
    static const struct {
        const char *status;
        bool is_allowed;
        const char *outcome;
    } cases[] = {
        {"200 OK", true, "allowed"},          {"204 No Content", true, "allowed"},
        {"299 Odd", true, "allowed"},         {"401 Unauthorized", false, "denied"},
        {"403 Forbidden", false, "denied"},   {"302 Found", false, "failed"},
        {"400 Bad Request", false, "failed"}, {"404 Not Found", false, "failed"},
        {"500 Oops", false, "failed"},        {"700 What", false, "failed"},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        unsigned before = counted(cases[i].outcome);
        origin_answer(&origin, cases[i].status, "location: /\r\n", RG_STR(""));
        if (is_allowed() != cases[i].is_allowed)
            fail_msg("%s", cases[i].status);
        assert_int_equal(counted(cases[i].outcome), before + 1);
        assert_int_equal(origin_requests(&origin), i + 1);
    }
}

static void nobody_there_is_a_no(void **state)
{
    (void)state;
    origin_stop(&origin);
    unsigned before = counted("failed");
    assert_false(is_allowed());
    assert_int_equal(counted("failed"), before + 1);
    origin_start(&origin);
}

static void too_many_questions_are_a_no_at_once(void **state)
{
    struct verdict first, second, third;

    (void)state;
    origin_hold(&origin);
    ask(&first, RG_STR(""));
    ask(&second, RG_STR(""));
    ask(&third, RG_STR(""));
    assert_int_equal(third.calls, 1);
    assert_false(await(&third));
    origin_await(&origin, 2);
    origin_go_on(&origin);
    assert_true(await(&first));
    assert_true(await(&second));
}

static void the_end_is_a_no(void **state)
{
    struct verdict verdict;

    (void)state;
    origin_hold(&origin);
    ask(&verdict, RG_STR(""));
    rg_http_client_free(&http);
    assert_int_equal(verdict.calls, 1);
    assert_false(await(&verdict));
}

#define WITH_ORIGIN(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_setting_is_a_word_or_a_url),
        cmocka_unit_test(a_url_keeps_its_letters),
        WITH_ORIGIN(the_service_gets_what_it_needs_to_decide),
        WITH_ORIGIN(without_a_token_there_is_no_authorization),
        WITH_ORIGIN(only_2xx_allows),
        WITH_ORIGIN(nobody_there_is_a_no),
        WITH_ORIGIN(too_many_questions_are_a_no_at_once),
        WITH_ORIGIN(the_end_is_a_no),
    };

    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
