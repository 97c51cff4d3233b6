/*
 * The requests that need a hub are errands: begun here, done there, and answered when they are
 * back, if the requester is still there.
 */
#include "push/session_admin.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/json.h"
#include "http/query.h"
#include "push/answer.h"
#include "push/hub.h"
#include "push/survey.h"

#define MAX_NAME        16384 /* bytes; no token that fits into a request has a longer one */
#define DEFAULT_LIMIT   100
#define MAX_LIMIT       1000
#define DEFAULT_SECONDS 3600

/* ---- answers ---- */

static struct rg_answer begin_answer(const struct rg_session_admin *admin,
                                     const struct rg_exchange *exchange)
{
    struct rg_answer answer = rg_answer_begin(admin->push, rg_exchange_request(exchange));

    answer.is_cors = false;
    return answer;
}

static void refuse_with(struct rg_answer *answer, struct rg_exchange *exchange, int status,
                        const char *text)
{
    if (status == 503)
        rg_answer_add(answer, RG_STR("retry-after"), RG_STR("1"));
    rg_answer_text(answer, exchange, status, text);
}

static void refuse(struct rg_session_admin *admin, struct rg_exchange *exchange, int status,
                   const char *text)
{
    struct rg_answer answer = begin_answer(admin, exchange);

    refuse_with(&answer, exchange, status, text);
}

static void answer_json(struct rg_session_admin *admin, struct rg_exchange *exchange,
                        const struct rg_buf *json)
{
    struct rg_answer answer = begin_answer(admin, exchange);

    rg_answer_json(&answer, exchange, 200, rg_buf_str(json));
}

static const char not_found[] = "There is no such session.";
static const char no_connection[] = "There is no such connection of this session.";

/* ---- reading ---- */

/* A whole number from 1 to max; absent: *ret stays. */
static int read_number(struct rg_str query, const char *name, uint64_t max, uint64_t *ret,
                       struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf scratch = {0};
    struct rg_str value;
    uint64_t number;
    int found = rg_query_get(query, rg_str_c(name), &scratch, &value);

    if (found < 0)
        return rg_why_set(why, RG_EINVAL, "", "The query string is malformed.");
    if (found == 0)
        return 0;
    if (rg_str_to_u64(value, max, &number) < 0 || number == 0)
        return rg_why_set(why, RG_EINVAL, "", "%s must be a whole number from 1 to %" PRIu64 ".",
                          name, max);
    *ret = number;
    return 0;
}

/* A cursor is shown as text: as a number a script would round it. */
static int read_after(struct rg_str query, uint64_t *ret, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf scratch = {0};
    struct rg_str value;
    int found = rg_query_get(query, RG_STR("after"), &scratch, &value);

    if (found <= 0)
        return found;
    if (rg_str_to_u64(value, UINT64_MAX, ret) < 0)
        return rg_why_set(why, RG_EINVAL, "", "after must be what next was in the page before.");
    return 0;
}

static int read_user(struct rg_str query, struct rg_buf *ret, struct rg_why *why)
{
    struct rg_str value;
    int found = rg_query_get(query, RG_STR("user"), ret, &value);

    if (found <= 0)
        return found;
    if (value.n == 0)
        return rg_why_set(why, RG_EINVAL, "", "user must not be empty.");
    rg_buf_consume(ret, (size_t)(value.p - ret->p));
    ret->n = value.n;
    return 0;
}

int rg_session_query_read(struct rg_str query, struct rg_session_query *ret, struct rg_why *why)
{
    uint64_t limit = DEFAULT_LIMIT, after = 0;
    /* The first to look at the query finds what is malformed anywhere in it. */
    int err = read_number(query, "limit", MAX_LIMIT, &limit, why);

    if (err == 0)
        err = read_after(query, &after, why);
    if (err == 0)
        err = read_user(query, &ret->user, why);
    ret->limit = (size_t)limit;
    ret->after = after;
    return err;
}

static int read_name(const struct rg_exchange *exchange, struct rg_buf *ret)
{
    int err = rg_percent_decode(rg_exchange_param(exchange, 0), false, ret);

    return err == 0 && ret->n > MAX_NAME ? RG_EINVAL : err;
}

