/*
 * Who is let in: two hubs on loops that the test runs itself, with the client API in front of them
 * and what it asks behind them: a verifier, a blacklist, tickets, limits, and a service on a thread
 * of its own that answers what the test says.
 */
#include "service.h"
#include "stage.h"

#include <time.h>

#include "auth/jwt.h"
#include "base/base64.h"
#include "http/client.h"
#include "http/query.h"
#include "push/limits.h"

#define SECRET "a secret of thirty-two bytes or more"
#define REFUSED_CLOSE                                                                              \
    "\r\n\r\n\x88\x0e\x03\xe8"                                                                     \
    "Bad request."
#define MINUTE "Reached maximum number of connections"

static const char extractors_json[] =
    "{\"chat.posted\":{"
    "\"room\":{\"stable_field_index\":0,\"event\":{\"json_pointer\":\"/data/room\"}},"
    "\"author\":{\"stable_field_index\":1,\"event\":{\"json_pointer\":\"/data/author\"},"
    "\"jwt\":{\"json_pointer\":\"/username\"}}}}";

static char *texts[200];
static size_t texts_n;

static struct rg_http_client *client;
static struct rg_blacklist *blacklist;
static struct rg_verifier *verifier;
static struct rg_tickets *tickets;
static struct rg_limits *limits;
static struct rg_policy asks;

/* ---- the stage ---- */

/* jwks NULL: with the secret; otherwise with the keys that are there. */
static void verifier_init(const char *jwks)
{
    struct rg_verifier_settings settings = {.alg = "HS256",
                                            .jwks = jwks,
                                            .jwks_interval_ms = 3600000,
                                            .session_field = "/jti",
                                            .cache_entries = 100,
                                            .blacklist = blacklist,
                                            .http = client};
    struct rg_why why = {0};

    if (jwks == NULL)
        settings.key = RG_STR(SECRET);
    verifier = rg_verifier_new(&settings, &why);
    if (verifier == NULL)
        fail_msg("%s", why.text);
}

static int begin_play(void **state)
{
    struct rg_push_settings settings = {
        .cors = "*",
        .client_queue_bytes = 65536,
        .heartbeat_ms = 15000,
        .write_timeout_ms = 10000,
        .longpoll_wait_ms = 5000,
        .longpoll_idle_ms = 3600000,
        .max_subscriptions = 100,
        .max_event_bytes = 1 << 20,
        .compression_min_bytes = SIZE_MAX,
    };
    struct rg_why why = {0};

    (void)state;
    client = rg_http_client_new(&rg_http_client_default_settings);
    blacklist = rg_blacklist_new();
    verifier_init(NULL);
    tickets = rg_tickets_new(60000, 2);
    assert_int_equal(rg_policy_init(&asks, "SUBSCRIPTION_CHECK", service.url, client, &why), 0);
    settings.verifier = verifier;
    settings.blacklist = blacklist;
    settings.tickets = tickets;
    push = rg_push_new(&settings, extractors);
    shard_init(0);
    shard_init(1);
    service_answers(200, "");
    service.requests = 0;
    return 0;
}

static size_t questions(void)
{
    return shards[0].hub->questions_n + shards[1].hub->questions_n;
}

/* Ends in the order that the program must follow; see question.h. */
static int end_play(void **state)
{
    for (size_t i = 0; i < peers_n; i++)
        peer_close(&peers[i]);
    turn();
    for (unsigned i = 0; i < 2; i++) {
        rg_hub_kill_all(shards[i].hub);
        rg_http_server_close_all(shards[i].http);
    }
    rg_http_client_free(&client);
    turn();
    assert_int_equal(questions(), 0);
    teardown(state);
    rg_verifier_free(&verifier);
    rg_tickets_free(&tickets);
    rg_blacklist_free(&blacklist);
    rg_limits_free(&limits);
    while (texts_n > 0)
        free(texts[--texts_n]);
    return 0;
}

static uint64_t refused(enum rg_refusal refusal)
{
    return rg_counters_get(shards[0].hub->counters, RG_HUB_REFUSALS + (size_t)refusal) +
           rg_counters_get(shards[1].hub->counters, RG_HUB_REFUSALS + (size_t)refusal);
}

/* Some text that stays until the end of the test. */
static const char *format(const char *fmt, ...)
{
    char *text;
    va_list args;

    assert_true(texts_n < RG_COUNT_OF(texts));
    va_start(args, fmt);
    assert_true(vasprintf(&text, fmt, args) >= 0);
    va_end(args);
    texts[texts_n++] = text;
    return text;
}

/* ---- clients ---- */

static void send_to(struct peer *peer, const char *method, const char *target, const char *fields,
                    const char *body)
{
    struct rg_buf text = {0};

    rg_buf_addf(&text, "%s %s HTTP/1.1\r\nhost: h\r\n%s", method, target, fields);
    if (body != NULL)
        rg_buf_addf(&text, "content-length: %zu\r\n", strlen(body));
    rg_buf_addf(&text, "\r\n%s", body != NULL ? body : "");
    peer_put(peer, text.p, text.n);
    rg_buf_done(&text);
    hear(peer);
}

/* A request on a connection of its own; returns that with what was answered at once. */
static struct peer *ask(const char *method, const char *target, const char *fields,
                        const char *body)
{
    struct peer *peer = connect_to(0, 0);

    send_to(peer, method, target, fields, body);
    return peer;
}

/* Turns the loops until peer has part; the service and the HTTP client run meanwhile. */
static void wait_for(struct peer *peer, const char *part)
{
    do {
        sched_yield();
        hear(peer);
    } while (!peer_has(peer, part) && !peer->has_seen_end);
    if (!peer_has(peer, part))
        fail_msg("%s", peer->got.p);
}

static void wait_for_requests(unsigned n)
{
    while (service_requests() < n) {
        sched_yield();
        turn();
    }
}

/* Every question was answered, also those whose clients have gone. */
static void wait_for_answers(void)
{
    while (questions() > 0) {
        sched_yield();
        turn();
    }
}

/* text "": whatever it says. */
static void expect(struct peer *peer, int status, const char *text)
{
    char line[32];
    bool has_text = *text == '\0' || peer_has(peer, text);

    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (!rg_str_starts_with(rg_buf_str(&peer->got), rg_str_c(line)) || !has_text)
        fail_msg("expected %d %s, got %.*s", status, text, RG_STR_ARG(rg_buf_str(&peer->got)));
}

/* The target of a connect request: parameters as they are, subscriptions percent-encoded. */
static const char *target_with(const char *path, const char *params, const char *subscriptions)
{
    struct rg_buf coded = {0};

    if (subscriptions != NULL) {
        rg_buf_add_c(&coded, "&subscriptions=");
        rg_percent_encode(&coded, rg_str_c(subscriptions));
    }
    const char *target =
        format("/_rig/v1/connection/%s?%s%.*s", path, params, RG_STR_ARG(rg_buf_str(&coded)));
    rg_buf_done(&coded);
    return target;
}

