/* The rules of endpoints (api-gateway.md 2.3, 3.2 and 3.3), and what they may have beyond them. */
#include "base/alloc.h"
#include "proxy/definition_priv.h"
#include "proxy/document.h"

#define TARGETS        4
#define RESPONSES_FROM 5
#define MAX_REQUESTS   1000000000
#define MAX_SECONDS    86400

/* ---- what requests it is for ---- */

static char *upper(const char *text)
{
    char *copy = rg_reading_copy(text);

    for (char *p = copy; *p != '\0'; p++) {
        if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - ('a' - 'A'));
    }
    return copy;
}

static void read_path_regex(struct rg_reading *r, const json_t *json, struct rg_endpoint *endpoint)
{
    static const char message[] = "must be a valid regular expression";
    const char *text = rg_reading_text(r, json, "path_regex");
    struct rg_why why = {0};

    if (text == NULL)
        return;
    endpoint->path_regex = rg_reading_copy(text);
    endpoint->pattern = rg_pattern_compile(rg_str_c(text), &why);
    if (endpoint->pattern != NULL)
        return;
    RG_WRONG(r, "path_regex", message);
    /* The reason follows the message, if there is one. */
    const char *reason = why.text;
    if (rg_str_starts_with(rg_str_c(reason), RG_STR("must be a valid regular expression"))) {
        reason += sizeof(message) - 1;
        reason += strspn(reason, ":,; ");
    }
    rg_faults_explain(r->faults, reason);
}

static void read_method(struct rg_reading *r, json_t *json, struct rg_endpoint *endpoint)
{
    const char *text = rg_reading_text(r, json, "method");

    if (text == NULL)
        return;
    endpoint->method = upper(text);
    json_object_set_new(json, "method", json_string(endpoint->method));
}

static void read_secured(struct rg_reading *r, const json_t *json, struct rg_endpoint *endpoint)
{
    /* Not only true counts, as with other flags: "true" would be an open door. */
    bool is_secured = rg_reading_optional_flag(r, json, "secured", false);

    if (is_secured && !r->is_jwt)
        rg_reading_fault(r, "secured", "auth_type", RG_MUST_BE_JWT);
    endpoint->is_secured = is_secured && r->is_jwt;
}

/* ---- what becomes of them ---- */

/* The index of the name that member has; n if it is none. Missing is the first. */
static size_t read_choice(struct rg_reading *r, const json_t *json, const char *member,
                          const char *const *names, size_t n, const char *message)
{
    const char *text = rg_reading_optional_text(r, json, member);

    if (text == NULL)
        return rg_reading_is_given(json_object_get(json, member)) ? n : 0;
    size_t choice = rg_reading_choice(text, names, n);
    if (choice == n)
        RG_WRONG(r, member, "%s", message);
    return choice;
}

static void read_topic(struct rg_reading *r, const json_t *json, struct rg_endpoint *endpoint)
{
    const json_t *value = json_object_get(json, "topic");
    const char *text = rg_reading_optional_text(r, json, "topic");
    bool is_of_wrong_type = rg_reading_is_given(value) && text == NULL;

    if (text != NULL && *text != '\0')
        endpoint->topic = rg_reading_copy(text);
    else if (endpoint->target != RG_TARGET_HTTP && !is_of_wrong_type)
        RG_WRONG(r, "topic", RG_MUST_BE_PRESENT);
}

static void read_schema(struct rg_reading *r, const json_t *json, struct rg_endpoint *endpoint)
{
    const char *text = rg_reading_optional_text(r, json, "schema");

    if (text == NULL || *text == '\0')
        return;
    endpoint->schema = rg_reading_copy(text);
    if (!rg_reading_is_present(json_object_get(json, "target")))
        rg_reading_fault(r, "schema", "target", RG_MUST_BE_PRESENT);
}

