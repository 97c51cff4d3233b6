/* What a body means, and then the routes on a server whose loop the test runs itself. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../net/peer.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "ops/admin.h"
#include "ops/session_blacklist.h"

#define JSON RG_STR("application/json")
#define FORM RG_STR("application/x-www-form-urlencoded")

/* ---- reading ---- */

static struct rg_buf session;
static uint64_t seconds;
static struct rg_why why;

static int read_as(struct rg_str type, const char *body)
{
    rg_buf_done(&session);
    seconds = 0;
    why = (struct rg_why){0};
    return rg_session_blacklist_read(type, rg_str_c(body), &session, &seconds, &why);
}

static void assert_reads(struct rg_str type, const char *body, const char *name, uint64_t s)
{
    assert_int_equal(read_as(type, body), 0);
    assert_true(rg_str_eq(rg_buf_str(&session), rg_str_c(name)));
    assert_int_equal(seconds, s);
}

static void assert_says(const char *body, const char *text)
{
    assert_int_equal(read_as(JSON, body), RG_EINVAL);
    assert_string_equal(why.text, text);
}

/* The answer to a validity, given as JSON. */
static void assert_validity_says(const char *validity, const char *text)
{
    char body[200];

    snprintf(body, sizeof(body), "{\"sessionId\":\"s1\",\"validityInSeconds\":%s}", validity);
    assert_says(body, text);
}

static void assert_seconds(const char *validity, uint64_t s)
{
    char body[200];

    snprintf(body, sizeof(body), "{\"sessionId\":\"s1\",\"validityInSeconds\":%s}", validity);
    assert_reads(JSON, body, "s1", s);
}

static void a_session_and_seconds_are_read(void **state)
{
    (void)state;
    assert_reads(JSON, "{\"sessionId\":\"s1\",\"validityInSeconds\":60}", "s1", 60);
    assert_reads(JSON, " {\"x\":[],\"validityInSeconds\":\"60\",\"sessionId\":\"a\\u00e4\\n\"} ",
                 "a\xc3\xa4\n", 60);
}

static void seconds_may_be_any_positive_number(void **state)
{
    (void)state;
    assert_seconds("1", 1);
    assert_seconds("\"007\"", 7);
    assert_seconds("1.0", 1);
    assert_seconds("1.01", 2);
    assert_seconds("\"1.5\"", 2);
    assert_seconds("0.001", 1);
    assert_seconds("6e1", 60);
    assert_seconds("2147483648", UINT64_C(1) << 31);
    assert_seconds("2147483649", UINT64_C(1) << 31);
    assert_seconds("2147483647.5", UINT64_C(1) << 31);
    assert_seconds("99999999999999999999999", UINT64_C(1) << 31);
    assert_seconds("1e300", UINT64_C(1) << 31);
    assert_seconds("\"18446744073709551616\"", UINT64_C(1) << 31);
}

static void a_wrong_validity_is_named(void **state)
{
    (void)state;
    assert_validity_says("\"12x\"", "Expected a number, got \"12x\"");
    assert_validity_says("\" 12\"", "Expected a number, got \" 12\"");
    assert_validity_says("\"+12\"", "Expected a number, got \"+12\"");
    assert_validity_says("\"0x1\"", "Expected a number, got \"0x1\"");
    assert_validity_says("\"\\\"60\\\"\"", "Expected a number, got \"\\\"60\\\"\"");
    assert_validity_says("[60]", "Expected a number, got [60]");
    assert_validity_says("{}", "Expected a number, got {}");
    assert_validity_says("0", "Expected a positive number, got 0");
    assert_validity_says("-5", "Expected a positive number, got -5");
    assert_validity_says("-0.5", "Expected a positive number, got -0.5");
    assert_validity_says("\"0\"", "Expected a positive number, got \"0\"");
    assert_validity_says("\"-5\"", "Expected a positive number, got \"-5\"");
    assert_validity_says("\"\"", "Expected a positive number, got \"\"");
    assert_validity_says("null", "Expected a positive number, got null");
    assert_validity_says("true", "Expected a positive number, got true");
}