static struct peer *open_sse(const char *params, const char *subscriptions, const char *fields)
{
    return ask("GET", target_with("sse", params, subscriptions), fields, NULL);
}

static struct peer *open_ws(const char *params, const char *subscriptions, const char *fields)
{
    return ask("GET", target_with("ws", params, subscriptions), format(WS_FIELDS "%s", fields),
               NULL);
}

static struct peer *open_longpoll(const char *params, const char *subscriptions, const char *fields)
{
    return ask("GET", target_with("longpolling", params, subscriptions), fields, NULL);
}

static void expect_in(struct peer *peer)
{
    expect(peer, 200, "event: rig.connection.create\n");
    assert_true(peer_has(peer, "event: rig.subscriptions_set\n"));
}

static void expect_ws_refused(struct peer *peer)
{
    expect(peer, 101, REFUSED_CLOSE);
    assert_false(peer_has(peer, "rig."));
}

/* ---- tokens ---- */

/* Claims as JSON members behind exp. */
static const char *token_until(int64_t exp_s, const char *claims)
{
    const char *json =
        format("{\"exp\":%lld%s%s}", (long long)exp_s, *claims != '\0' ? "," : "", claims);
    struct rg_buf text = {0};
    struct rg_why why = {0};

    if (rg_jwt_mint("HS256", RG_STR(SECRET), rg_str_c(json), &text, &why) < 0)
        fail_msg("%s", why.text);
    const char *token = format("%.*s", RG_STR_ARG(rg_buf_str(&text)));
    rg_buf_done(&text);
    return token;
}

static const char *token(const char *claims)
{
    return token_until((int64_t)time(NULL) + 600, claims);
}

static const char *jwt(const char *claims)
{
    return format("jwt=%s", token(claims));
}

static const char *bearer(const char *claims)
{
    return format("authorization: Bearer %s\r\n", token(claims));
}

/* What stands between two parts in what peer got. */
static const char *between(struct peer *peer, const char *before, const char *behind)
{
    const char *p = strstr(hear(peer), before), *end;

    assert_non_null(p);
    p += strlen(before);
    end = strstr(p, behind);
    assert_non_null(end);
    return format("%.*s", (int)(end - p), p);
}

static const char *connection_token(struct peer *peer)
{
    return between(peer, "\"connection_token\":\"", "\"");
}

static struct peer *put_on(unsigned shard, const char *connection, const char *fields,
                           const char *body)
{
    struct peer *peer = connect_to(shard, 0);

    send_to(peer, "PUT", format("/_rig/v1/connection/sse/%s/subscriptions", connection),
            format("content-type: application/json\r\n%s", fields), body);
    return peer;
}

static struct peer *put(const char *connection, const char *fields, const char *body)
{
    return put_on(0, connection, fields, body);
}

static struct peer *post(const char *type, const char *fields, const char *body)
{
    return ask("POST", "/_rig/v1/events", format("content-type: %s\r\n%s", type, fields), body);
}

#define EVENT(id)                                                                                  \
    "{\"specversion\":\"0.2\",\"type\":\"chat.posted\",\"source\":\"/t\",\"id\":\"" id "\"}"

/* ---- tokens at connect ---- */

static void a_valid_token_opens_and_subscribes(void **state)
{
    struct peer *peer = open_sse(jwt("\"username\":\"ada\""), NULL, "");

    (void)state;
    expect_in(peer);
    assert_true(peer_has(peer, "\"data\":[{\"eventType\":\"chat.posted\","
                               "\"oneOf\":[{\"author\":\"ada\"}]}]"));
    peer = open_ws(jwt("\"username\":\"ada\""), NULL, "");
    expect(peer, 101, "\"oneOf\":[{\"author\":\"ada\"}]}]");
    peer = open_longpoll(jwt("\"username\":\"ada\""), NULL, "");
    expect(peer, 200, "\"ok\"");
}

static void given_and_automatic_subscriptions_are_listed_once(void **state)
{
    struct peer *peer =
        open_sse(jwt("\"username\":\"ada\""),
                 "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"author\":\"bob\"}]},"
                 "{\"eventType\":\"chat.posted\",\"oneOf\":[{\"author\":\"ada\"}]}]",
                 "");

    (void)state;
    expect_in(peer);
    assert_true(peer_has(peer, "\"data\":[{\"eventType\":\"chat.posted\","
                               "\"oneOf\":[{\"author\":\"ada\"}]},{\"eventType\":\"chat.posted\","
                               "\"oneOf\":[{\"author\":\"bob\"}]}]"));
}

static void a_token_that_is_not_valid_is_told_why(void **state)
{
    static const char prefix[] = "could not parse subscriptions: could not decode JWT: ";
    const char *good = token("");

    (void)state;
    expect(open_sse("jwt=foobar", NULL, ""), 400, format("%sCould not verify token", prefix));
    expect(open_sse(format("jwt=Bearer%%20%s", good), NULL, ""), 400, prefix);
    expect(open_sse(format("jwt=%sx", good), NULL, ""), 400, prefix);
    expect(open_sse(format("jwt=%s", token_until(1, "")), NULL, ""), 400,
           format("%stoken expired", prefix));
    expect(open_longpoll("jwt=foobar", NULL, ""), 400, prefix);
    expect_ws_refused(open_ws("jwt=foobar", NULL, ""));
    assert_int_equal(refused(RG_REFUSED_TOKEN), 6);
}

static void no_token_needs_none(void **state)
{
    (void)state;
    expect_in(open_sse("jwt=&subscriptions=&ticket=", NULL, ""));
    /* Headers and cookies are not looked at unless asked to (4.1). */
    struct peer *peer = open_sse("", NULL, bearer("\"username\":\"ada\""));
    expect_in(peer);
    assert_true(peer_has(peer, "\"data\":[]"));
    peer = open_sse("", NULL, "cookie: token=nonsense\r\n");
    expect_in(peer);
}

static void the_first_failure_decides(void **state)
{
    (void)state;
    expect(open_sse("jwt=foobar", "can't { be", ""), 400, "Failed to decode subscription list: ");
    expect(open_sse("jwt=foobar", "[1]", ""), 400, "could not decode JWT");
    expect(open_longpoll("jwt=foobar", "can't { be", ""), 400, "could not decode JWT");
    expect(open_longpoll("", "can't { be", ""), 400, "could not parse subscriptions: ");
    expect(open_sse("", "{\"subscriptions\":[]}", ""), 400, "could not parse subscriptions: ");
    expect(open_longpoll("", "{\"subscriptions\":[]}", ""), 200, "\"ok\"");
    expect(open_sse("jwt=%zz", NULL, ""), 400, "malformed query string");
    expect(open_sse("jwt=a&subscriptions=%", NULL, ""), 400, "malformed query string");
    assert_int_equal(refused(RG_REFUSED_SUBSCRIPTIONS), 3);
    assert_int_equal(refused(RG_REFUSED_QUERY), 2);
}

