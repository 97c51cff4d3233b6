#include "push/credentials.h"

#include "http/cookie.h"
#include "push/bearer.h"

static const char not_verified[] = "Could not verify token";

static bool is_listed(const char *origins, struct rg_str origin)
{
    struct rg_str rest = rg_str_c(origins);

    while (rest.p != NULL) {
        struct rg_str entry = rg_str_trim(rg_str_split(&rest, ','));
        /* Scheme and host are compared without case (RFC 3986 6.2.2.1), and there is no more. */
        if (entry.n > 0 && (rg_str_eq(entry, RG_STR("*")) || rg_str_eq_nocase(entry, origin)))
            return true;
    }
    return false;
}

bool rg_credentials_is_foreign(const struct rg_push *push, const struct rg_request *req)
{
    const char *origins = push->settings.origins;
    const struct rg_http_field *field;
    size_t at = 0;

    if (origins == NULL)
        return false;
    while ((field = rg_request_next_field(req, RG_STR("origin"), &at)) != NULL) {
        if (!is_listed(origins, field->value))
            return true;
    }
    return false;
}

struct rg_str rg_credentials_cookie(const struct rg_push *push, const struct rg_request *req)
{
    if (push->settings.jwt_cookie == NULL)
        return RG_STR("");
    return rg_cookie_get(req, rg_str_c(push->settings.jwt_cookie));
}

struct rg_str rg_credentials_join(const struct rg_request *req, struct rg_buf *scratch)
{
    const struct rg_str name = RG_STR("authorization");
    const struct rg_http_field *first, *field;
    size_t at = 0;

    first = rg_request_next_field(req, name, &at);
    if (first == NULL)
        return RG_STR("");
    while ((field = rg_request_next_field(req, name, &at)) != NULL) {
        if (scratch->n == 0)
            rg_buf_add_str(scratch, first->value);
        rg_buf_add_c(scratch, ", ");
        rg_buf_add_str(scratch, field->value);
    }
    return scratch->n > 0 ? rg_buf_str(scratch) : first->value;
}

int rg_credentials_read(const struct rg_push *push, const struct rg_request *req,
                        struct rg_buf *scratch, struct rg_str *ret)
{
    struct rg_str cookie = rg_credentials_cookie(push, req), rest, token;

    rg_buf_clear(scratch);
    *ret = rg_credentials_join(req, scratch);
    rest = *ret;
    if (cookie.n == 0 || rg_bearer_next(&rest, &token))
        return 0;
    if (rg_credentials_is_foreign(push, req))
        return RG_EDENIED;
    rg_buf_clear(scratch);
    rg_buf_add_c(scratch, "Bearer ");
    rg_buf_add_str(scratch, cookie);
    *ret = rg_buf_str(scratch);
    return 0;
}

int rg_credentials_verify(const struct rg_push *push, struct rg_str token, bool is_last_try,
                          struct rg_claims **ret, struct rg_why *why)
{
    int err;

    if (push->settings.verifier == NULL)
        return rg_why_set(why, RG_EDENIED, "", "%s", not_verified);
    err = rg_verifier_check(push->settings.verifier, token, ret, why);
    if (err == RG_EAGAIN && is_last_try)
        return rg_why_set(why, RG_EDENIED, "", "%s", not_verified);
    return err;
}

static void note_invalid(struct rg_credentials *credentials, const struct rg_why *why)
{
    if (!credentials->has_invalid)
        credentials->reason = *why;
    credentials->has_invalid = true;
}

int rg_credentials_check(const struct rg_push *push, struct rg_str authorization, bool is_last_try,
                         struct rg_credentials *ret)
{
    struct rg_str rest = authorization, token;
    struct rg_why why = {0};

    *ret = (struct rg_credentials){0};
    for (size_t i = 0; rg_bearer_next(&rest, &token); i++) {
        if (i == RG_MAX_CREDENTIALS) {
            rg_why_set(&why, RG_EFULL, "", "there are more than %d tokens", RG_MAX_CREDENTIALS);
            note_invalid(ret, &why);
            break;
        }
        int err = rg_credentials_verify(push, token, is_last_try, &ret->claims[ret->n], &why);
        if (err == RG_EAGAIN) {
            rg_credentials_done(ret);
            return err;
        }
        if (err < 0)
            note_invalid(ret, &why);
        else
            ret->n++;
    }
    return 0;
}

void rg_credentials_done(struct rg_credentials *credentials)
{
    for (size_t i = 0; i < credentials->n; i++)
        rg_claims_unref(&credentials->claims[i]);
    credentials->n = 0;
}
