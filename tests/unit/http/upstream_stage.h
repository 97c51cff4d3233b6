/*
 * upstream_stage.h - calls to a service that the test plays, on a loop that the test turns; time
 * passes only where the test says so.
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
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "http/upstream_priv.h"
#include "service.h"

#define TIMEOUT_MS 5000
#define BIG_N      ((size_t)8 * 1024 * 1024)

static struct rg_reactor reactor;
static struct rg_upstreams *upstreams;
static struct rg_upstream_settings settings;
static struct service service;
static struct peer peer; /* the service's side of a connection */

enum place {
    NOWHERE,
    AT_HEAD,
    AT_BODY
};

/* What a call was told. */
struct told {
    struct rg_upstream_call *call; /* NULL: over */
    struct rg_buf text;            /* "status length|name: value|...\n" and the body */
    unsigned heads, pieces, ends, failures, rooms;
    struct rg_upstream_switched switched; /* what became of an upgrade */
    struct rg_upstream_timing timing;     /* at the end */
    char address[64];
    enum rg_upstream_error error;
    struct rg_why why;
    enum place pauses, cancels;
    const char *follows; /* a target to be asked for at the end */
};

static struct told told, second;

static inline struct rg_upstream_call *ask(struct told *who, const char *method, const char *target,
                                           const char *body);

/* ---- what the calls tell ---- */

static inline void act(struct told *t, enum place place)
{
    if (t->pauses == place)
        rg_upstream_pause(t->call);
    if (t->cancels == place) {
        rg_upstream_cancel(t->call);
        t->call = NULL;
    }
}

static inline void note_timing(struct told *t)
{
    t->timing = *rg_upstream_get_timing(t->call);
    snprintf(t->address, sizeof(t->address), "%s", t->timing.address);
}

static inline void on_head(void *arg, const struct rg_upstream_head *head)
{
    struct told *t = arg;

    t->heads++;
    rg_buf_addf(&t->text, "%d %lld|", head->status, (long long)head->length);
    for (size_t i = 0; i < head->fields_n; i++)
        rg_buf_addf(&t->text, "%.*s: %.*s|", RG_STR_ARG(head->fields[i].name),
                    RG_STR_ARG(head->fields[i].value));
    rg_buf_add_char(&t->text, '\n');
    act(t, AT_HEAD);
}

static inline void on_body(void *arg, struct rg_str piece)
{
    struct told *t = arg;

    assert_true(piece.n > 0);
    t->pieces++;
    rg_buf_add_str(&t->text, piece);
    act(t, AT_BODY);
}

static inline void on_end(void *arg, const struct rg_http_field *trailers, size_t trailers_n)
{
    struct told *t = arg;

    t->ends++;
    for (size_t i = 0; i < trailers_n; i++)
        rg_buf_addf(&t->text, "|%.*s: %.*s", RG_STR_ARG(trailers[i].name),
                    RG_STR_ARG(trailers[i].value));
    note_timing(t);
    t->call = NULL;
    if (t->follows != NULL)
        ask(&second, "GET", t->follows, NULL);
}

static inline void on_failure(void *arg, enum rg_upstream_error error, const struct rg_why *why)
{
    struct told *t = arg;

    t->failures++;
    note_timing(t);
    t->error = error;
    t->why = *why;
    t->call = NULL;
}

static inline void on_room(void *arg)
{
    struct told *t = arg;

    t->rooms++;
}

static inline void on_switch(void *arg, const struct rg_upstream_head *head,
                             struct rg_upstream_switched *switched)
{
    struct told *t = arg;

    on_head(arg, head);
    t->ends++;
    t->switched = *switched;
    t->call = NULL;
}

static const struct rg_upstream_events events = {on_head,    on_body, on_end,
                                                 on_failure, on_room, on_switch};

/* ---- the stage ---- */

static inline struct rg_upstream_call *ask_with(struct told *who,
                                                struct rg_upstream_request *request)
{
    static const struct rg_http_field host[] = {{{"host", 4}, {"a.test", 6}}};