static void a_banned_session_is_not_let_in(void **state)
{
    (void)state;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 60), 0);
    expect(open_sse(jwt("\"jti\":\"s1\""), NULL, ""), 400,
           "Ignoring blacklisted JWT with ID \"s1\".");
    expect(open_longpoll(jwt("\"jti\":\"s1\""), NULL, ""), 400, "Ignoring blacklisted JWT");
    expect_ws_refused(open_ws(jwt("\"jti\":\"s1\""), NULL, ""));
    expect_in(open_sse(jwt("\"jti\":\"s2\""), NULL, ""));
}

static void a_client_belongs_to_the_session_of_its_token(void **state)
{
    struct peer *a = open_sse(jwt("\"jti\":\"s1\""), NULL, "");
    struct peer *b = open_ws(jwt("\"jti\":\"s1\""), NULL, "");
    struct peer *c = open_sse(jwt("\"jti\":\"s2\""), NULL, "");
    struct peer *d = open_sse("", NULL, "");

    (void)state;
    expect(put_on(1, connection_token(d), bearer("\"jti\":\"s1\""), "{\"subscriptions\":[]}"), 204,
           "");
    rg_push_kill_session(push, RG_STR("s1"));
    hear(a);
    assert_true(peer_has(a, "event: rig.session_killed\n"));
    assert_true(a->has_seen_end);
    hear(b);
    assert_true(peer_has(b, "Session killed."));
    hear(c);
    assert_false(peer_has(c, "rig.session_killed"));
    hear(d);
    assert_true(peer_has(d, "event: rig.session_killed\n"));
}

/* ---- the cookie ---- */

static void a_cookie_counts_where_nothing_else_was_given(void **state)
{
    const char *cookie = format("cookie: a=b; token=%s\r\n", token("\"username\":\"ada\""));

    (void)state;
    push->settings.jwt_cookie = "token";
    expect(open_sse("", NULL, cookie), 200, "\"author\":\"ada\"");
    expect(open_ws("", NULL, cookie), 101, "\"author\":\"ada\"");
    expect(open_longpoll("", NULL, cookie), 200, "\"ok\"");
    expect(open_sse(jwt("\"username\":\"bob\""), NULL, cookie), 200, "\"author\":\"bob\"");
    expect(open_sse("jwt=foobar", NULL, cookie), 400, "could not decode JWT");
    expect(open_sse("ticket=foobar", NULL, cookie), 400, "could not redeem ticket");
    expect(open_sse("", NULL, "cookie: token=nonsense\r\n"), 400, "could not decode JWT");
    expect_in(open_sse("", NULL, "cookie: token=\r\n"));
}

static void a_cookie_counts_for_subscriptions_and_events(void **state)
{
    const char *cookie = format("cookie: token=%s\r\n", token("\"username\":\"ada\""));
    struct peer *peer = open_sse("", NULL, "");

    (void)state;
    push->settings.jwt_cookie = "token";
    push->settings.origins = "https://ui.example";
    push->settings.subscription_check.kind = RG_POLICY_TOKEN;
    push->settings.submission_check.kind = RG_POLICY_TOKEN;
    expect(put(connection_token(peer), cookie, "{\"subscriptions\":[]}"), 204, "");
    hear(peer);
    assert_true(peer_has(peer, "\"author\":\"ada\""));
    expect(post("application/json", cookie, EVENT("e1")), 202, EVENT("e1"));
    /* A proxy's credentials are no token. */
    expect(post("application/json", format("%sauthorization: Basic eDp5\r\n", cookie), EVENT("e1")),
           202, EVENT("e1"));
    expect(post("application/json", format("%sauthorization: Bearer x\r\n", cookie), EVENT("e1")),
           403, "Submission denied.");
    expect(
        post("application/json", format("%sorigin: https://evil.example\r\n", cookie), EVENT("e1")),
        403, "");
    expect(put(connection_token(peer), format("%sorigin: https://evil.example\r\n", cookie),
               "{\"subscriptions\":[]}"),
           403, "Origin not allowed.");
}

static void credentials_are_allowed_to_the_page_that_cors_names(void **state)
{
    (void)state;
    push->settings.jwt_cookie = "token";
    assert_false(peer_has(open_sse("", NULL, ""), "access-control-allow-credentials"));
    push->settings.cors = "https://ui.example";
    expect(open_sse("", NULL, ""), 200, "access-control-allow-credentials: true\r\n");
    expect(open_sse("jwt=x", NULL, ""), 400, "access-control-allow-credentials: true\r\n");
    push->settings.jwt_cookie = NULL;
    assert_false(peer_has(open_sse("", NULL, ""), "access-control-allow-credentials"));
}

/* ---- origins ---- */

static void a_websocket_from_a_page_that_is_not_listed_is_refused(void **state)
{
    (void)state;
    push->settings.origins = "https://ui.example, http://localhost:8080";
    struct peer *peer = open_ws("", NULL, "origin: https://evil.example\r\n");
    expect(peer, 403, "Origin not allowed.");
    assert_true(peer_has(peer, "content-type: text/plain; charset=utf-8\r\n"));
    assert_int_equal(refused(RG_REFUSED_ORIGIN), 1);
    expect(open_ws("", NULL, "origin: null\r\n"), 403, "");
    expect(open_ws("", NULL, "origin: https://ui.example\r\norigin: https://evil.example\r\n"), 403,
           "");
    expect(open_ws("", NULL, "origin: https://ui.example.evil\r\n"), 403, "");
    expect(open_ws("", NULL, "origin: https://ui.example\r\n"), 101, "rig.subscriptions_set");
    expect(open_ws("", NULL, "origin: HTTP://localhost:8080\r\n"), 101, "rig.subscriptions_set");
    expect(open_ws("", NULL, ""), 101, "rig.subscriptions_set");
    expect(open_sse("", NULL, "origin: https://evil.example\r\n"), 200, "rig.subscriptions_set");
}

static void any_origin_will_do_by_default(void **state)
{
    (void)state;
    expect(open_ws("", NULL, "origin: https://any.example\r\n"), 101, "rig.subscriptions_set");
    push->settings.origins = "*";
    expect(open_ws("", NULL, "origin: https://any.example\r\n"), 101, "rig.subscriptions_set");
}