static void a_wrong_session_is_named_before_a_wrong_validity(void **state)
{
    (void)state;
    assert_says("{}", "Missing value for \"sessionId\"");
    assert_says("{\"validityInSeconds\":0}", "Missing value for \"sessionId\"");
    assert_says("{\"sessionId\":\"\",\"validityInSeconds\":0}",
                "Expected non-empty string, got \"\"");
    assert_says("{\"sessionId\":null}", "Expected non-empty string, got null");
    assert_says("{\"sessionId\":5}", "Expected non-empty string, got 5");
    assert_says("{\"sessionId\":[\"s1\"]}", "Expected non-empty string, got [\"s1\"]");
    assert_says("{\"sessionId\":\"s1\"}", "Missing value for \"validityInSeconds\"");
}

static void a_long_wrong_value_is_cut_between_characters(void **state)
{
    struct rg_buf body = {0};

    (void)state;
    rg_buf_add_c(&body, "{\"sessionId\":[\"x");
    for (int i = 0; i < 100; i++)
        rg_buf_add_c(&body, "\xc3\xa4");
    rg_buf_add_c(&body, "\"]}");
    rg_buf_add_char(&body, '\0');
    assert_int_equal(read_as(JSON, body.p), RG_EINVAL);
    size_t n = strlen(why.text);
    assert_memory_equal(why.text, "Expected non-empty string, got [\"x\xc3\xa4", 35);
    assert_true(n < 150);
    assert_int_equal((unsigned char)why.text[n - 1], 0xa4);
    rg_buf_done(&body);
}

static void a_session_has_a_longest_name(void **state)
{
    struct rg_buf body = {0};

    (void)state;
    rg_buf_addf(&body, "{\"sessionId\":\"%*s\",\"validityInSeconds\":1}%c", RG_SESSION_MAX, "",
                '\0');
    assert_int_equal(read_as(JSON, body.p), 0);
    rg_buf_clear(&body);
    rg_buf_addf(&body, "{\"sessionId\":\"%*s\",\"validityInSeconds\":1}%c", RG_SESSION_MAX + 1, "",
                '\0');
    assert_int_equal(read_as(JSON, body.p), RG_EINVAL);
    rg_buf_done(&body);
}

static void the_content_type_decides(void **state)
{
    static const char body[] = "{\"sessionId\":\"s1\",\"validityInSeconds\":60}";

    (void)state;
    assert_reads(RG_STR("Application/JSON ; charset=utf-8"), body, "s1", 60);
    assert_reads(RG_STR("application/vnd.x+json"), body, "s1", 60);
    assert_reads(FORM, "validityInSeconds=60&sessionId=a+%2Fb", "a /b", 60);
    assert_int_equal(read_as(RG_STR("text/plain"), body), RG_ENOTFOUND);
    assert_int_equal(read_as(RG_STR("text/x+json"), body), RG_ENOTFOUND);
    assert_int_equal(read_as(RG_STR("+json"), body), RG_ENOTFOUND);
    assert_int_equal(read_as(RG_STR(""), body), RG_ENOTFOUND);
    assert_int_equal(read_as(RG_STR("multipart/form-data; boundary=x"), body), RG_ENOTFOUND);
    /* Without a type the body is not looked at, and an empty one is an empty object. */
    assert_int_equal(read_as(rg_str_n(NULL, 0), body), RG_EINVAL);
    assert_string_equal(why.text, "Missing value for \"sessionId\"");
    assert_says("", "Missing value for \"sessionId\"");
}

static void what_is_no_object_of_fields_is_not_read(void **state)
{
    (void)state;
    assert_int_equal(read_as(JSON, "{"), RG_ESYNTAX);
    assert_int_equal(read_as(JSON, "[]"), RG_ESYNTAX);
    assert_int_equal(read_as(JSON, "5"), RG_ESYNTAX);
    assert_int_equal(read_as(JSON, "null"), RG_ESYNTAX);
    assert_int_equal(read_as(JSON, " "), RG_ESYNTAX);
    assert_int_equal(read_as(FORM, "sessionId=%2"), RG_ESYNTAX);
    assert_int_equal(read_as(FORM, "sessionId=%ff&validityInSeconds=1"), RG_ESYNTAX);
}

