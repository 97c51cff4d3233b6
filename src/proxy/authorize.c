#include "proxy/authorize.h"

#include "http/query.h"

struct trial {
    struct rg_verifier *verifier;
    const struct rg_request *req;
    size_t tokens_n;
    bool is_undecided; /* a token needs keys that may come */
    struct rg_claims *claims;
};

/* True if there is nothing more to try. */
static bool try_token(struct trial *trial, struct rg_str token)
{
    struct rg_why why = {0};

    if (token.n == 0)
        return false;
    if (trial->tokens_n++ == RG_AUTHORIZE_MAX_TOKENS)
        return true;
    int err = rg_verifier_check(trial->verifier, token, &trial->claims, &why);
    trial->is_undecided |= err == RG_EAGAIN;
    return err == 0;
}

/* ---- parts of a text ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_comma(char c)
{
    return c == ',';
}

static bool try_parts(struct trial *trial, struct rg_str text, bool (*is_between)(char c))
{
    size_t start = 0;

    for (size_t i = 0; i <= text.n; i++) {
        if (i < text.n && !is_between(text.p[i]))
            continue;
        if (try_token(trial, rg_str_trim(rg_str_n(text.p + start, i - start))))
            return true;
        start = i + 1;
    }
    return false;
}

static bool try_query(struct trial *trial, struct rg_str name, bool (*is_between)(char c))
{
    struct rg_buf scratch = {0};
    struct rg_str value;
    bool is_done = rg_query_get(trial->req->query, name, &scratch, &value) == 1 &&
                   try_parts(trial, value, is_between);

    rg_buf_done(&scratch);
    return is_done;
}

/* ---- fields ---- */

/* What follows "Bearer " (RFC 9110 11.1: without case); otherwise all of it, or nothing. */
static struct rg_str without_scheme(struct rg_str value, bool is_needed)
{
    const struct rg_str scheme = RG_STR("bearer ");

    if (rg_str_starts_with_nocase(value, scheme))
        value = rg_str_n(value.p + scheme.n, value.n - scheme.n);
    else if (is_needed)
        return (struct rg_str){0};
    return rg_str_trim(value);
}

static bool try_values(struct trial *trial, struct rg_str name)
{
    const struct rg_http_field *field;
    size_t at = 0;

    while ((field = rg_request_next_field(trial->req, name, &at)) != NULL) {
        if (try_token(trial, without_scheme(field->value, false)))
            return true;
    }
    return false;
}

static bool try_credentials(struct trial *trial)
{
    const struct rg_http_field *field;
    size_t at = 0;

    while ((field = rg_request_next_field(trial->req, RG_STR("authorization"), &at)) != NULL) {
        struct rg_str rest = field->value;
        while (rest.p != NULL) {
            struct rg_str credential = rg_str_trim(rg_str_split(&rest, ','));
            if (try_token(trial, without_scheme(credential, true)))
                return true;
        }
    }
    return false;
}

/* ---- the manners ---- */

static void try_2017(struct trial *trial)
{
    if (!try_query(trial, RG_STR("token"), is_space))
        try_values(trial, RG_STR("authorization"));
}

static void try_apis(struct trial *trial, const struct rg_api *api)
{
    const struct rg_str authorization = RG_STR("authorization");
    struct rg_str name = rg_str_c(api->header_name);
    bool is_done = false;

    if (api->use_header)
        is_done = rg_str_eq_nocase(name, authorization) ? try_credentials(trial)
                                                        : try_values(trial, name);
    if (!is_done && api->use_query)
        try_query(trial, rg_str_c(api->query_name), is_comma);
}

int rg_authorize(struct rg_verifier *verifier, const struct rg_api *api,
                 const struct rg_request *req, bool is_last_try, struct rg_claims **ret)
{
    struct trial trial = {.verifier = verifier, .req = req};

    if (api->dialect == RG_DIALECT_2017)
        try_2017(&trial);
    else
        try_apis(&trial, api);
    if (trial.claims != NULL) {
        *ret = trial.claims;
        return 0;
    }
    return trial.is_undecided && !is_last_try ? RG_EAGAIN : RG_EDENIED;
}