static void a_cookie_from_a_page_that_is_not_listed_is_refused(void **state)
{
    const char *fields = format("origin: https://evil.example\r\ncookie: token=%s\r\n", token(""));

    (void)state;
    push->settings.jwt_cookie = "token";
    push->settings.origins = "https://ui.example";
    expect(open_sse("", NULL, fields), 403, "Origin not allowed.");
    expect(open_longpoll("", NULL, fields), 403, "Origin not allowed.");
    /* A token that the page has itself is no cookie. */
    expect_in(open_sse(jwt(""), NULL, fields));
    assert_int_equal(refused(RG_REFUSED_ORIGIN), 2);
}

/* ---- tickets ---- */

static struct peer *order(const char *fields)
{
    return ask("POST", "/_rig/v1/tickets", fields, "");
}

static const char *ticket_for(const char *claims)
{
    return format("ticket=%s", between(order(bearer(claims)), "{\"ticket\":\"", "\""));
}

static void a_ticket_opens_one_connection_like_its_token(void **state)
{
    struct peer *peer = order(bearer("\"username\":\"ada\",\"jti\":\"s1\""));
    const char *ticket = format("ticket=%s", between(peer, "{\"ticket\":\"", "\""));

    (void)state;
    expect(peer, 201, "\",\"expires_in\":60}");
    assert_true(peer_has(peer, "cache-control: no-store\r\n"));
    assert_true(peer_has(peer, "access-control-allow-origin: *\r\n"));
    peer = open_sse(ticket, NULL, "");
    expect_in(peer);
    assert_true(peer_has(peer, "\"author\":\"ada\""));
    expect(open_sse(ticket, NULL, ""), 400, "could not redeem ticket");
    rg_push_kill_session(push, RG_STR("s1"));
    hear(peer);
    assert_true(peer_has(peer, "event: rig.session_killed\n"));

    expect(open_ws(ticket_for("\"username\":\"ada\""), NULL, ""), 101, "\"author\":\"ada\"");
    expect(open_longpoll(ticket_for(""), NULL, ""), 200, "\"ok\"");
    expect_ws_refused(open_ws("ticket=nonsense", NULL, ""));
}

static void a_ticket_needs_a_valid_token(void **state)
{
    (void)state;
    struct peer *peer = order("");
    expect(peer, 401, "A ticket needs a valid bearer token");
    assert_true(peer_has(peer, "www-authenticate: Bearer\r\n"));
    assert_true(peer_has(peer, "content-type: text/plain; charset=utf-8\r\n"));
    expect(order("authorization: Bearer nonsense\r\n"), 401, "Could not verify token");
    expect(order("authorization: Basic eDp5\r\n"), 401, "");
    expect(order(format("authorization: Bearer %s, Bearer x\r\n", token(""))), 401, "");
    /* A page that is not trusted must not get one from a cookie. */
    push->settings.jwt_cookie = "token";
    expect(order(format("cookie: token=%s\r\n", token(""))), 401, "");
}

static void a_ticket_has_a_preflight(void **state)
{
    struct peer *peer = ask("OPTIONS", "/_rig/v1/tickets", "", NULL);

    (void)state;
    expect(peer, 204, "access-control-allow-methods: POST\r\n");
    assert_true(peer_has(peer, "access-control-allow-headers: content-type,authorization\r\n"));
}

static void tickets_are_bounded(void **state)
{
    (void)state;
    expect(order(bearer("")), 201, "");
    expect(order(bearer("")), 201, "");
    struct peer *peer = order(bearer(""));
    expect(peer, 503, "Too many tickets are outstanding");
    assert_true(peer_has(peer, "retry-after: "));
}

static void a_ticket_ends_after_a_while(void **state)
{
    const char *ticket = ticket_for("");

    (void)state;
    shards[0].reactor.now_ms += 60000;
    expect(open_sse(ticket, NULL, ""), 400, "could not redeem ticket");
}

static void a_ticket_of_a_token_that_is_no_longer_good_is_refused_like_it(void **state)
{
    const char *ticket = ticket_for("\"jti\":\"s1\"");
    char text[RG_TICKET_LEN + 1];

    (void)state;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 60), 0);
    expect(open_sse(ticket, NULL, ""), 400,
           "could not decode JWT: Ignoring blacklisted JWT with ID \"s1\".");
    assert_int_equal(
        rg_tickets_issue(tickets, rg_str_c(token_until(1, "")), shards[0].reactor.now_ms, text), 0);
    expect(open_sse(format("ticket=%s", text), NULL, ""), 400,
           "could not decode JWT: token expired");
}

static void without_tickets_there_is_no_such_path(void **state)
{
    (void)state;
    push->settings.tickets = NULL;
    expect(order(bearer("")), 404, "{\"message\":\"Not Found\"}");
    expect(open_sse("ticket=x", NULL, ""), 400, "could not redeem ticket");
}

/* ---- SUBSCRIPTION_CHECK ---- */

static void a_token_is_asked_for_where_subscriptions_were_given(void **state)
{
    (void)state;
    push->settings.subscription_check.kind = RG_POLICY_TOKEN;
    expect_in(open_sse("", NULL, ""));
    expect(open_sse("", "[]", ""), 400, "Subscription denied (not authorized).");
    expect(open_longpoll("", CHAT, ""), 400, "Subscription denied (not authorized).");
    expect_ws_refused(open_ws("", CHAT, ""));
    expect_in(open_sse(jwt(""), "[]", ""));
    expect(open_longpoll(jwt(""), CHAT, ""), 200, "\"ok\"");
    expect_in(open_sse(ticket_for(""), CHAT, ""));
    assert_int_equal(refused(RG_REFUSED_CHECK), 3);
}

static void a_change_needs_one_valid_token(void **state)
{
    const char *connection = connection_token(open_sse("", NULL, ""));
    static const char empty[] = "{\"subscriptions\":[]}";
    const char *good = token("");

    (void)state;
    push->settings.subscription_check.kind = RG_POLICY_TOKEN;
    expect(put(connection, "", empty), 403, "Subscription denied.");
    expect(put(connection, "authorization: Basic eDp5\r\n", empty), 403, "Subscription denied.");
    expect(put(connection, bearer(""), empty), 204, "");
    expect(put(connection, format("authorization: bearer %s\r\n", good), empty), 204, "");
    expect(put(connection, format("authorization: %s\r\n", good), empty), 204, "");
    expect(
        put(connection, format("authorization: Basic eDp5\r\nauthorization: %s\r\n", good), empty),
        204, "");
    /* The check comes before the connection token. */
    expect(put("abcd", "", empty), 403, "Subscription denied.");
    expect(put("abcd", bearer(""), empty), 400, "Invalid connection token.");
}