    if (request->host == NULL)
        request->host = "127.0.0.1";
    if (request->port == 0)
        request->port = service.port;
    if (request->fields == NULL) {
        request->fields = host;
        request->fields_n = 1;
    }
    request->response_timeout_ms = TIMEOUT_MS;
    request->may_retry = true;
    who->call = rg_upstreams_send(upstreams, request, &events, who);
    assert_int_equal(who->heads + who->pieces + who->ends + who->failures, 0);
    return who->call;
}

static inline struct rg_upstream_call *ask(struct told *who, const char *method, const char *target,
                                           const char *body)
{
    struct rg_upstream_request request = {.method = rg_str_c(method),
                                          .target = rg_str_c(target),
                                          .body = rg_str_c(body),
                                          .has_body = body != NULL};

    return ask_with(who, &request);
}

static inline void forget(struct told *t)
{
    rg_buf_done(&t->text);
    memset(t, 0, sizeof(*t));
}

static inline int setup(void **state)
{
    (void)state;
    peer_reactor_init(&reactor);
    settings = rg_upstream_default_settings;
    settings.max_head_bytes = 1000;
    upstreams = rg_upstreams_new(&reactor, &settings);
    service = service_open(16);
    peer = (struct peer){.fd = -1};
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    rg_upstreams_close_all(upstreams);
    peer_turn(&reactor);
    assert_int_equal(reactor.wheel.pending, 0);
    rg_upstreams_free(&upstreams);
    peer_close(&peer);
    service_close(&service);
    rg_reactor_done(&reactor);
    forget(&told);
    forget(&second);
    return 0;
}

/* Asks, and reads the request on a new connection. */
static inline void ask_first(const char *method, const char *body)
{
    ask(&told, method, "/first", body);
    peer = service_accept(&reactor, &service);
    service_expect(&reactor, &peer, "\r\n\r\n");
    peer_forget(&peer);
}

/* The address of the first pool, if there is just one. */
static inline struct rg_upstream_address *the_address(void)
{
    assert_non_null(upstreams->pools);
    assert_int_equal(upstreams->pools->addresses_n, 1);
    return upstreams->pools->addresses[0];
}

/* Whether there is neither a call nor a connection. */
static inline bool is_unused(void)
{
    for (const struct rg_upstream_pool *pool = upstreams->pools; pool != NULL; pool = pool->next) {
        if (pool->users + pool->open > 0)
            return false;
    }
    return true;
}

static inline void put(struct peer *to, const char *text)
{
    peer_put(to, text, strlen(text));
}

static inline void say(const char *text)
{
    put(&peer, text);
    peer_turn(&reactor);
}

static inline void expect_end(struct told *t, const char *text)
{
    WAIT_FOR(&reactor, t->ends + t->failures > 0);
    assert_int_equal(t->failures, 0);
    assert_int_equal(t->heads, 1);
    assert_int_equal(t->text.n, strlen(text));
    assert_memory_equal(t->text.p, text, t->text.n);
}

static inline void expect_failure(struct told *t, enum rg_upstream_error error)
{
    WAIT_FOR(&reactor, t->ends + t->failures > 0);
    assert_int_equal(t->ends, 0);
    assert_int_equal(t->failures, 1);
    assert_int_equal(t->error, error);
    assert_true(t->why.text[0] != '\0');
}

#define OK "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

/* One call that leaves its connection in the pool. */
static inline void keep_one(void)
{
    ask_first("GET", NULL);
    say(OK);
    expect_end(&told, "200 2|\nok");
    forget(&told);
}

static inline void expect_reuse(void)
{
    ask(&second, "GET", "/second", NULL);
    service_expect(&reactor, &peer, "GET /second HTTP/1.1\r\n");
    say(OK);
    expect_end(&second, "200 2|\nok");
    assert_true(service_is_alone(&reactor, &service));
}

/* The next call opens a connection of its own, and the first one is closed. */
static inline void expect_no_reuse(void)
{
    service_expect_end(&reactor, &peer);
    peer_close(&peer);
    ask(&second, "GET", "/second", NULL);
    peer = service_accept(&reactor, &service);
    service_expect(&reactor, &peer, "GET /second HTTP/1.1\r\n");
    say(OK);
    expect_end(&second, "200 2|\nok");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static inline void stage_begin(void)
{
    signal(SIGPIPE, SIG_IGN);
    rg_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    rg_rcu_thread_start();
}