static void read_target(struct rg_reading *r, const json_t *json, struct rg_endpoint *endpoint)
{
    size_t target = read_choice(r, json, "target", rg_target_names, TARGETS,
                                "must be one of [\"http\", \"kafka\", \"kinesis\", \"nats\"]");

    endpoint->target = target < TARGETS ? (enum rg_target)target : RG_TARGET_HTTP;
    read_topic(r, json, endpoint);
    read_schema(r, json, endpoint);
    size_t from =
        read_choice(r, json, "response_from", rg_response_from_names, RESPONSES_FROM,
                    "must be one of [\"http\", \"kafka\", \"http_async\", \"kinesis\", \"nats\"]");
    endpoint->response_from = from < RESPONSES_FROM ? (enum rg_response_from)from : RG_FROM_HTTP;
}

/* 2.3: what is no text, or empty, is no replacement. */
static void read_replacement(const json_t *json, struct rg_endpoint *endpoint)
{
    const char *text = json_string_value(json_object_get(json, "path_replacement"));

    if (text != NULL && *text != '\0')
        endpoint->rewrite = rg_rewrite_new(rg_str_c(text));
}

/* ---- beyond RIG ---- */

static void read_by(struct rg_reading *r, const json_t *json, struct rg_endpoint *endpoint)
{
    static const char *const names[] = {"address", "session"};
    size_t by = read_choice(r, json, "by", names, 2, "must be one of [\"address\", \"session\"]");

    if (by == 1 && !endpoint->is_secured)
        RG_WRONG(r, "by", "must be \"address\" where the endpoint is not secured");
    endpoint->rate.by_session = by == 1;
}

static void read_rate_limit(struct rg_reading *r, const json_t *json, struct rg_endpoint *endpoint)
{
    json_t *limit = rg_reading_optional_object(r, json, "rate_limit");
    struct rg_rate *rate = &endpoint->rate;
    uint64_t seconds = 1;

    if (limit == NULL)
        return;
    size_t from = rg_reading_enter(r, "rate_limit");
    if (!rg_reading_is_given(json_object_get(limit, "requests")))
        RG_WRONG(r, "requests", RG_MUST_BE_PRESENT);
    rg_reading_optional_number(r, limit, "requests", 1, MAX_REQUESTS, &rate->requests);
    rg_reading_optional_number(r, limit, "seconds", 1, MAX_SECONDS, &seconds);
    rate->period_ms = seconds * 1000;
    rate->burst = rate->requests;
    rg_reading_optional_number(r, limit, "burst", 1, MAX_REQUESTS, &rate->burst);
    read_by(r, limit, endpoint);
    rg_reading_leave(r, from);
}

static void read_extensions(struct rg_reading *r, const json_t *json, struct rg_endpoint *endpoint)
{
    read_rate_limit(r, json, endpoint);
    endpoint->takes_upgrades = rg_reading_optional_flag(r, json, "upgrade", false);
    endpoint->takes_encoded_slashes = rg_reading_optional_flag(r, json, "encoded_slashes", false);
}

/* ---- an endpoint ---- */

static void read_id(struct rg_reading *r, const json_t *json, struct rg_endpoint *endpoint)
{
    const char *id = rg_reading_text(r, json, "id");

    if (id != NULL && strlen(id) > RG_DEFINITION_MAX_ID)
        RG_WRONG(r, "id", "must have a length of at most %d", RG_DEFINITION_MAX_ID);
    endpoint->id = rg_reading_copy(id);
}

static char *text_of(const json_t *json)
{
    struct rg_buf text = {0};

    rg_document_add(json, &text);
    return rg_buf_steal(&text);
}

void rg_reading_endpoint(struct rg_reading *r, json_t *json, struct rg_endpoint *endpoint)
{
    endpoint->api = r->api;
    if (!json_is_object(json)) {
        rg_reading_fault(r, NULL, "endpoint", RG_MUST_BE_OBJECT);
        return;
    }
    read_id(r, json, endpoint);
    read_path_regex(r, json, endpoint);
    read_method(r, json, endpoint);
    read_secured(r, json, endpoint);
    read_target(r, json, endpoint);
    read_replacement(json, endpoint);
    endpoint->adds_headers = json_is_true(json_object_get(json, "transform_request_headers"));
    read_extensions(r, json, endpoint);
    endpoint->definition = text_of(json);
}