static void every_token_of_a_change_must_be_valid(void **state)
{
    const char *connection = connection_token(open_sse("", NULL, ""));
    static const char empty[] = "{\"subscriptions\":[]}";

    (void)state;
    expect(put(connection, "authorization: Bearer nonsense\r\n", empty), 400,
           "cannot accept subscription request: invalid authorization header");
    expect(
        put(connection, format("authorization: Bearer %s, Bearer nonsense\r\n", token("")), empty),
        400, "cannot accept subscription request: invalid authorization header");
    expect(put(connection, "authorization: a,b,c,d,e,f,g,h,i\r\n", empty), 400,
           "invalid authorization header");
    expect(put(connection, "authorization: Basic eDp5\r\n", empty), 204, "");
    expect(put(connection, "", "{\"subscriptions\":\"x\"}"), 400,
           "cannot accept subscription request: could not parse given subscriptions");
}

static void a_change_brings_the_automatic_subscriptions_of_its_own_tokens(void **state)
{
    struct peer *peer = open_sse(jwt("\"username\":\"ada\""), NULL, "");
    const char *connection = connection_token(peer);

    (void)state;
    peer_forget(peer);
    expect(put(connection, "", "{\"subscriptions\":[{\"eventType\":\"a\"},{\"eventType\":\"a\"}]}"),
           204, "");
    hear(peer);
    assert_true(peer_has(peer, "\"data\":[{\"eventType\":\"a\",\"oneOf\":[]},"
                               "{\"eventType\":\"a\",\"oneOf\":[]}]"));
    peer_forget(peer);
    expect(put_on(1, connection,
                  format("authorization: Bearer %s, Bearer %s\r\n", token("\"username\":\"bob\""),
                         token("\"username\":\"eve\"")),
                  "{\"subscriptions\":[{\"eventType\":\"a\"}]}"),
           204, "");
    hear(peer);
    assert_true(peer_has(peer, "\"data\":[{\"eventType\":\"chat.posted\",\"oneOf\":"
                               "[{\"author\":\"bob\"}]},{\"eventType\":\"a\",\"oneOf\":[]}]"));
}

static void a_valid_token_binds_though_another_is_invalid(void **state)
{
    struct peer *peer = open_sse("", NULL, "");

    (void)state;
    expect(put(connection_token(peer),
               format("authorization: Bearer %s, Bearer nonsense\r\n", token("\"jti\":\"s1\"")),
               "{\"subscriptions\":[]}"),
           400, "");
    rg_push_kill_session(push, RG_STR("s1"));
    hear(peer);
    assert_true(peer_has(peer, "event: rig.session_killed\n"));
}

/* ---- the external check ---- */

static void a_service_says_who_may_subscribe(void **state)
{
    const char *good = token("\"username\":\"ada\"");
    struct peer *peer;

    (void)state;
    push->settings.subscription_check = asks;
    peer = open_sse(format("jwt=%s", good), CHAT, "");
    wait_for(peer, "rig.subscriptions_set");
    expect_in(peer);
    assert_true(service_got("POST /Check HTTP/1.1\r\n"));
    assert_true(service_got("\r\ncontent-type: application/json; charset=utf-8\r\n"));
    assert_true(service_got(format("\r\nauthorization: Bearer %s\r\n", good)));
    assert_true(service_got("\r\n\r\n{\"subscriptions\":" CHAT "}"));

    peer = open_longpoll("", "{\"subscriptions\": " CHAT "}", "");
    wait_for(peer, "\"ok\"");
    assert_false(service_got("\r\nauthorization:"));
    assert_true(service_got("\r\n\r\n{\"subscriptions\":" CHAT "}"));
    peer = open_ws("", CHAT, "");
    wait_for(peer, "rig.subscriptions_set");
    assert_int_equal(service_requests(), 3);
    /* A ticket stands for its token here too. */
    peer = open_sse(ticket_for(""), CHAT, "");
    wait_for(peer, "rig.subscriptions_set");
    assert_true(service_got("\r\nauthorization: Bearer ey"));
    /* Automatic subscriptions need no approval. */
    expect_in(open_sse(format("jwt=%s", good), NULL, ""));
    assert_int_equal(service_requests(), 4);
}

static void whatever_else_the_service_answers_means_no(void **state)
{
    static const int statuses[] = {401, 403, 400, 500, 302};
    const char *connection = connection_token(open_sse("", NULL, ""));

    (void)state;
    push->settings.subscription_check = asks;
    for (size_t i = 0; i < RG_COUNT_OF(statuses); i++) {
        service_answers(statuses[i], "");
        struct peer *peer = open_sse("", CHAT, "");
        wait_for(peer, "HTTP/1.1");
        expect(peer, 400, "Subscription denied (not authorized).");
        peer = put(connection, "", "{\"subscriptions\":[]}");
        wait_for(peer, "HTTP/1.1");
        expect(peer, 403, "Subscription denied.");
    }
    struct peer *peer = open_ws("", CHAT, "");
    wait_for(peer, "HTTP/1.1");
    expect_ws_refused(peer);
    peer = open_longpoll("", CHAT, "");
    wait_for(peer, "HTTP/1.1");
    expect(peer, 400, "Subscription denied (not authorized).");
}

static void a_service_that_is_down_means_no(void **state)
{
    struct rg_why why = {0};

    (void)state;
    /* Port 9 of the loopback: nobody listens there. */
    assert_int_equal(rg_policy_init(&push->settings.subscription_check, "SUBSCRIPTION_CHECK",
                                    "http://127.0.0.1:9/", client, &why),
                     0);
    struct peer *peer = open_sse("", CHAT, "");
    wait_for(peer, "HTTP/1.1");
    expect(peer, 400, "Subscription denied (not authorized).");
}

static void a_change_is_shown_to_the_service_as_it_came(void **state)
{
    struct peer *peer = open_sse("", NULL, "");
    static const char body[] = "{ \"subscriptions\" : [ {\"event_type\":\"a\"} ], \"x\":1 }";

    (void)state;
    push->settings.subscription_check = asks;
    struct peer *change = put_on(1, connection_token(peer), bearer("\"username\":\"ada\""), body);
    wait_for(change, "HTTP/1.1");
    expect(change, 204, "");
    hear(peer);
    assert_true(peer_has(peer, "\"data\":[{\"eventType\":\"chat.posted\",\"oneOf\":"
                               "[{\"author\":\"ada\"}]},{\"eventType\":\"a\",\"oneOf\":[]}]"));
    assert_true(service_got(format("\r\n\r\n%s", body)));
    assert_true(service_got("\r\ncontent-type: application/json\r\n"));
    assert_true(service_got("\r\nauthorization: Bearer ey"));
    change = put("abcd", "", body);
    wait_for(change, "HTTP/1.1");
    expect(change, 400, "Invalid connection token.");
    assert_false(service_got("\r\nauthorization:"));
}

