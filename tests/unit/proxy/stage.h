/*
 * stage.h - a client, the proxy, and a service that the test plays, on a loop that the test turns.
 *
 * Thread: the test's, which stands in for the reactor's.
 */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "../http/service.h"
#include "auth/jwt.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "http/client.h"
#include "proxy/definition.h"
#include "proxy/forward.h"

#define SECRET     "of the tests"
#define TIMEOUT_MS 5000
#define MAX_BODY   100000
#define HOST       "host: a.test\r\n"

static struct rg_reactor reactor;
static struct service service;
static struct rg_problems problems;
static struct rg_blacklist *blacklist;
static struct rg_http_client *key_client; /* fetches the key set; NULL: there is none */
static const char *key_set;               /* its URL */
static struct rg_verifier *verifier;
static struct rg_catalogue *catalogue;
static struct rg_quota *quota;
static struct rg_answers *answers;
static struct rg_request_log *request_log;
static struct rg_proxy *proxy;
static struct rg_forwarder *forwarder;
static struct rg_http_server *server;
static struct rg_route catch_all;
static struct peer client, upstream; /* upstream: the service's side of a connection */
static struct rg_buf token;          /* NUL-terminated */
static struct rg_buf records;        /* one to a line */

static inline const char *no_variable(const char *name)
{
    (void)name;
    return NULL;
}

static inline int take_record(void *arg, const char *topic, struct rg_str key, struct rg_str value,
                              rg_record_sent_fn *sent, void *sent_arg)
{
    (void)arg;
    (void)topic;
    (void)key;
    (void)sent;
    (void)sent_arg;
    rg_buf_add_str(&records, value);
    rg_buf_add_char(&records, '\n');
    return 0;
}

/* The routes of 2017. */
static inline void stage_list(struct rg_buf *json)
{
    static const struct {
        const char *method, *path;
        bool auth;
    } rows[] = {{"GET", "/open/{id}", false},   {"POST", "/open/{id}", false},
                {"PUT", "/open/{id}", false},   {"DELETE", "/open/{id}", false},
                {"PATCH", "/open/{id}", false}, {"GET", "/mine/{id}", true}};

    for (size_t i = 0; i < RG_COUNT_OF(rows); i++)
        rg_buf_addf(json,
                    "%s{\"host\":\"A\",\"port\":%u,\"path\":\"%s\",\"method\":\"%s\",\"auth\":%s}",
                    i == 0 ? "[" : ",", service.port, rows[i].path, rows[i].method,
                    rows[i].auth ? "true" : "false");
    rg_buf_add_char(json, ']');
}

/* A definition, with endpoints that have what tests need. */
static inline void stage_definition(struct rg_buf *json)
{
    static const struct {
        const char *method, *path, *more;
    } rows[] = {
        {"GET", "/items", ""},
        {"GET", "/items/([^/]+)", ""},
        {"POST", "/items", ""},
        {"PUT", "/items/([^/]+)", ""},
        {"DELETE", "/items/([^/]+)", ""},
        {"OPTIONS", "/items", ""},
        {"HEAD", "/heads", ""},
        {"GET", "/heads", ""},
        {"ODD", "/items", ""},
        {"GET", "/old/([^/]+)/part/([^/]+)", ",\"path_replacement\":\"/new/\\\\2/\\\\1\""},
        {"GET", "/mine", ",\"secured\":true"},
        {"GET", "/files/(.+)", ",\"encoded_slashes\":true"},
        {"GET", "/socket", ",\"upgrade\":true"},
        {"GET", "/rare",
         ",\"rate_limit\":{\"requests\":2,\"seconds\":60,\"burst\":2,\"by\":\"address\"}"},
        {"GET", "/later", ",\"response_from\":\"http_async\""},
        {"POST", "/later", ",\"response_from\":\"kafka\""},
        {"POST", "/events", ",\"target\":\"kafka\",\"topic\":\"t\""},
        {"OPTIONS", "/events", ",\"target\":\"kafka\",\"topic\":\"t\""},
    };

    rg_buf_add_c(json, "[{\"id\":\"shop\",\"name\":\"Shop\",\"auth_type\":\"jwt\","
                       "\"version_data\":{\"default\":{\"endpoints\":[");
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++)
        rg_buf_addf(json, "%s{\"id\":\"e%zu\",\"method\":\"%s\",\"path_regex\":\"%s\"%s}",
                    i == 0 ? "" : ",", i, rows[i].method, rows[i].path, rows[i].more);
    rg_buf_addf(json, "]}},\"proxy\":{\"target_url\":\"127.0.0.1\",\"port\":%u}}]", service.port);
}