static void refuse_name(struct rg_session_admin *admin, struct rg_exchange *exchange)
{
    refuse(admin, exchange, 400, "The name of the session is malformed or too long.");
}

/* ---- GET /v3/sessions ---- */

struct page {
    struct rg_buf json;
    size_t n;
    uint64_t next;
};

static void add_user_and_since(struct rg_buf *out, const struct rg_directory_session *session)
{
    char since[RG_RFC3339_SIZE];

    rg_clock_rfc3339(since, session->since_ms * 1000);
    rg_buf_add_c(out, "\"user\":");
    if (session->user.n > 0)
        rg_json_add_string(out, session->user);
    else
        rg_buf_add_c(out, "null");
    rg_buf_addf(out, ",\"since\":\"%s\"", since);
}

static void add_session(void *arg, const struct rg_directory_session *session)
{
    struct page *page = arg;

    rg_buf_add_c(&page->json, page->n++ > 0 ? ",{\"id\":" : "{\"id\":");
    rg_json_add_string(&page->json, session->session);
    rg_buf_add_char(&page->json, ',');
    add_user_and_since(&page->json, session);
    rg_buf_addf(&page->json, ",\"connections\":%zu}", session->connections);
    page->next = session->cursor;
}

static void list(void *arg, struct rg_exchange *exchange)
{
    struct rg_session_admin *admin = arg;
    struct rg_session_query query = {0};
    struct page page = {0};
    struct rg_why why = {0};

    if (rg_session_query_read(rg_exchange_request(exchange)->query, &query, &why) < 0) {
        refuse(admin, exchange, 400, why.text);
    } else {
        rg_buf_add_c(&page.json, "{\"sessions\":[");
        size_t n = rg_directory_list(admin->push->directory, rg_buf_str(&query.user), query.after,
                                     query.limit, add_session, &page);
        if (n >= query.limit)
            rg_buf_addf(&page.json, "],\"next\":\"%" PRIu64 "\"}", page.next);
        else
            rg_buf_add_c(&page.json, "],\"next\":null}");
        answer_json(admin, exchange, &page.json);
    }
    rg_buf_done(&page.json);
    rg_buf_done(&query.user);
}

/* ---- GET /v3/sessions/count ---- */

static void count(void *arg, struct rg_exchange *exchange)
{
    struct rg_session_admin *admin = arg;
    struct rg_push *push = admin->push;
    struct rg_buf json = {0}, topic = {0};

    rg_buf_addf(&topic, "role:%s", push->settings.channels.session_role);
    rg_buf_addf(&json, "{\"sessions\":%zu,\"users\":%zu,\"connections\":%zu}",
                rg_directory_count(push->directory, RG_STR("")),
                rg_roster_count_users(push->roster, rg_buf_str(&topic)), rg_push_clients(push));
    answer_json(admin, exchange, &json);
    rg_buf_done(&json);
    rg_buf_done(&topic);
}

/* ---- errands ---- */

struct errand {
    struct rg_session_admin *admin;
    struct rg_exchange_handle exchange;
    struct rg_answer answer;
    struct rg_survey survey; /* of the session, or just its name */

    struct rg_inbox_item item; /* to one connection, and back: */
    struct rg_client_handle client;
    bool is_found;
};

static struct errand *errand_new(struct rg_session_admin *admin, struct rg_exchange *exchange,
                                 struct rg_buf *session)
{
    struct errand *errand = rg_zalloc(sizeof(*errand));

    errand->admin = admin;
    errand->exchange = rg_exchange_get_handle(exchange);
    errand->answer = begin_answer(admin, exchange);
    errand->survey.session = *session;
    *session = (struct rg_buf){0};
    admin->open_n++;
    return errand;
}

static struct rg_exchange *errand_exchange(const struct errand *errand)
{
    return rg_http_server_find(errand->admin->http, errand->exchange);
}

static void tell_idle(struct rg_session_admin *admin)
{
    if (admin->is_stopping && admin->open_n == 0 && admin->on_idle != NULL) {
        void (*on_idle)(void *arg) = admin->on_idle;
        admin->on_idle = NULL;
        on_idle(admin->on_idle_arg);
    }
}

static void errand_free(struct errand *errand)
{
    struct rg_session_admin *admin = errand->admin;

    rg_survey_done(&errand->survey);
    rg_free(errand);
    admin->open_n--;
    tell_idle(admin);
}