static void others_are_served_while_the_service_thinks(void **state)
{
    struct peer *waits, *peer;

    (void)state;
    push->settings.subscription_check = asks;
    service_hold(true);
    waits = open_sse("", CHAT, "");
    wait_for_requests(1);
    expect_in(open_sse("", NULL, ""));
    peer = post("application/json", "", EVENT("e1"));
    expect(peer, 202, EVENT("e1"));
    assert_int_equal(waits->got.n, 0);
    service_hold(false);
    wait_for(waits, "rig.subscriptions_set");
}

static void a_client_that_leaves_while_it_waits_leaves_nothing_behind(void **state)
{
    const struct rg_limits_settings settings = {.per_minute = -1, .clients = 10};
    const char *connection = connection_token(open_sse("", NULL, ""));
    struct peer *waiting[4];

    (void)state;
    limits = rg_limits_new(&settings);
    push->settings.limits = limits;
    push->settings.subscription_check = asks;
    push->settings.submission_check = asks;
    service_hold(true);
    waiting[0] = open_sse("", CHAT, "");
    waiting[1] = open_longpoll("", CHAT, "");
    waiting[2] = put(connection, "", "{\"subscriptions\":[]}");
    waiting[3] = post("application/json", "", EVENT("e1"));
    assert_int_equal(questions(), 4);
    for (size_t i = 0; i < RG_COUNT_OF(waiting); i++) {
        hang_up(waiting[i]);
    }
    turn();
    service_hold(false);
    wait_for_answers();
    assert_int_equal(shards[0].hub->clients_n, 1);
}

static void what_is_pipelined_behind_a_request_that_waits_is_not_lost(void **state)
{
    struct peer *peer = connect_to(0, 0);
    const char *target = target_with("longpolling", "", CHAT);

    (void)state;
    push->settings.subscription_check = asks;
    const char *both = format("GET %s HTTP/1.1\r\nhost: h\r\n\r\n"
                              "GET /nowhere HTTP/1.1\r\nhost: h\r\n\r\n",
                              target);
    peer_put(peer, both, strlen(both));
    wait_for(peer, "HTTP/1.1 404");
    expect(peer, 200, "\"ok\"");
}

static void a_websocket_that_waits_keeps_what_its_client_sent_early(void **state)
{
    struct peer *peer = connect_to(0, 0);

    (void)state;
    push->settings.subscription_check = asks;
    const char *text = format("GET %s HTTP/1.1\r\nhost: h\r\n" WS_FIELDS "\r\n%s",
                              target_with("ws", "", CHAT), "\x89\x82\x01\x01\x01\x01hi");
    peer_put(peer, text, strlen(text));
    wait_for(peer, "\x8a\x02");
    expect(peer, 101, "rig.subscriptions_set");
}

/* ---- keys that are on their way ---- */

/* SECRET as a key set. */
static const char *key_set(void)
{
    struct rg_buf key = {0};

    rg_base64url_add(&key, SECRET, sizeof(SECRET) - 1);
    const char *set = format("{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"%.*s\"}]}",
                             RG_STR_ARG(rg_buf_str(&key)));
    rg_buf_done(&key);
    return set;
}

/* The service has been asked for the key set, and has not answered yet. */
static void begin_to_fetch_keys(void)
{
    service_hold(true);
    rg_verifier_free(&verifier);
    verifier_init(service.url);
    push->settings.verifier = verifier;
    wait_for_requests(1);
}

static void whoever_comes_with_a_token_waits_for_keys(void **state)
{
    const char *connection = connection_token(open_sse("", NULL, ""));
    struct peer *waiting[6];

    (void)state;
    push->settings.submission_check.kind = RG_POLICY_TOKEN;
    begin_to_fetch_keys();
    waiting[0] = open_sse(jwt("\"username\":\"ada\""), NULL, "");
    waiting[1] = open_ws(jwt("\"username\":\"ada\""), CHAT, "");
    waiting[2] = open_longpoll(jwt(""), NULL, "");
    waiting[3] = put_on(1, connection, bearer("\"username\":\"ada\""),
                        "{\"subscriptions\":[{\"eventType\":\"a\"}]}");
    waiting[4] = post("application/json", bearer(""), EVENT("e1"));
    waiting[5] = order(bearer(""));
    assert_int_equal(questions(), 6);
    for (size_t i = 0; i < RG_COUNT_OF(waiting); i++)
        assert_int_equal(waiting[i]->got.n, 0);
    expect_in(open_sse("", NULL, ""));

    service_answers(200, key_set());
    service_hold(false);
    wait_for_answers();
    for (size_t i = 0; i < RG_COUNT_OF(waiting); i++)
        hear(waiting[i]);
    expect_in(waiting[0]);
    expect(waiting[0], 200, "\"author\":\"ada\"");
    expect(waiting[1], 101, "\"author\":\"ada\"");
    expect(waiting[2], 200, "\"ok\"");
    expect(waiting[3], 204, "");
    expect(waiting[4], 202, EVENT("e1"));
    expect(waiting[5], 201, "\"ticket\"");
    hear(&peers[0]);
    assert_true(peer_has(&peers[0], "{\"author\":\"ada\"}]},{\"eventType\":\"a\",\"oneOf\":[]}]"));
}

static void a_token_is_refused_when_no_keys_have_come(void **state)
{
    const char *connection = connection_token(open_sse("", NULL, ""));
    struct peer *waiting[4];

    (void)state;
    push->settings.submission_check.kind = RG_POLICY_TOKEN;
    begin_to_fetch_keys();
    waiting[0] = open_sse(jwt(""), NULL, "");
    waiting[1] = put(connection, bearer(""), "{\"subscriptions\":[]}");
    waiting[2] = post("application/json", bearer(""), EVENT("e1"));
    waiting[3] = order(bearer(""));
    service_answers(404, "");
    service_hold(false);
    wait_for_answers();
    for (size_t i = 0; i < RG_COUNT_OF(waiting); i++)
        hear(waiting[i]);
    expect(waiting[0], 400, "could not parse subscriptions: could not decode JWT: ");
    expect(waiting[1], 400, "cannot accept subscription request: invalid authorization header: ");
    expect(waiting[2], 403, "Submission denied.");
    expect(waiting[3], 401, "A ticket needs a valid bearer token: ");
}