static inline struct rg_catalogue *stage_catalogue(bool is_2017)
{
    struct rg_buf json = {0}, warnings = {0};
    struct rg_api **apis = NULL;
    size_t n = 0;

    if (is_2017)
        stage_list(&json);
    else
        stage_definition(&json);
    int err = rg_definitions_read(rg_buf_str(&json), no_variable, &problems, &warnings, &apis, &n);
    if (err < 0)
        fprintf(stderr, "%.*s", (int)problems.lines.n, problems.lines.p);
    assert_int_equal(err, 0);
    struct rg_catalogue *made = rg_catalogue_new(apis, n);
    for (size_t i = 0; i < n; i++)
        rg_api_unref(&apis[i]);
    rg_free(apis);
    rg_buf_done(&json);
    rg_buf_done(&warnings);
    return made;
}

static inline void stage_tokens(void)
{
    struct rg_buf claims = {0};

    blacklist = rg_blacklist_new();
    const struct rg_verifier_settings settings = {.alg = "HS256",
                                                  .key = RG_STR(SECRET),
                                                  .jwks = key_set,
                                                  .jwks_interval_ms = 3600000,
                                                  .session_field = "/jti",
                                                  .blacklist = blacklist,
                                                  .http = key_client};
    verifier = rg_verifier_new(&settings, NULL);
    rg_buf_addf(&claims, "{\"username\":\"ada\",\"jti\":\"ja\",\"exp\":%lld}",
                (long long)time(NULL) + 600);
    assert_int_equal(rg_jwt_mint("HS256", RG_STR(SECRET), rg_buf_str(&claims), &token, NULL), 0);
    rg_buf_add_char(&token, '\0');
    rg_buf_done(&claims);
}

static inline void stage_client(void)
{
    int theirs;

    peer_close(&client);
    client = peer_open(&theirs, 0);
    rg_http_server_accept(server, theirs);
}

static inline void stage_open(bool is_2017)
{
    signal(SIGPIPE, SIG_IGN);
    peer_reactor_init(&reactor);
    service = service_open(16);
    catalogue = stage_catalogue(is_2017);
    quota = rg_quota_new(100);
    answers = rg_answers_new(RG_STR("of the tests"));
    stage_tokens();
    const struct rg_request_log_settings log_settings = {
        .topic = "message",
        .identity = {.user = "/username", .roles = "/role"},
        .send = take_record,
        .send_event = take_record};
    request_log = rg_request_log_new(&log_settings);
    const struct rg_proxy_settings settings = {
        .catalogue = catalogue,
        .verifier = verifier,
        .quota = quota,
        .answers = answers,
        .log = request_log,
        .outgoing = {RG_WRITES_FORWARDED, NULL, "127.0.0.1", "rgate"},
        .cors = "https://a.test",
        .is_2017 = is_2017,
        .connect_timeout_ms = TIMEOUT_MS,
        .recv_timeout_ms = TIMEOUT_MS,
        .max_body_bytes = MAX_BODY,
        .answer_timeout_ms = {[RG_FROM_KAFKA] = 1000, [RG_FROM_HTTP_ASYNC] = 2000}};
    proxy = rg_proxy_new(&settings);
    forwarder = rg_forwarder_new(proxy, &reactor);
    catch_all =
        (struct rg_route){RG_METHODS_ALL, "*", rg_forward_handle, forwarder, RG_BODY_STREAMED};
    server = rg_http_server_new(&reactor, &rg_http_default_settings, &catch_all, 1);
    client = upstream = (struct peer){.fd = -1};
    stage_client();
}

