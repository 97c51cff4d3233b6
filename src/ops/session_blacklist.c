#include "ops/session_blacklist.h"

#include "base/alloc.h"
#include "base/log.h"
#include "event/json.h"
#include "http/query.h"
#include "http/reply.h"

#define MAX_BODY   8000000 /* management-api.md 1.1 */
#define MAX_QUOTED 100     /* bytes of a wrong value that its answer repeats */

static const char session_field[] = "sessionId";
static const char seconds_field[] = "validityInSeconds";

/* ---- reading ---- */

/* "Expected ..., got 5": with the value, or its beginning. */
static int expected(struct rg_why *why, const char *what, struct rg_json value)
{
    struct rg_str text = value.text;

    if (text.n > MAX_QUOTED) {
        text.n = MAX_QUOTED;
        /* Not in the middle of a character. */
        while (text.n > 0 && ((unsigned char)text.p[text.n] & 0xc0) == 0x80)
            text.n--;
    }
    return rg_why_set(why, RG_EINVAL, "", "Expected %s, got %.*s", what, RG_STR_ARG(text));
}

static int missing(struct rg_why *why, const char *field)
{
    return rg_why_set(why, RG_EINVAL, "", "Missing value for \"%s\"", field);
}

static int read_session(struct rg_json value, struct rg_buf *session, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf scratch = {0};

    if (value.kind == RG_JSON_NONE)
        return missing(why, session_field);
    if (value.kind != RG_JSON_STRING)
        return expected(why, "non-empty string", value);
    struct rg_str name = rg_json_string(value, &scratch);
    if (name.n == 0)
        return expected(why, "non-empty string", value);
    if (name.n > RG_SESSION_MAX)
        return expected(why, "a shorter string", value);
    rg_buf_add_str(session, name);
    return 0;
}

/* A decimal number that is all of text; leading zeros, which JSON does not know, are fine. */
static int read_number(struct rg_str text, struct rg_json_number *ret)
{
    struct rg_json json;

    while (text.n > 1 && text.p[0] == '0' && text.p[1] >= '0' && text.p[1] <= '9')
        text = rg_str_n(text.p + 1, text.n - 1);
    if (rg_json_check(text, &json, NULL) < 0 || json.kind != RG_JSON_NUMBER ||
        json.text.n != text.n)
        return RG_ESYNTAX;
    return rg_json_number(json, ret);
}

/* Whole seconds, rounded up and cut; 0 for what is not positive. */
static uint64_t whole_seconds(const struct rg_json_number *number)
{
    const uint64_t max = RG_BLACKLIST_MAX_SECONDS;

    if (number->is_integer) {
        if (number->v.i <= 0)
            return 0;
        return (uint64_t)number->v.i < max ? (uint64_t)number->v.i : max;
    }
    if (!(number->v.d > 0))
        return 0;
    if (number->v.d >= (double)max)
        return max;
    uint64_t s = (uint64_t)number->v.d;
    return s + ((double)s < number->v.d);
}

static int read_seconds(struct rg_json value, uint64_t *ret, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf scratch = {0};
    struct rg_json_number number = {.is_integer = true};
    struct rg_str text = value.text;

    if (value.kind == RG_JSON_NONE)
        return missing(why, seconds_field);
    if (value.kind == RG_JSON_STRING)
        text = rg_json_string(value, &scratch);
    bool is_number = value.kind == RG_JSON_NUMBER || (value.kind == RG_JSON_STRING && text.n > 0);
    bool is_compound = value.kind == RG_JSON_ARRAY || value.kind == RG_JSON_OBJECT;
    if (is_compound || (is_number && read_number(text, &number) < 0))
        return expected(why, "a number", value);
    /* What has no number in it at all (null, an empty string) stays 0. */
    uint64_t seconds = whole_seconds(&number);
    if (seconds == 0)
        return expected(why, "a positive number", value);
    *ret = seconds;
    return 0;
}

/* Appends the field of a form as a member of a JSON object. */
static int add_form_field(struct rg_str form, const char *name, struct rg_buf *json)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf scratch = {0};
    struct rg_str value;
    int found = rg_query_get(form, rg_str_c(name), &scratch, &value);

    if (found <= 0)
        return found;
    rg_buf_addf(json, "%s\"%s\":", json->n > 1 ? "," : "", name);
    rg_json_add_string(json, value);
    return 0;
}

static int form_to_json(struct rg_str form, struct rg_buf *json)
{
    rg_buf_add_char(json, '{');
    int err = add_form_field(form, session_field, json);
    if (err == 0)
        err = add_form_field(form, seconds_field, json);
    rg_buf_add_char(json, '}');
    return err;
}

static bool is_json_type(struct rg_str type)
{
    if (rg_str_eq_nocase(type, RG_STR("application/json")))
        return true;
    return rg_str_starts_with_nocase(type, RG_STR("application/")) && type.n > 5 &&
           rg_str_eq_nocase(rg_str_n(type.p + type.n - 5, 5), RG_STR("+json"));
}