/* ---- the routes ---- */

static uint64_t frozen(void)
{
    return 5000;
}

static struct rg_reactor reactor;
static struct rg_http_server *server;
static struct rg_blacklist *blacklist;
static struct rg_route routes[RG_SESSION_BLACKLIST_ROUTES + 1];
static struct peer peer;

static int setup(void **state)
{
    int theirs;

    (void)state;
    peer_reactor_init(&reactor);
    blacklist = rg_blacklist_new_with(2, frozen);
    rg_session_blacklist_routes(blacklist, routes);
    routes[RG_SESSION_BLACKLIST_ROUTES] =
        (struct rg_route){RG_METHODS_ALL, "*", rg_admin_not_found, NULL, 1000};
    server = rg_http_server_new(&reactor, &rg_http_default_settings, routes, RG_COUNT_OF(routes));
    peer = peer_open(&theirs, 0);
    rg_http_server_accept(server, theirs);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&peer);
    rg_http_server_close_all(server);
    peer_turn(&reactor);
    rg_http_server_free(&server);
    rg_reactor_done(&reactor);
    rg_blacklist_free(&blacklist);
    rg_buf_done(&session);
    return 0;
}

/* Sends a request and asserts the status and the last bytes of the answer. */
static void ask(const char *line, const char *type, const char *body, const char *status,
                const char *tail)
{
    struct rg_buf text = {0};

    peer_forget(&peer);
    rg_buf_addf(&text, "%s HTTP/1.1\r\nhost: h\r\ncontent-length: %zu\r\n", line, strlen(body));
    if (type != NULL)
        rg_buf_addf(&text, "content-type: %s\r\n", type);
    rg_buf_addf(&text, "\r\n%s%c", body, '\0');
    peer_send(&reactor, &peer, text.p);
    rg_buf_done(&text);
    const char *got = peer_read(&reactor, &peer);
    assert_true(peer_has(&peer, status));
    assert_true(peer.got.n >= strlen(tail));
    assert_string_equal(got + peer.got.n - strlen(tail), tail);
}

static void ban(const char *path, const char *body, const char *status, const char *tail)
{
    char line[100];

    snprintf(line, sizeof(line), "POST %s", path);
    ask(line, "application/json", body, status, tail);
}

#define S1 "{\"sessionId\":\"s1\",\"validityInSeconds\":60}"

static void a_banned_session_is_found_under_its_place(void **state)
{
    (void)state;
    ban("/v3/session-blacklist", S1, " 201 Created\r\n", "\r\n\r\n{}");
    assert_true(peer_has(&peer, "\r\nlocation: /v3/session-blacklist/s1\r\n"));
    assert_true(peer_has(&peer, "\r\ncontent-type: application/json; charset=utf-8\r\n"));
    assert_true(peer_has(&peer, "\r\naccess-control-allow-origin: *\r\n"));
    assert_true(peer_has(&peer, "\r\nx-request-id: "));
    assert_true(rg_blacklist_has(blacklist, RG_STR("s1")));
    ask("GET /v3/session-blacklist/s1", NULL, "", " 200 OK\r\n", "\r\n\r\n{}");
    ask("GET /v2/session-blacklist/s1/", NULL, "", " 200 OK\r\n", "\r\n\r\n{}");
    ask("HEAD /v2/session-blacklist/s1", NULL, "", " 200 OK\r\n", "\r\n\r\n");
    ask("GET /v3/session-blacklist/s2", NULL, "", " 404 Not Found\r\n", "\r\n\r\nNot found.");
    assert_true(peer_has(&peer, "\r\ncontent-type: text/plain; charset=utf-8\r\n"));
}