void rg_session_admin_stop(struct rg_session_admin *admin, void (*on_idle)(void *arg), void *arg)
{
    admin->is_stopping = true;
    admin->on_idle = on_idle;
    admin->on_idle_arg = arg;
    tell_idle(admin);
}

static bool may_begin(struct rg_session_admin *admin, struct rg_exchange *exchange)
{
    if (admin->is_stopping)
        refuse(admin, exchange, 503, "The gateway is shutting down.");
    return !admin->is_stopping;
}

/* ---- GET /v3/sessions/:id ---- */

static void add_found(void *arg, const struct rg_directory_session *session)
{
    add_user_and_since(arg, session);
}

static void answer_survey(struct errand *errand, struct rg_exchange *exchange)
{
    struct rg_directory *directory = errand->admin->push->directory;
    const struct rg_survey *survey = &errand->survey;
    struct rg_str session = rg_buf_str(&survey->session);
    struct rg_buf json = {0};

    rg_buf_add_c(&json, "{\"id\":");
    rg_json_add_string(&json, session);
    rg_buf_add_char(&json, ',');
    /* It may have ended while its connections were listed. */
    if (survey->n == 0 || !rg_directory_find(directory, session, add_found, &json)) {
        refuse_with(&errand->answer, exchange, 404, not_found);
    } else {
        rg_buf_add_c(&json, ",\"connections\":[");
        rg_buf_add_str(&json, rg_buf_str(&survey->connections));
        rg_buf_addf(&json, "],\"truncated\":%s}", survey->is_truncated ? "true" : "false");
        rg_answer_json(&errand->answer, exchange, 200, rg_buf_str(&json));
    }
    rg_buf_done(&json);
}

static void on_surveyed(struct rg_survey *survey)
{
    struct errand *errand = RG_CONTAINER_OF(survey, struct errand, survey);
    struct rg_exchange *exchange = errand_exchange(errand);

    if (exchange != NULL)
        answer_survey(errand, exchange);
    errand_free(errand);
}

static void ignore(void *arg, const struct rg_directory_session *session)
{
    (void)arg;
    (void)session;
}

static void look(void *arg, struct rg_exchange *exchange)
{
    struct rg_session_admin *admin = arg;
    RG_CLEANUP(rg_buf_done) struct rg_buf session = {0};

    if (read_name(exchange, &session) < 0) {
        refuse_name(admin, exchange);
    } else if (!rg_directory_find(admin->push->directory, rg_buf_str(&session), ignore, NULL)) {
        refuse(admin, exchange, 404, not_found);
    } else if (may_begin(admin, exchange)) {
        struct errand *errand = errand_new(admin, exchange, &session);
        rg_survey_begin(&errand->survey, admin->push, admin->reactor, on_surveyed);
    }
}

/* ---- DELETE /v3/sessions/:id ---- */

static void ban(void *arg, struct rg_exchange *exchange)
{
    struct rg_session_admin *admin = arg;
    struct rg_blacklist *blacklist = admin->push->settings.blacklist;
    RG_CLEANUP(rg_buf_done) struct rg_buf session = {0};
    struct rg_why why = {0};
    uint64_t seconds = DEFAULT_SECONDS;

    if (read_name(exchange, &session) < 0) {
        refuse_name(admin, exchange);
    } else if (read_number(rg_exchange_request(exchange)->query, "seconds",
                           RG_BLACKLIST_MAX_SECONDS, &seconds, &why) < 0) {
        refuse(admin, exchange, 400, why.text);
    } else if (blacklist == NULL ||
               rg_blacklist_add(blacklist, rg_buf_str(&session), seconds) < 0) {
        refuse(admin, exchange, 503, "There are too many banned sessions.");
    } else {
        struct rg_answer answer = begin_answer(admin, exchange);
        rg_log_info("session banned", RG_FSTR("session", rg_buf_str(&session)),
                    RG_FU("seconds", seconds));
        rg_answer_empty(&answer, exchange, 204);
    }
}

/* ---- DELETE /v3/sessions/:id/connections/:connection ---- */