static inline int stage_setup(void **state)
{
    (void)state;
    stage_open(false);
    return 0;
}

static inline int stage_setup_2017(void **state)
{
    (void)state;
    stage_open(true);
    return 0;
}

static inline int stage_teardown(void **state)
{
    (void)state;
    rg_http_server_close_all(server);
    rg_forwarder_close(forwarder);
    peer_turn(&reactor);
    assert_int_equal(reactor.wheel.pending, 0);
    rg_http_server_free(&server);
    rg_forwarder_free(&forwarder);
    rg_proxy_free(&proxy);
    rg_request_log_free(&request_log);
    rg_http_client_free(&key_client);
    rg_verifier_free(&verifier);
    rg_blacklist_free(&blacklist);
    rg_catalogue_free(&catalogue);
    rg_quota_free(&quota);
    rg_problems_done(&problems);
    rg_buf_done(&token);
    rg_buf_done(&records);
    peer_close(&client);
    peer_close(&upstream);
    service_close(&service);
    rg_reactor_done(&reactor);
    rg_answers_free(&answers);
    return 0;
}

/* Sends a request, in which @ stands for the token. */
static inline void ask(const char *text)
{
    struct rg_buf request = {0};

    for (; *text != '\0'; text++) {
        if (*text == '@')
            rg_buf_add_c(&request, token.p);
        else
            rg_buf_add_char(&request, *text);
    }
    peer_put(&client, request.p, request.n);
    rg_buf_done(&request);
    peer_turn(&reactor);
}

/* The service gets a connection, and this on it. */
static inline void expect_asked(const char *text)
{
    if (upstream.fd < 0)
        upstream = service_accept(&reactor, &service);
    service_expect(&reactor, &upstream, text);
}

static inline void answer(const char *text)
{
    peer_put(&upstream, text, strlen(text));
    peer_turn(&reactor);
}

static inline void expect_answer(const char *text)
{
    service_expect(&reactor, &client, text);
}

/* What was read begins with this status and has these texts. */
static inline void expect_refusal(const char *status_line, const char *body)
{
    expect_answer(body);
    assert_int_equal(strncmp(client.got.p, status_line, strlen(status_line)), 0);
    assert_true(peer_has(&client, body[0] == '{'
                                      ? "content-type: application/json; charset=utf-8\r\n"
                                      : "content-type: text/plain; charset=utf-8\r\n"));
    assert_true(peer_has(&client, "cache-control: max-age=0, private, must-revalidate\r\n"));
    assert_true(peer_has(&client, "x-request-id: "));
    assert_true(peer_has(&client, "traceparent: 00-"));
    assert_true(service_is_alone(&reactor, &service));
}

/* A client forgets, and has another connection. */
static inline void stage_again(void)
{
    stage_client();
    peer_close(&upstream);
    upstream = (struct peer){.fd = -1};
}

/* A count of rig_proxy_requests_total with these labels. */
static inline void expect_count(const char *labels, unsigned n)
{
    struct rg_buf out = {0};
    char line[300];

    rg_proxy_expose(proxy, &out);
    rg_buf_add_char(&out, '\0');
    snprintf(line, sizeof(line), "\nrig_proxy_requests_total{%s} %u\n", labels, n);
    assert_non_null(strstr(out.p, line));
    rg_buf_done(&out);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
#define TEST_2017(name) cmocka_unit_test_setup_teardown(name, stage_setup_2017, stage_teardown)

static inline int group_setup(void **state)
{
    (void)state;
    rg_rcu_thread_start();
    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    return 0;
}

static inline int group_teardown(void **state)
{
    (void)state;
    rg_rcu_thread_stop();
    return 0;
}