static void the_place_keeps_the_path_and_encodes_the_name(void **state)
{
    (void)state;
    ban("/v2/session-blacklist/", "{\"sessionId\":\"a b/c?\xc3\xa4\",\"validityInSeconds\":60}",
        " 201 Created\r\n", "{}");
    assert_true(peer_has(&peer, "\r\nlocation: /v2/session-blacklist/a%20b%2Fc%3F%C3%A4\r\n"));
    ask("GET /v2/session-blacklist/a%20b%2Fc%3F%C3%A4", NULL, "", " 200 OK\r\n", "{}");
    ask("GET /v2/session-blacklist/a%20b/c", NULL, "", " 404 ", "\"Not found\"}}");
    ask("GET /v2/session-blacklist/a%2", NULL, "", " 400 ",
        "\r\n\r\n{\"errors\":{\"detail\":\"Bad request\"}}");
}

static void a_name_cannot_split_the_answer(void **state)
{
    (void)state;
    ban("/v3/session-blacklist", "{\"sessionId\":\"a\\r\\nx: y\",\"validityInSeconds\":60}",
        " 201 Created\r\n", "{}");
    assert_true(peer_has(&peer, "\r\nlocation: /v3/session-blacklist/a%0D%0Ax%3A%20y\r\n"));
}

static void what_is_wrong_is_said_and_changes_nothing(void **state)
{
    static const char problem[] = "\r\n\r\n{\"errors\":{\"detail\":\"Bad request\"}}";

    (void)state;
    ban("/v3/session-blacklist", "{\"sessionId\":\"s1\"}", " 400 Bad Request\r\n",
        "\r\n\r\nMissing value for \"validityInSeconds\"");
    assert_true(peer_has(&peer, "\r\ncontent-type: text/plain; charset=utf-8\r\n"));
    ban("/v3/session-blacklist", "{", " 400 Bad Request\r\n", problem);
    assert_true(peer_has(&peer, "\r\ncontent-type: application/json; charset=utf-8\r\n"));
    ask("POST /v3/session-blacklist", "text/plain", S1, " 415 Unsupported Media Type\r\n", problem);
    ask("POST /v3/session-blacklist", NULL, S1, " 400 Bad Request\r\n",
        "\r\n\r\nMissing value for \"sessionId\"");
    assert_int_equal(rg_blacklist_count(blacklist), 0);
}

static void a_full_list_says_so(void **state)
{
    (void)state;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("a"), 60), 0);
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("b"), 60), 0);
    ban("/v3/session-blacklist", S1, " 503 Service Unavailable\r\n",
        "\r\n\r\nThere are too many banned sessions.");
}

static void other_methods_and_paths_are_not_found(void **state)
{
    static const char *const lines[] = {
        "OPTIONS /v3/session-blacklist",   "GET /v3/session-blacklist",
        "GET /v3/session-blacklist/",      "DELETE /v3/session-blacklist/s1",
        "POST /v3/session-blacklist/s1",   "POST /v1/session-blacklist",
        "GET /v3/session-blacklist/s1/s2",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(lines); i++)
        ask(lines[i], "application/json", S1, " 404 Not Found\r\n",
            "\r\n\r\n{\"errors\":{\"detail\":\"Not found\"}}");
}

int main(void)
{
#define ROUTE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_and_seconds_are_read),
        cmocka_unit_test(seconds_may_be_any_positive_number),
        cmocka_unit_test(a_wrong_validity_is_named),
        cmocka_unit_test(a_wrong_session_is_named_before_a_wrong_validity),
        cmocka_unit_test(a_long_wrong_value_is_cut_between_characters),
        cmocka_unit_test(a_session_has_a_longest_name),
        cmocka_unit_test(the_content_type_decides),
        cmocka_unit_test(what_is_no_object_of_fields_is_not_read),
        ROUTE_TEST(a_banned_session_is_found_under_its_place),
        ROUTE_TEST(the_place_keeps_the_path_and_encodes_the_name),
        ROUTE_TEST(a_name_cannot_split_the_answer),
        ROUTE_TEST(what_is_wrong_is_said_and_changes_nothing),
        ROUTE_TEST(a_full_list_says_so),
        ROUTE_TEST(other_methods_and_paths_are_not_found),
    };

    signal(SIGPIPE, SIG_IGN);
    rg_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_buf_done(&session);
    rg_rcu_thread_stop();
    return failed;
}
