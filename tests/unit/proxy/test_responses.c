/* Who answers by the internal port, on a server whose loop the test turns itself. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../net/peer.h"
#include "base/alloc.h"
#include "http/reply.h"
#include "proxy/responses.h"

#define MAX_BODY 1000
#define SENT     "\r\n\r\nmessage sent to correlated reverse proxy request"
#define FAILED   "\r\n\r\nFailed to parse request body: "

static struct rg_reactor reactor;
static struct rg_http_server *server;
static struct rg_answers *answers;
static struct rg_answer_room *room;
static struct rg_route routes[RG_RESPONSES_ROUTES + 1];
static struct peer peer;

/* Who waits. */
static struct rg_wait *waiting;
static struct rg_buf id;    /* NUL-terminated */
static struct rg_buf heard; /* "<status>|<name>=<value>;…|<body>" for each answer */

static void on_answer(void *arg, const struct rg_answer *answer)
{
    (void)arg;
    waiting = NULL;
    rg_buf_addf(&heard, "%d|", answer->status);
    for (size_t i = 0; i < answer->fields_n; i++)
        rg_buf_addf(&heard, "%.*s=%.*s;", RG_STR_ARG(answer->fields[i].name),
                    RG_STR_ARG(answer->fields[i].value));
    rg_buf_add_char(&heard, '|');
    rg_buf_add_str(&heard, answer->body);
}

static void on_timeout(void *arg)
{
    (void)arg;
    waiting = NULL;
}

static void not_found(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 404};

    (void)arg;
    rg_reply_problem(exchange, &response, "Not found");
}

static const struct rg_wait_events events = {on_answer, on_timeout};