static void on_closed(struct rg_inbox_item *item, void *ctx)
{
    struct errand *errand = RG_CONTAINER_OF(item, struct errand, item);
    struct rg_exchange *exchange = errand_exchange(errand);

    (void)ctx;
    if (exchange != NULL && errand->is_found)
        rg_answer_empty(&errand->answer, exchange, 204);
    else if (exchange != NULL)
        refuse_with(&errand->answer, exchange, 404, no_connection);
    errand_free(errand);
}

/* On the reactor of the connection. */
static void close_there(struct rg_inbox_item *item, void *ctx)
{
    struct errand *errand = RG_CONTAINER_OF(item, struct errand, item);
    struct rg_client *client = rg_hub_find(ctx, errand->client);

    if (client != NULL && client->bond != NULL &&
        rg_ties_have(&client->bond->sessions, rg_buf_str(&errand->survey.session))) {
        errand->is_found = true;
        rg_client_end_killed(client);
    }
    rg_reactor_post(errand->admin->reactor, &errand->item, on_closed, 0);
}

static void close_one(void *arg, struct rg_exchange *exchange)
{
    struct rg_session_admin *admin = arg;
    struct rg_push *push = admin->push;
    RG_CLEANUP(rg_buf_done) struct rg_buf session = {0};
    struct rg_client_handle client;

    if (read_name(exchange, &session) < 0) {
        refuse_name(admin, exchange);
    } else if (rg_survey_read_id(rg_exchange_param(exchange, 1), push->hubs_n, &client) < 0) {
        refuse(admin, exchange, 404, no_connection);
    } else if (may_begin(admin, exchange)) {
        struct errand *errand = errand_new(admin, exchange, &session);
        errand->client = client;
        rg_reactor_post(push->hubs[client.reactor]->reactor, &errand->item, close_there, 0);
    }
}

/* ---- routes ---- */

/* ---- GET /v3/presence/:topic ---- */

/* Two numbers, however many there are: who needs them need not have all the metas. */
static void count_present(void *arg, struct rg_exchange *exchange)
{
    struct rg_session_admin *admin = arg;
    struct rg_roster *roster = admin->push->roster;
    RG_CLEANUP(rg_buf_done) struct rg_buf topic = {0}, json = {0};

    if (read_name(exchange, &topic) < 0) {
        refuse(admin, exchange, 400, "The topic is malformed or too long.");
        return;
    }
    rg_buf_add_c(&json, "{\"topic\":");
    rg_json_add_string(&json, rg_buf_str(&topic));
    rg_buf_addf(&json, ",\"users\":%zu,\"presences\":%zu}",
                rg_roster_count_users(roster, rg_buf_str(&topic)),
                rg_roster_count(roster, rg_buf_str(&topic)));
    answer_json(admin, exchange, &json);
}

void rg_session_admin_routes(struct rg_session_admin *admin,
                             struct rg_route rows[RG_SESSION_ADMIN_ROUTES])
{
    const unsigned get = RG_METHOD_BIT(RG_GET), delete = RG_METHOD_BIT(RG_DELETE);
    const size_t no_body = 65536; /* is not looked at */
    const struct rg_route v3[] = {
        /* Before the sessions: one that is called count is found as %63ount. */
        {get, "/v3/sessions/count", count, admin, no_body},
        {get, "/v3/sessions", list, admin, no_body},
        {get, "/v3/sessions/:id", look, admin, no_body},
        {delete, "/v3/sessions/:id", ban, admin, no_body},
        {delete, "/v3/sessions/:id/connections/:connection", close_one, admin, no_body},
        {get, "/v3/presence/:topic", count_present, admin, no_body},
    };
    static const char *const v2[] = {"/v2/sessions/count",
                                     "/v2/sessions",
                                     "/v2/sessions/:id",
                                     "/v2/sessions/:id",
                                     "/v2/sessions/:id/connections/:connection",
                                     "/v2/presence/:topic"};
    const size_t n = RG_COUNT_OF(v3);

    _Static_assert(RG_COUNT_OF(v2) == RG_COUNT_OF(v3), "twins");
    _Static_assert(2 * RG_COUNT_OF(v3) == RG_SESSION_ADMIN_ROUTES, "all of them");
    for (size_t i = 0; i < n; i++) {
        rows[i] = rows[n + i] = v3[i];
        rows[n + i].pattern = v2[i];
    }
}