static void keys_and_service_may_both_be_waited_for(void **state)
{
    (void)state;
    push->settings.subscription_check = asks;
    begin_to_fetch_keys();
    struct peer *peer = open_sse(jwt(""), CHAT, "");
    struct peer *leaves = open_longpoll(jwt(""), CHAT, "");
    hang_up(leaves);
    service_answers(200, key_set());
    service_hold(false);
    wait_for(peer, "rig.subscriptions_set");
    assert_int_equal(service_requests(), 2);
    assert_true(service_got("\r\n\r\n{\"subscriptions\":" CHAT "}"));
}

/* ---- SUBMISSION_CHECK ---- */

static void events_need_one_valid_token(void **state)
{
    struct peer *subscriber = open_sse("", CHAT, "");

    (void)state;
    push->settings.submission_check.kind = RG_POLICY_TOKEN;
    expect(post("application/json", "", EVENT("e1")), 403, "Submission denied.");
    expect(post("application/json", bearer(""), EVENT("e2")), 202, EVENT("e2"));
    expect(post("application/json", format("authorization: Bearer %s\r\n", token_until(1, "")),
                EVENT("e3")),
           403, "Submission denied.");
    expect(
        post("application/json", format("authorization: x, Bearer %s\r\n", token("")), EVENT("e4")),
        202, EVENT("e4"));
    /* What is malformed is told first (11.4). */
    expect(post("application/json", "", "{}"), 400,
           "The request body does not look like a CloudEvent:");
    hear(subscriber);
    assert_false(peer_has(subscriber, "\"e1\"") || peer_has(subscriber, "\"e3\""));
    assert_true(peer_has(subscriber, "\"e2\"") && peer_has(subscriber, "\"e4\""));
}

static void a_service_says_who_may_send_events(void **state)
{
    struct peer *subscriber = open_sse("", CHAT, ""), *peer;

    (void)state;
    push->settings.submission_check = asks;
    peer = post("application/cloudevents+json", bearer(""), EVENT("e1"));
    wait_for(peer, "HTTP/1.1");
    expect(peer, 202, EVENT("e1"));
    assert_true(service_got("\r\ncontent-type: application/json; charset=utf-8\r\n"));
    assert_true(service_got("\r\nauthorization: Bearer ey"));
    assert_true(service_got("\r\n\r\n" EVENT("e1")));
    hear(subscriber);
    assert_true(peer_has(subscriber, "\"e1\""));

    /* Binary mode: the service gets the structured event. */
    peer = post("application/json",
                "ce-specversion: 1.0\r\nce-type: chat.posted\r\nce-source: /t\r\nce-id: b1\r\n",
                "{\"room\":1}");
    wait_for(peer, "HTTP/1.1");
    expect(peer, 202, "\"b1\"");
    assert_true(service_got("\"data\":{\"room\":1}"));

    service_answers(403, "");
    peer = post("application/json", "", EVENT("e2"));
    wait_for(peer, "HTTP/1.1");
    expect(peer, 403, "Submission denied.");
    hear(subscriber);
    assert_false(peer_has(subscriber, "\"e2\""));
    unsigned before = service_requests();
    expect(post("application/json", "", "{}"), 400, "");
    assert_int_equal(service_requests(), before);
}

/* ---- batches ---- */

static void a_batch_is_taken_as_a_whole(void **state)
{
    static const char body[] = "[" EVENT("e1") ",\n " EVENT("e2") "]";
    struct peer *subscriber = open_sse("", CHAT, "");
    struct peer *peer = post("application/cloudevents-batch+json; charset=utf-8", "", body);

    (void)state;
    expect(peer, 202, body);
    assert_true(peer_has(peer, "content-type: application/json; charset=utf-8\r\n"));
    hear(subscriber);
    assert_true(peer_has(subscriber, "data: " EVENT("e1") "\n"));
    assert_true(peer_has(subscriber, "data: " EVENT("e2") "\n"));
    expect(post("application/cloudevents-batch+json", "", "[]"), 202, "[]");
    expect(post("application/cloudevents-batch", "", "[]"), 415,
           "The batched CloudEvents HTTP transport binding mode");
}

static void one_bad_event_refuses_the_batch(void **state)
{
    struct peer *subscriber = open_sse("", CHAT, "");

    (void)state;
    expect(post("application/cloudevents-batch+json", "", "[" EVENT("e1") ",{}," EVENT("e2") "]"),
           400, "at index 1");
    expect(post("application/cloudevents-batch+json", "", "[" EVENT("e1")), 400,
           "The request body does not look like a CloudEvent:");
    expect(post("application/cloudevents-batch+json", "", EVENT("e1")), 400, "array");
    hear(subscriber);
    assert_false(peer_has(subscriber, "\"e1\""));
}

static void a_batch_is_shown_to_the_service_once(void **state)
{
    static const char body[] = "[" EVENT("e1") "," EVENT("e2") "]";
    struct peer *subscriber = open_sse("", CHAT, "");

    (void)state;
    push->settings.submission_check = asks;
    struct peer *peer = post("application/cloudevents-batch+json", "", body);
    wait_for(peer, "HTTP/1.1");
    expect(peer, 202, body);
    assert_int_equal(service_requests(), 1);
    assert_true(service_got("\r\n\r\n[" EVENT("e1") ","));
    hear(subscriber);
    assert_true(peer_has(subscriber, "\"e2\""));
}

/* ---- limits ---- */

static void set_limits(int64_t per_minute, size_t per_address, size_t clients)
{
    const struct rg_limits_settings settings = {per_minute, per_address, clients};

    limits = rg_limits_new(&settings);
    push->settings.limits = limits;
}

static void expect_429(struct peer *peer, const char *text)
{
    expect(peer, 429, text);
    assert_true(peer_has(peer, "retry-after: "));
    assert_true(peer_has(peer, "access-control-allow-origin: *\r\n"));
}

static void no_more_clients_are_let_in_than_may_be_open(void **state)
{
    struct peer *first;

    (void)state;
    set_limits(-1, 0, 2);
    first = open_sse("", NULL, "");
    expect_in(first);
    expect(open_longpoll("", NULL, ""), 200, "\"ok\"");
    expect_429(open_sse("", NULL, ""), MINUTE " open at the same time");
    expect_429(open_longpoll("", NULL, ""), MINUTE " open at the same time");
    expect_ws_refused(open_ws("", NULL, ""));
    assert_int_equal(refused(RG_REFUSED_LIMIT), 3);
    hang_up(first);
    turn();
    expect_in(open_sse("", NULL, ""));
}

static void an_address_has_a_limit_of_its_own(void **state)
{
    (void)state;
    set_limits(-1, 1, 0);
    expect_in(open_sse("", NULL, ""));
    expect_429(open_sse("", NULL, ""), MINUTE " from one address");
}

