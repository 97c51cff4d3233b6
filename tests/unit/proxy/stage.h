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
#include "proxy/forward.h"
#include "proxy/route_list.h"

#define SECRET     "of the tests"
#define TIMEOUT_MS 5000
#define MAX_BODY   100000
#define HOST       "host: a.test\r\n"

static struct rg_reactor reactor;
static struct service service;
static struct rg_problems problems;
static struct rg_blacklist *blacklist;
static struct rg_verifier *verifier;
static struct rg_proxy_routes *routes;
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

static inline struct rg_proxy_routes *stage_routes(void)
{
    static const struct {
        const char *method, *path;
        bool auth;
    } rows[] = {{"GET", "/open/{id}", false},   {"POST", "/open/{id}", false},
                {"PUT", "/open/{id}", false},   {"DELETE", "/open/{id}", false},
                {"PATCH", "/open/{id}", false}, {"GET", "/mine/{id}", true}};
    struct rg_buf json = {0}, warnings = {0};

    for (size_t i = 0; i < RG_COUNT_OF(rows); i++)
        rg_buf_addf(&json,
                    "%s{\"host\":\"A\",\"port\":%u,\"path\":\"%s\",\"method\":\"%s\",\"auth\":%s}",
                    i == 0 ? "[" : ",", service.port, rows[i].path, rows[i].method,
                    rows[i].auth ? "true" : "false");
    rg_buf_add_char(&json, ']');
    struct rg_proxy_routes *made =
        rg_route_list_read(rg_buf_str(&json), no_variable, &problems, &warnings);
    assert_non_null(made);
    rg_buf_done(&json);
    rg_buf_done(&warnings);
    return made;
}

static inline void stage_tokens(void)
{
    struct rg_buf claims = {0};

    blacklist = rg_blacklist_new();
    const struct rg_verifier_settings settings = {
        .alg = "HS256", .key = RG_STR(SECRET), .session_field = "/jti", .blacklist = blacklist};
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

static inline int stage_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    peer_reactor_init(&reactor);
    service = service_open(16);
    routes = stage_routes();
    stage_tokens();
    const struct rg_request_log_settings log_settings = {
        .topic = "message",
        .identity = {.user = "/username", .roles = "/role"},
        .send = take_record};
    request_log = rg_request_log_new(&log_settings);
    const struct rg_proxy_settings settings = {.routes = routes,
                                               .verifier = verifier,
                                               .log = request_log,
                                               .connect_timeout_ms = TIMEOUT_MS,
                                               .recv_timeout_ms = TIMEOUT_MS};
    proxy = rg_proxy_new(&settings);
    forwarder = rg_forwarder_new(proxy, &reactor);
    catch_all = (struct rg_route){RG_METHODS_ALL, "*", rg_forward_handle, forwarder, MAX_BODY};
    server = rg_http_server_new(&reactor, &rg_http_default_settings, &catch_all, 1);
    rg_forwarder_attach(forwarder, server);
    client = upstream = (struct peer){.fd = -1};
    stage_client();
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
    rg_verifier_free(&verifier);
    rg_blacklist_free(&blacklist);
    rg_proxy_routes_free(&routes);
    rg_problems_done(&problems);
    rg_buf_done(&token);
    rg_buf_done(&records);
    peer_close(&client);
    peer_close(&upstream);
    service_close(&service);
    rg_reactor_done(&reactor);
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
    assert_true(peer_has(&client, "content-type: application/json; charset=utf-8\r\n"));
    assert_true(service_is_alone(&reactor, &service));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

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