static int setup(void **state)
{
    int theirs;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    peer_reactor_init(&reactor);
    answers = rg_answers_new(RG_STR("of the tests"));
    room = rg_answer_room_new(answers, &reactor);
    rg_responses_routes(answers, MAX_BODY, routes);
    routes[RG_RESPONSES_ROUTES] = (struct rg_route){RG_METHODS_ALL, "*", not_found, NULL, 1000};
    server = rg_http_server_new(&reactor, &rg_http_default_settings, routes, RG_COUNT_OF(routes));
    peer = peer_open(&theirs, 0);
    rg_http_server_accept(server, theirs);
    waiting = rg_wait_begin(room, &events, NULL, &id);
    rg_buf_add_char(&id, '\0');
    rg_wait_open(waiting, 60000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_wait_cancel(&waiting);
    rg_answer_room_free(&room);
    peer_close(&peer);
    rg_http_server_close_all(server);
    peer_turn(&reactor);
    rg_http_server_free(&server);
    rg_reactor_done(&reactor);
    rg_answers_free(&answers);
    rg_buf_done(&id);
    rg_buf_done(&heard);
    return 0;
}

/* Sends a request whose head has these lines, in which @ stands for the id. */
static void post(const char *path, const char *lines, const char *body, size_t body_n)
{
    struct rg_buf text = {0};

    peer_forget(&peer);
    rg_buf_addf(&text, "POST %s HTTP/1.1\r\nhost: h\r\ncontent-length: %zu\r\n", path, body_n);
    for (; *lines != '\0'; lines++) {
        if (*lines == '@')
            rg_buf_add_c(&text, id.p);
        else
            rg_buf_add_char(&text, *lines);
    }
    rg_buf_add_c(&text, "\r\n");
    rg_buf_add(&text, body, body_n);
    peer_put(&peer, text.p, text.n);
    rg_buf_done(&text);
    peer_read(&reactor, &peer);
}

static void assert_answered(const char *status, const char *tail)
{
    size_t n = strlen(tail);

    assert_true(peer_has(&peer, status));
    assert_true(peer.got.n >= n);
    assert_memory_equal(peer.got.p + peer.got.n - n, tail, n);
}

static void post_v3(const char *lines, const char *status, const char *tail)
{
    post("/v3/responses", lines, "b", 1);
    assert_answered(status, tail);
    assert_true(peer_has(&peer, "\r\ncontent-type: text/plain; charset=utf-8\r\n"));
}

static void assert_heard(const char *text)
{
    assert_true(rg_str_eq(rg_buf_str(&heard), rg_str_c(text)));
}

static void the_bytes_reach_who_waits_unchanged(void **state)
{
    (void)state;
    post("/v3/responses",
         "rig-correlation: @\r\nrig-response-code: 201\r\n"
         "content-type: application/json;charset=utf-8\r\nuser-agent: x\r\naccept: y\r\n",
         "{ \"b\":1,\n \"a\":2 }", 17);
    assert_answered(" 202 Accepted\r\n", SENT);
    assert_heard("201|content-type=application/json;charset=utf-8;|{ \"b\":1,\n \"a\":2 }");
}

static void any_content_type_will_do(void **state)
{
    static const char bytes[] = "\0\xff{\r\n";

    (void)state;
    post("/v3/responses",
         "Rig-Correlation: @\r\nRIG-RESPONSE-CODE: 418\r\ncontent-type: image/png\r\n", bytes, 5);
    assert_answered(" 202 Accepted\r\n", SENT);
    assert_int_equal(heard.n, 4 + 23 + 1 + 5);
    assert_memory_equal(heard.p, "418|content-type=image/png;|\0\xff{\r\n", 33);
}

static void an_answer_without_type_and_body_is_one(void **state)
{
    (void)state;
    post("/v3/responses/", "rig-correlation: @\r\nrig-response-code: 200\r\n", "", 0);
    assert_answered(" 202 Accepted\r\n", SENT);
    assert_heard("200||");
}

static void a_missing_header_is_an_error(void **state)
{
    (void)state;
    post_v3("", " 400 Bad Request\r\n", FAILED ":error");
    post_v3("rig-response-code: 200\r\n", " 400 Bad Request\r\n", FAILED ":error");
    post_v3("rig-correlation: @\r\n", " 400 Bad Request\r\n", FAILED ":error");
    assert_heard("");
}

static void a_code_that_is_no_status_is_quoted(void **state)
{
    (void)state;
    post_v3("rig-correlation: @\r\nrig-response-code: abc201\r\n", " 400 Bad Request\r\n",
            FAILED "{:error, {:not_an_integer, \"abc201\"}}");
    post_v3("rig-correlation: @\r\nrig-response-code: 199\r\n", " 400 Bad Request\r\n",
            FAILED "{:error, {:not_an_integer, \"199\"}}");
    post_v3("rig-correlation: @\r\nrig-response-code: a\"b\r\n", " 400 Bad Request\r\n",
            FAILED "{:error, {:not_an_integer, \"a\\\"b\"}}");
    post_v3("rig-correlation: @\r\nrig-response-code:\r\n", " 400 Bad Request\r\n",
            FAILED "{:error, {:not_an_integer, \"\"}}");
    assert_heard("");
}

static void a_wrong_id_is_told_before_a_wrong_code(void **state)
{
    (void)state;
    post_v3("rig-correlation: !!!\r\nrig-response-code: abc201\r\n", " 400 Bad Request\r\n",
            FAILED "{:error, :not_base64}");
    post_v3("rig-correlation: !!!\r\n", " 400 Bad Request\r\n", FAILED "{:error, :not_base64}");
    post_v3("rig-correlation: AAAA\r\nrig-response-code: x\r\n", " 400 Bad Request\r\n",
            FAILED "{:error, :invalid_term}");
    post_v3("rig-correlation:\r\nrig-response-code: 200\r\n", " 400 Bad Request\r\n",
            FAILED "{:error, :invalid_term}");
    id.p[3] = id.p[3] == 'A' ? 'B' : 'A';
    post_v3("rig-correlation: @\r\nrig-response-code: 200\r\n", " 400 Bad Request\r\n",
            FAILED "{:error, :invalid_term}");
    assert_heard("");
}

static void the_second_answer_is_accepted_and_dropped(void **state)
{
    (void)state;
    post_v3("rig-correlation: @\r\nrig-response-code: 201\r\n", " 202 Accepted\r\n", SENT);
    post_v3("rig-correlation: @\r\nrig-response-code: 500\r\n", " 202 Accepted\r\n", SENT);
    assert_heard("201||b");
}

static void a_body_has_a_limit(void **state)
{
    char body[MAX_BODY + 1] = "";

    (void)state;
    post("/v3/responses", "rig-correlation: @\r\nrig-response-code: 200\r\n", body, sizeof(body));
    assert_true(peer_has(&peer, " 413 "));
    assert_heard("");
}

/* ---- events ---- */

#define EVENT02 "{\"specversion\":\"0.2\",\"type\":\"t\",\"id\":\"1\",\"rig\":"

/* Posts an event, in which @ stands for the id. */
static void post_v2(const char *type, const char *event)
{
    struct rg_buf body = {0}, lines = {0};

    for (; *event != '\0'; event++) {
        if (*event == '@')
            rg_buf_add_c(&body, id.p);
        else
            rg_buf_add_char(&body, *event);
    }
    rg_buf_addf(&lines, "content-type: %s\r\n%c", type, '\0');
    post("/v2/responses", type[0] != '\0' ? lines.p : "", body.n > 0 ? body.p : "", body.n);
    rg_buf_done(&body);
    rg_buf_done(&lines);
}

static void expect_event(const char *event)
{
    struct rg_buf text = {0};

    rg_buf_add_c(&text, "200|content-type=application/json; charset=utf-8;|");
    for (; *event != '\0'; event++) {
        if (*event == '@')
            rg_buf_add_c(&text, id.p);
        else
            rg_buf_add_char(&text, *event);
    }
    rg_buf_add_char(&text, '\0');
    assert_answered(" 202 Accepted\r\n", SENT);
    assert_heard(text.p);
    rg_buf_done(&text);
}

static void an_event_that_has_the_id_is_the_answer(void **state)
{
    static const char event[] = " " EVENT02 "{\"correlation\":\"@\"}, \"data\":[1]} ";

    (void)state;
    post_v2("application/json", event);
    expect_event(event);
}

static void an_event_of_the_first_version_is_one(void **state)
{
    static const char event[] = "{\"cloudEventsVersion\":\"0.1\",\"eventType\":\"t\","
                                "\"eventID\":7,\"rig\":{\"correlation\":\"@\"}}";

    (void)state;
    post_v2("application/cloudevents+json; charset=utf-8", event);
    expect_event(event);
}

static void what_is_no_event_with_an_id_is_refused(void **state)
{
    static const struct {
        const char *body, *tail;
    } rows[] = {
        {"{}", FAILED "{:error, :not_a_cloud_event}"},
        {"[]", FAILED "{:error, :not_a_cloud_event}"},
        {"{\"rig\":{\"correlation\":\"@\"}}", FAILED "{:error, :not_a_cloud_event}"},
        {"{\"specversion\":\"0.3\",\"type\":\"t\",\"id\":\"1\",\"rig\":{\"correlation\":\"@\"}}",
         FAILED "{:error, :not_a_cloud_event}"},
        {"{\"specversion\":\"0.2\",\"type\":\"\",\"id\":\"1\",\"rig\":{\"correlation\":\"@\"}}",
         FAILED "{:error, :not_a_cloud_event}"},
        {"{\"specversion\":\"0.2\",\"type\":\"t\",\"rig\":{\"correlation\":\"@\"}}",
         FAILED "{:error, :not_a_cloud_event}"},
        {EVENT02 "{}}", FAILED ":error"},
        {EVENT02 "\"@\"}", FAILED ":error"},
        {EVENT02 "{\"correlation\":7}}", FAILED ":error"},
        {EVENT02 "{\"correlation\":\"!!!\"}}", FAILED "{:error, :not_base64}"},
        {EVENT02 "{\"correlation\":\"\"}}", FAILED "{:error, :invalid_term}"},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        post_v2("application/json", rows[i].body);
        assert_answered(" 400 Bad Request\r\n", rows[i].tail);
    }
    assert_heard("");
}

static void what_is_no_json_is_a_bad_request(void **state)
{
    static const char problem[] = "\r\n\r\n{\"errors\":{\"detail\":\"Bad request\"}}";

    (void)state;
    post_v2("application/json", "{");
    assert_answered(" 400 Bad Request\r\n", problem);
    post_v2("text/plain", "{}");
    assert_answered(" 415 Unsupported Media Type\r\n", problem);
    post_v2("", EVENT02 "{\"correlation\":\"@\"}}");
    assert_answered(" 400 Bad Request\r\n", FAILED "{:error, :not_a_cloud_event}");
    assert_heard("");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_bytes_reach_who_waits_unchanged),
        TEST(any_content_type_will_do),
        TEST(an_answer_without_type_and_body_is_one),
        TEST(a_missing_header_is_an_error),
        TEST(a_code_that_is_no_status_is_quoted),
        TEST(a_wrong_id_is_told_before_a_wrong_code),
        TEST(the_second_answer_is_accepted_and_dropped),
        TEST(a_body_has_a_limit),
        TEST(an_event_that_has_the_id_is_the_answer),
        TEST(an_event_of_the_first_version_is_one),
        TEST(what_is_no_event_with_an_id_is_refused),
        TEST(what_is_no_json_is_a_bad_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
