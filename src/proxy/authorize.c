#include "proxy/authorize.h"

#include "http/query.h"

struct trial {
    struct rg_verifier *verifier;
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

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool try_words(struct trial *trial, struct rg_str text)
{
    size_t start = 0;

    for (size_t i = 0; i <= text.n; i++) {
        if (i < text.n && !is_space(text.p[i]))
            continue;
        if (try_token(trial, rg_str_n(text.p + start, i - start)))
            return true;
        start = i + 1;
    }
    return false;
}

static bool try_query(struct trial *trial, const struct rg_request *req)
{
    struct rg_buf scratch = {0};
    struct rg_str value;
    bool is_done =
        rg_query_get(req->query, RG_STR("token"), &scratch, &value) == 1 && try_words(trial, value);

    rg_buf_done(&scratch);
    return is_done;
}

static struct rg_str without_scheme(struct rg_str value)
{
    const struct rg_str scheme = RG_STR("bearer ");

    if (rg_str_starts_with_nocase(value, scheme))
        value = rg_str_n(value.p + scheme.n, value.n - scheme.n);
    return rg_str_trim(value);
}

static bool try_fields(struct trial *trial, const struct rg_request *req)
{
    const struct rg_http_field *field;
    size_t at = 0;

    while ((field = rg_request_next_field(req, RG_STR("authorization"), &at)) != NULL) {
        if (try_token(trial, without_scheme(field->value)))
            return true;
    }
    return false;
}

int rg_authorize(struct rg_verifier *verifier, const struct rg_request *req, bool is_last_try,
                 struct rg_claims **ret)
{
    struct trial trial = {.verifier = verifier};

    if (!try_query(&trial, req))
        try_fields(&trial, req);
    if (trial.claims != NULL) {
        *ret = trial.claims;
        return 0;
    }
    return trial.is_undecided && !is_last_try ? RG_EAGAIN : RG_EDENIED;
}
