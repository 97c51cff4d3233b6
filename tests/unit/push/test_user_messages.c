/*
 * Messages over HTTP: two hubs without clients, who has joined is written into the interest table
 * by hand, and the endpoint stands on the first hub's loop as it otherwise does on the control
 * loop.
 */
#include "stage.h"

#include "event/subscription.h"
#include "push/user_messages.h"

static struct rg_http_server *server;
static struct rg_route routes[RG_USER_MESSAGES_ROUTES + 1];
static struct rg_subscription_key joined; /* in the interest table, of the second reactor */

static int begin(void **state)
{
    setup(state);
    rg_user_messages_routes(push, routes);
    routes[RG_USER_MESSAGES_ROUTES] =
        (struct rg_route){RG_METHODS_ALL, "*", rg_api_not_found, push, 0};
    server = rg_http_server_new(&shards[0].reactor, &rg_http_default_settings, routes,
                                RG_COUNT_OF(routes));
    joined = rg_subscription_key_of_channel(RG_STR("user:ada"));
    assert_int_equal(rg_interest_add(push->interest, 1, &joined), 0);
    return 0;
}

static int end(void **state)
{
    rg_interest_remove(push->interest, 1, &joined);
    rg_http_server_close_all(server);
    turn();
    rg_http_server_free(&server);
    return teardown(state);
}

/* Posts to the user over a connection of its own and returns the answer. */
static const char *post(const char *user, const char *body)
{
    char text[256];
    int theirs;

    peers[peers_n] = peer_open(&theirs, 0);
    rg_http_server_accept(server, theirs);
    snprintf(text, sizeof(text),
             "POST /v3/users/%s/messages HTTP/1.1\r\nhost: a\r\ncontent-length: %zu\r\n\r\n%s",
             user, strlen(body), body);
    say(&peers[peers_n], text);
    return hear(&peers[peers_n++]);
}

static void assert_answer(const char *answer, const char *status, const char *what)
{
    if (strstr(answer, status) == NULL || strstr(answer, what) == NULL)
        fail_msg("%s: neither \"%s\" nor \"%s\"", answer, status, what);
}

static uint64_t events(unsigned shard)
{
    return rg_counters_get(shards[shard].hub->counters, RG_HUB_EVENTS);
}

static void assert_exposed(const char *line)
{
    struct rg_buf out = {0};

    rg_tally_expose(&push->tally, &out);
    rg_buf_add_char(&out, '\0');
    if (strstr(out.p, line) == NULL)
        fail_msg("%s lacks %s", out.p, line);
    rg_buf_done(&out);
}

static void a_message_goes_where_its_user_has_joined(void **state)
{
    (void)state;
    assert_answer(post("ada", " {\"n\":1} "), " 202 ", "{\"devices\":0}");
    assert_answer(post("%61da", "5"), " 202 ", "{\"devices\":0}");
    assert_answer(post("bob", "5"), " 202 ", "{\"devices\":0}");
    assert_int_equal(events(0), 0);
    assert_int_equal(events(1), 2);
    assert_exposed("rig_consumed_events_total{source=\"http\",topic=\"\"} 3\n");
    assert_exposed("rig_consumed_events_forwarded_total{type=\"message\"} 2\n");
}

static void without_room_the_sender_is_asked_to_come_back(void **state)
{
    (void)state;
    shards[1].reactor.inbox.max_bytes = 0;
    atomic_fetch_add(&shards[1].reactor.inbox.queued_bytes, 1);
    const char *answer = post("ada", "{}");
    assert_answer(answer, " 503 ", "retry-after: 1\r\n");
    assert_answer(post("bob", "{}"), " 202 ", "{\"devices\":0}");
    assert_int_equal(events(1), 0);
    assert_exposed("rig_consumed_events_total{source=\"http\",topic=\"\"} 1\n");
    atomic_fetch_sub(&shards[1].reactor.inbox.queued_bytes, 1);
    assert_answer(post("ada", "{}"), " 202 ", "devices");
    assert_int_equal(events(1), 1);
}

static void what_is_no_message_is_refused_with_the_reason(void **state)
{
    (void)state;
    assert_answer(post("ada", "{\"n\":1"), " 400 ", "ends too early at byte 6");
    assert_answer(post("%zz", "{}"), " 400 ", "percent-encoded");
    assert_answer(post("%c3", "{}"), " 400 ", "UTF-8");
    assert_int_equal(events(1), 0);
    assert_exposed("rig_consumed_events_failed_total{source=\"http\",topic=\"\"} 3\n");
}

#define MESSAGES_TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MESSAGES_TEST(a_message_goes_where_its_user_has_joined),
        MESSAGES_TEST(without_room_the_sender_is_asked_to_come_back),
        MESSAGES_TEST(what_is_no_message_is_refused_with_the_reason),
    };
    struct rg_problems problems = {0};

    rg_rcu_thread_start();
    rg_match_key_init();
    extractors = rg_extractors_new((struct rg_str){NULL, 0}, &problems);
    rg_assert(extractors != NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_extractors_free(&extractors);
    rg_rcu_thread_stop();
    return failed;
}