/* The body as the text of a JSON value (management-api.md 1.1); scratch may hold it. */
static int body_to_json(struct rg_str type, struct rg_str *body, struct rg_buf *scratch)
{
    struct rg_str rest = type;
    struct rg_str media = rg_str_trim(rg_str_split(&rest, ';'));
    int err = 0;

    if (type.p == NULL || (is_json_type(media) && body->n == 0)) {
        *body = RG_STR("{}");
    } else if (rg_str_eq_nocase(media, RG_STR("application/x-www-form-urlencoded"))) {
        err = form_to_json(*body, scratch);
        *body = rg_buf_str(scratch);
    } else if (!is_json_type(media)) {
        err = RG_ENOTFOUND;
    }
    return err;
}

int rg_session_blacklist_read(struct rg_str type, struct rg_str body, struct rg_buf *session,
                              uint64_t *ret_seconds, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf scratch = {0};
    struct rg_json json;
    int err = body_to_json(type, &body, &scratch);

    if (err < 0)
        return err;
    if (rg_json_check(body, &json, NULL) < 0 || json.kind != RG_JSON_OBJECT)
        return RG_ESYNTAX;
    err = read_session(rg_json_member(json, rg_str_c(session_field)), session, why);
    if (err == 0)
        err = read_seconds(rg_json_member(json, rg_str_c(seconds_field)), ret_seconds, why);
    return err;
}

/* ---- answering ---- */

/* The place of the entry: below the path that was used, with the name as one segment. */
static void add_location(struct rg_buf *out, struct rg_str path, struct rg_str session)
{
    if (path.p[path.n - 1] == '/')
        path.n--;
    rg_buf_add_str(out, path);
    rg_buf_add_char(out, '/');
    rg_percent_encode(out, session);
}

static void created(struct rg_exchange *exchange, struct rg_response *response,
                    struct rg_str session)
{
    struct rg_buf location = {0};

    add_location(&location, rg_exchange_request(exchange)->path, session);
    response->status = 201;
    rg_response_add(response, RG_STR("location"), rg_buf_str(&location));
    rg_reply_json(exchange, response, RG_STR("{}"));
    rg_buf_done(&location);
}

static void refuse(struct rg_exchange *exchange, struct rg_response *response, int err,
                   const struct rg_why *why)
{
    response->status = err == RG_EFULL ? 503 : err == RG_ENOTFOUND ? 415 : 400;
    if (err == RG_EFULL)
        rg_reply_text(exchange, response, RG_STR("There are too many banned sessions."));
    else if (err == RG_EINVAL)
        rg_reply_text(exchange, response, rg_str_c(why->text));
    else
        rg_reply_problem(exchange, response, "Bad request");
}

/* POST /v3/session-blacklist */
static void ban(void *arg, struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_response response = {0};
    struct rg_buf session = {0};
    struct rg_why why = {0};
    uint64_t seconds = 0;
    int err = rg_session_blacklist_read(rg_request_field(req, RG_STR("content-type")), req->body,
                                        &session, &seconds, &why);

    if (err == 0)
        err = rg_blacklist_add(arg, rg_buf_str(&session), seconds);
    rg_response_add(&response, RG_STR("access-control-allow-origin"), RG_STR("*"));
    if (err == 0) {
        rg_log_info("session banned", RG_FSTR("session", rg_buf_str(&session)),
                    RG_FU("seconds", seconds));
        created(exchange, &response, rg_buf_str(&session));
    } else {
        refuse(exchange, &response, err, &why);
    }
    rg_buf_done(&session);
}

/* GET /v3/session-blacklist/:sessionId */
static void look(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 200};
    struct rg_buf session = {0};

    if (rg_percent_decode(rg_exchange_param(exchange, 0), false, &session) < 0) {
        response.status = 400;
        rg_reply_problem(exchange, &response, "Bad request");
    } else if (rg_blacklist_has(arg, rg_buf_str(&session))) {
        rg_reply_json(exchange, &response, RG_STR("{}"));
    } else {
        response.status = 404;
        rg_reply_text(exchange, &response, RG_STR("Not found."));
    }
    rg_buf_done(&session);
}

void rg_session_blacklist_routes(struct rg_blacklist *blacklist,
                                 struct rg_route rows[RG_SESSION_BLACKLIST_ROUTES])
{
    const unsigned get = RG_METHOD_BIT(RG_GET), post = RG_METHOD_BIT(RG_POST);

    rows[0] = (struct rg_route){post, "/v3/session-blacklist", ban, blacklist, MAX_BODY};
    rows[1] = (struct rg_route){get, "/v3/session-blacklist/:sessionId", look, blacklist, 0};
    rows[2] = (struct rg_route){post, "/v2/session-blacklist", ban, blacklist, MAX_BODY};
    rows[3] = (struct rg_route){get, "/v2/session-blacklist/:sessionId", look, blacklist, 0};
}
