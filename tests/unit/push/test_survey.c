/* Two hubs, one of whose reactors asks both. */
#include "stage.h"

#include "auth/claims.h"
#include "push/device.h"
#include "push/session.h"
#include "push/survey.h"

/* Clients without a connection, as many as it takes. */
static bool answer_nothing(struct rg_client *client)
{
    (void)client;
    return false;
}

static void put_nothing(struct rg_client *client, struct rg_msg *msg)
{
    (void)client;
    (void)msg;
}

static const struct rg_client_ops fake_ops = {
    .name = "fake",
    .transport = RG_LONGPOLL,
    .put = put_nothing,
    .answer = answer_nothing,
};

static struct rg_client *fake(unsigned shard, const char *session)
{
    struct rg_client *client = rg_client_new(shards[shard].hub, &fake_ops, RG_ENC_JSON, NULL);
    struct rg_claims *claims =
        rg_claims_new(RG_STR("{}"), 4000000000, rg_str_c(session), RG_STR(""));

    rg_client_bind(client, claims);
    rg_claims_unref(&claims);
    return client;
}

static struct rg_survey survey;
static unsigned outcomes;

static void on_over(struct rg_survey *over)
{
    assert_ptr_equal(over, &survey);
    outcomes++;
}

static void begin(const char *session)
{
    survey = (struct rg_survey){0};
    outcomes = 0;
    rg_buf_add_c(&survey.session, session);
    rg_survey_begin(&survey, push, &shards[0].reactor, on_over);
}

/* What is listed, as text. */
static const char *ask(const char *session)
{
    begin(session);
    assert_int_equal(outcomes, 0);
    turn();
    assert_int_equal(outcomes, 1);
    rg_buf_add_char(&survey.connections, '\0');
    return survey.connections.p;
}

static void assert_listed(const char *text, const struct rg_client *client)
{
    struct rg_client_handle handle = rg_client_get_handle(client);
    char part[64];

    snprintf(part, sizeof(part), "{\"id\":\"%u-%u-%u\",", handle.reactor, handle.slot,
             handle.generation);
    if (strstr(text, part) == NULL)
        fail_msg("%s is not in %s", part, text);
}

static void it_lists_the_connections_of_every_reactor_and_no_others(void **state)
{
    struct rg_client *near = fake(0, "s1"), *far = fake(1, "s1");
    const char *text;

    (void)state;
    fake(0, "s2");
    fake(1, "s");
    text = ask("s1");
    assert_listed(text, near);
    assert_listed(text, far);
    assert_int_equal(survey.n, 2);
    assert_false(survey.is_truncated);
    rg_survey_done(&survey);
}

static void a_session_without_connections_has_an_empty_list(void **state)
{
    (void)state;
    assert_string_equal(ask("none"), "");
    assert_int_equal(survey.n, 0);
    rg_survey_done(&survey);
}

static void it_says_what_a_connection_is_like(void **state)
{
    struct rg_client *client = fake(1, "s1");
    const char *text;

    (void)state;
    client->bond->device = rg_device_new(RG_STR("192.0.2.1"), RG_STR("a \"b\""), 1000);
    client->subscriptions_n = 7;
    client->sent_bytes = 5000000000;
    text = ask("s1");
    assert_string_equal(text,
                        "{\"id\":\"1-0-1\",\"dialect\":\"events\",\"transport\":\"longpolling\","
                        "\"address\":\"192.0.2.1\",\"user_agent\":\"a \\\"b\\\"\","
                        "\"since\":\"1970-01-01T00:00:01.000000+00:00\",\"subscriptions\":7,"
                        "\"channels\":[],\"queued_bytes\":0,\"sent_bytes\":5000000000}");
    client->subscriptions_n = 0;
    rg_survey_done(&survey);
}

static void what_is_not_known_of_a_connection_is_null(void **state)
{
    const char *text;

    (void)state;
    fake(0, "s1");
    text = ask("s1");
    assert_non_null(strstr(text, "\"address\":null,\"user_agent\":null,\"since\":\"20"));
    rg_survey_done(&survey);
}

static void a_connection_that_has_ended_is_not_listed(void **state)
{
    (void)state;
    fake(0, "s1");
    begin("s1");
    rg_hub_kill_all(shards[0].hub);
    turn();
    assert_int_equal(outcomes, 1);
    assert_int_equal(survey.n, 0);
    rg_survey_done(&survey);
}

static void more_than_the_limit_are_cut_and_it_says_so(void **state)
{
    size_t n = RG_SURVEY_MAX_CONNECTIONS;

    (void)state;
    for (size_t i = 0; i < n / 2; i++) {
        fake(0, "s1");
        fake(1, "s1");
    }
    ask("s1");
    assert_int_equal(survey.n, n);
    assert_false(survey.is_truncated);
    rg_survey_done(&survey);

    fake(1, "s1");
    ask("s1");
    assert_int_equal(survey.n, n);
    assert_true(survey.is_truncated);
    rg_survey_done(&survey);
}

static void an_id_names_a_connection_of_a_hub_that_there_is(void **state)
{
    static const char *const wrong[] = {
        "",       "1",      "0-1",   "0-1-",   "-0-1-2",        "0-1-2-3",
        "0-1-x",  "2-0-1",  "0--1",  " 0-1-2", "0-1-2 ",        "0-4294967296-1",
        "+0-1-2", "0-1-2-", "a-b-c", "0_1_2",  "0-1-4294967296"};
    struct rg_client_handle handle = {0};

    (void)state;
    assert_int_equal(rg_survey_read_id(RG_STR("1-20-300"), 2, &handle), 0);
    assert_int_equal(handle.reactor, 1);
    assert_int_equal(handle.slot, 20);
    assert_int_equal(handle.generation, 300);
    for (size_t i = 0; i < RG_COUNT_OF(wrong); i++) {
        if (rg_survey_read_id(rg_str_c(wrong[i]), 2, &handle) != RG_ESYNTAX)
            fail_msg("%s", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_lists_the_connections_of_every_reactor_and_no_others),
        TEST(a_session_without_connections_has_an_empty_list),
        TEST(it_says_what_a_connection_is_like),
        TEST(what_is_not_known_of_a_connection_is_null),
        TEST(a_connection_that_has_ended_is_not_listed),
        TEST(more_than_the_limit_are_cut_and_it_says_so),
        cmocka_unit_test(an_id_names_a_connection_of_a_hub_that_there_is),
    };

    stage_begin();
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failures;
}