static void a_minute_lets_only_so_many_in(void **state)
{
    (void)state;
    /* Limit 0 refuses all, whatever minute it is. */
    set_limits(0, 0, 0);
    expect_429(open_sse("", NULL, ""), MINUTE);
    expect_429(open_longpoll("", NULL, ""), MINUTE);
    expect_ws_refused(open_ws("", NULL, ""));
}

static void what_fails_another_check_takes_no_place(void **state)
{
    (void)state;
    set_limits(-1, 0, 1);
    for (int i = 0; i < 3; i++) {
        expect(open_sse("jwt=foobar", NULL, ""), 400, "");
        expect(open_longpoll("jwt=foobar", NULL, ""), 400, "");
    }
    expect_in(open_sse("", NULL, ""));
}

static void longpolling_looks_at_its_limit_first(void **state)
{
    (void)state;
    set_limits(0, 0, 0);
    expect_429(open_longpoll("jwt=foobar", NULL, ""), MINUTE);
    expect(open_sse("jwt=foobar", NULL, ""), 400, "could not decode JWT");
}

/* ---- WebSocket and HTTP ---- */

static void a_request_that_is_no_websocket_is_told_to_upgrade(void **state)
{
    struct peer *peer = ask("GET", "/_rig/v1/connection/ws", "", NULL);

    (void)state;
    expect(peer, 426, "upgrade: websocket\r\n");
}

static void only_get_opens_an_event_stream(void **state)
{
    struct peer *peer = ask("OPTIONS", "/_rig/v1/connection/sse", "", NULL);

    (void)state;
    expect(peer, 204, "access-control-allow-methods: GET\r\n");
    assert_true(peer_has(peer, "access-control-allow-origin: *\r\n"));
    expect(ask("POST", "/_rig/v1/connection/sse", "", ""), 405, "allow: GET, OPTIONS\r\n");
}

/* ---- the end ---- */

static void ignore(void *arg)
{
    (void)arg;
}

static void who_waits_when_the_gateway_ends_is_told_to_come_back(void **state)
{
    const char *connection = connection_token(open_sse("", NULL, ""));
    struct peer *waiting[5];

    (void)state;
    push->settings.subscription_check = asks;
    push->settings.submission_check = asks;
    service_hold(true);
    waiting[0] = open_sse("", CHAT, "");
    waiting[1] = open_longpoll("", CHAT, "");
    waiting[2] = put(connection, "", "{\"subscriptions\":[]}");
    waiting[3] = post("application/json", "", EVENT("e1"));
    waiting[4] = open_ws("", CHAT, "");
    wait_for_requests(1);
    rg_hub_drain(shards[0].hub, ignore, NULL);
    /* Frees the thread of the client, which gives up what is under way. */
    rg_http_client_free(&client);
    service_hold(false);
    wait_for_answers();
    for (size_t i = 0; i < 4; i++) {
        hear(waiting[i]);
        expect(waiting[i], 503, "The gateway is shutting down.");
        assert_true(peer_has(waiting[i], "retry-after: 1\r\n"));
    }
    hear(waiting[4]);
    expect(waiting[4], 101, "\x03\xe9The gateway is shutting down.");

    /* The service is not asked any more. */
    expect(open_sse("", CHAT, ""), 503, "");
    expect(post("application/json", "", EVENT("e1")), 503, "");
}

#define PLAY(fn) cmocka_unit_test_setup_teardown(fn, begin_play, end_play)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_valid_token_opens_and_subscribes),
        PLAY(given_and_automatic_subscriptions_are_listed_once),
        PLAY(a_token_that_is_not_valid_is_told_why),
        PLAY(no_token_needs_none),
        PLAY(the_first_failure_decides),
        PLAY(a_banned_session_is_not_let_in),
        PLAY(a_client_belongs_to_the_session_of_its_token),
        PLAY(a_cookie_counts_where_nothing_else_was_given),
        PLAY(a_cookie_counts_for_subscriptions_and_events),
        PLAY(credentials_are_allowed_to_the_page_that_cors_names),
        PLAY(a_websocket_from_a_page_that_is_not_listed_is_refused),
        PLAY(any_origin_will_do_by_default),
        PLAY(a_cookie_from_a_page_that_is_not_listed_is_refused),
        PLAY(a_ticket_opens_one_connection_like_its_token),
        PLAY(a_ticket_needs_a_valid_token),
        PLAY(a_ticket_has_a_preflight),
        PLAY(tickets_are_bounded),
        PLAY(a_ticket_ends_after_a_while),
        PLAY(a_ticket_of_a_token_that_is_no_longer_good_is_refused_like_it),
        PLAY(without_tickets_there_is_no_such_path),
        PLAY(a_token_is_asked_for_where_subscriptions_were_given),
        PLAY(a_change_needs_one_valid_token),
        PLAY(every_token_of_a_change_must_be_valid),
        PLAY(a_change_brings_the_automatic_subscriptions_of_its_own_tokens),
        PLAY(a_valid_token_binds_though_another_is_invalid),
        PLAY(a_service_says_who_may_subscribe),
        PLAY(whatever_else_the_service_answers_means_no),
        PLAY(a_service_that_is_down_means_no),
        PLAY(a_change_is_shown_to_the_service_as_it_came),
        PLAY(others_are_served_while_the_service_thinks),
        PLAY(a_client_that_leaves_while_it_waits_leaves_nothing_behind),
        PLAY(what_is_pipelined_behind_a_request_that_waits_is_not_lost),
        PLAY(a_websocket_that_waits_keeps_what_its_client_sent_early),
        PLAY(whoever_comes_with_a_token_waits_for_keys),
        PLAY(a_token_is_refused_when_no_keys_have_come),
        PLAY(keys_and_service_may_both_be_waited_for),
        PLAY(events_need_one_valid_token),
        PLAY(a_service_says_who_may_send_events),
        PLAY(a_batch_is_taken_as_a_whole),
        PLAY(one_bad_event_refuses_the_batch),
        PLAY(a_batch_is_shown_to_the_service_once),
        PLAY(no_more_clients_are_let_in_than_may_be_open),
        PLAY(an_address_has_a_limit_of_its_own),
        PLAY(a_minute_lets_only_so_many_in),
        PLAY(what_fails_another_check_takes_no_place),
        PLAY(longpolling_looks_at_its_limit_first),
        PLAY(a_request_that_is_no_websocket_is_told_to_upgrade),
        PLAY(only_get_opens_an_event_stream),
        PLAY(who_waits_when_the_gateway_ends_is_told_to_come_back),
    };
    struct rg_problems problems = {0};

    stage_begin();
    rg_extractors_free(&extractors);
    extractors = rg_extractors_new(rg_str_c(extractors_json), &problems);
    rg_problems_done(&problems);
    service_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    service_stop();
    stage_end();
    return failed;
}
