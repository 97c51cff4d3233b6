#include "rgate/demo_users.h"

#include <inttypes.h>
#include <time.h>

#include "auth/jwt.h"
#include "base/alloc.h"
#include "base/random.h"
#include "event/json.h"
#include "rgate/demo_answer.h"

#define DEFAULT_LIFETIME_S 120
#define MAX_LIFETIME_S     86400
#define BAN_S              60
#define MAX_BODY           4096

const char *const rg_demo_user_names[] = {"ada", "bob"};
const size_t rg_demo_user_names_n = RG_COUNT_OF(rg_demo_user_names);

/* The member's text, with a NUL behind it; empty if it is no string. */
static void read_text(struct rg_json body, struct rg_str name, struct rg_buf *out)
{
    struct rg_json value = rg_json_member(body, name);

    if (value.kind == RG_JSON_STRING)
        rg_json_unescape(value, out);
    rg_buf_add_char(out, '\0');
    out->n--;
}

/* False, with an answer sent, for what is no request of the page. */
static bool read_body(struct rg_exchange *exchange, struct rg_json *ret)
{
    const struct rg_request *req = rg_exchange_request(exchange);

    if (!rg_demo_is_own_page(exchange)) {
        rg_demo_answer_error(exchange, 403, "only the gateway's own page may do that");
        return false;
    }
    if (rg_json_check(req->body, ret, NULL) < 0 || ret->kind != RG_JSON_OBJECT) {
        rg_demo_answer_error(exchange, 400, "the body is not a JSON object");
        return false;
    }
    return true;
}

static bool is_user(const char *name)
{
    for (size_t i = 0; i < rg_demo_user_names_n; i++) {
        if (strcmp(rg_demo_user_names[i], name) == 0)
            return true;
    }
    return strcmp(name, RG_DEMO_AGENT) == 0;
}

/*
 * What channels want to know: the name, a role, and, so that the page can show who is there and
 * throw sessions out, the right to use the API of sessions.
 */
static void add_channel_claims(struct rg_buf *claims, const char *user)
{
    bool is_agent = strcmp(user, RG_DEMO_AGENT) == 0;

    rg_buf_addf(claims,
                ",\"username\":\"%s\",\"role\":[\"%s\"],\"scopes\":{\"rg\":{\"actions\":"
                "[\"getSessions\",\"getSessionConnections\",\"deleteConnection\"]}}",
                user, is_agent ? "support" : "customer");
}

static int64_t read_lifetime(struct rg_json body)
{
    struct rg_json value = rg_json_member(body, RG_STR("seconds"));
    int64_t seconds = 0;

    if (value.kind != RG_JSON_NUMBER || rg_str_to_i64(value.text, &seconds) < 0 || seconds < 1)
        return DEFAULT_LIFETIME_S;
    return seconds < MAX_LIFETIME_S ? seconds : MAX_LIFETIME_S;
}

/* A renewal keeps its session, so that kicking it still means this user's connection. */
static void pick_session(struct rg_json body, struct rg_buf *out)
{
    char uuid[RG_UUID_LEN + 1];

    read_text(body, RG_STR("session"), out);
    if (out->n > 0)
        return;
    rg_random_uuid(uuid);
    rg_buf_add_c(out, uuid);
}

static void login(void *arg, struct rg_exchange *exchange)
{
    const struct rg_demo_users *users = arg;
    RG_CLEANUP(rg_buf_done)
    struct rg_buf user = {0}, session = {0}, claims = {0}, token = {0}, answer = {0};
    struct rg_json body;
    struct rg_why why = {0};

    if (!read_body(exchange, &body))
        return;
    read_text(body, RG_STR("user"), &user);
    if (!is_user(user.p)) {
        rg_demo_answer_error(exchange, 400, "\"user\" must be ada, bob or " RG_DEMO_AGENT);
        return;
    }
    int64_t exp = (int64_t)time(NULL) + read_lifetime(body);
    pick_session(body, &session);
    rg_buf_addf(&claims, "{\"sub\":\"%s\",\"exp\":%" PRId64 ",\"jti\":", user.p, exp);
    rg_json_add_string(&claims, rg_buf_str(&session));
    add_channel_claims(&claims, user.p);
    rg_buf_add_char(&claims, '}');
    if (rg_jwt_mint(users->alg, users->secret, rg_buf_str(&claims), &token, &why) < 0) {
        rg_demo_answer_error(exchange, 501, why.text);
        return;
    }
    rg_buf_addf(&answer, "{\"user\":\"%s\",\"expires_at\":%" PRId64 ",\"token\":\"%.*s\"", user.p,
                exp, RG_STR_ARG(rg_buf_str(&token)));
    rg_buf_add_c(&answer, ",\"session\":");
    rg_json_add_string(&answer, rg_buf_str(&session));
    rg_buf_add_char(&answer, '}');
    rg_demo_answer(exchange, 200, rg_buf_str(&answer));
}

static void kick(void *arg, struct rg_exchange *exchange)
{
    const struct rg_demo_users *users = arg;
    RG_CLEANUP(rg_buf_done) struct rg_buf session = {0};
    struct rg_json body;

    if (!read_body(exchange, &body))
        return;
    read_text(body, RG_STR("session"), &session);
    if (session.n == 0)
        rg_demo_answer_error(exchange, 400, "\"session\" must be a string");
    else if (rg_blacklist_add(users->blacklist, rg_buf_str(&session), BAN_S) < 0)
        rg_demo_answer_error(exchange, 503, "the blacklist is full");
    else
        rg_demo_answer(exchange, 200, RG_STR("{}"));
}

void rg_demo_user_routes(struct rg_demo_users *users, struct rg_route rows[RG_DEMO_USER_ROUTES])
{
    rows[0] = (struct rg_route){RG_METHOD_BIT(RG_POST), "/_dev/login", login, users, MAX_BODY};
    rows[1] = (struct rg_route){RG_METHOD_BIT(RG_POST), "/_dev/kick", kick, users, MAX_BODY};
}
