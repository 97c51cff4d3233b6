#include "http/ws_extension.h"

#include "base/alloc.h"
#include "http/class_priv.h"
#include "http/deflate.h"

#define FIELD RG_STR("sec-websocket-extensions")

/* ---- the list (RFC 6455 9.1), white space allowed as in HTTP ---- */

struct param {
    struct rg_str name;
    struct rg_str value; /* of a quoted one its inside, with backslashes; p is NULL without '=' */
};

static void skip(struct rg_str *rest, size_t n)
{
    rest->p += n;
    rest->n -= n;
}

static void skip_space(struct rg_str *rest)
{
    while (rest->n > 0 && (rest->p[0] == ' ' || rest->p[0] == '\t'))
        skip(rest, 1);
}

/* Takes white space off *rest, then c and the white space behind it, if c is next. */
static bool take_char(struct rg_str *rest, char c)
{
    skip_space(rest);
    if (rest->n == 0 || rest->p[0] != c)
        return false;
    skip(rest, 1);
    skip_space(rest);
    return true;
}

static bool take_token(struct rg_str *rest, struct rg_str *ret)
{
    size_t n = 0;

    while (n < rest->n && is(rest->p[n], TOKEN))
        n++;
    *ret = rg_str_n(rest->p, n);
    skip(rest, n);
    return n > 0;
}

/* Takes a quoted string, behind its first quote; without the backslashes it must be a token. */
static bool take_quoted(struct rg_str *rest, struct rg_str *ret)
{
    size_t n = 0;

    while (n < rest->n && rest->p[n] != '"') {
        n += rest->p[n] == '\\' ? 1 : 0;
        if (n == rest->n || !is(rest->p[n], TOKEN))
            return false;
        n++;
    }
    if (n == 0 || n == rest->n)
        return false;
    *ret = rg_str_n(rest->p, n);
    skip(rest, n + 1);
    return true;
}

/* Takes the next parameter. Returns 1, 0 if there is none, or RG_ESYNTAX. */
static int take_param(struct rg_str *rest, struct param *ret)
{
    *ret = (struct param){0};
    if (!take_char(rest, ';'))
        return 0;
    if (!take_token(rest, &ret->name))
        return RG_ESYNTAX;
    if (!take_char(rest, '='))
        return 1;
    if (rest->n > 0 && rest->p[0] == '"') {
        skip(rest, 1);
        return take_quoted(rest, &ret->value) ? 1 : RG_ESYNTAX;
    }
    return take_token(rest, &ret->value) ? 1 : RG_ESYNTAX;
}

/* Takes the next extension with its parameters. Returns 1, 0 at the end, or RG_ESYNTAX. */
static int take_extension(struct rg_str *rest, struct rg_str *ret_name, struct rg_str *ret_params)
{
    struct param param;
    int result;

    /* Empty elements of a list mean nothing (RFC 9110 5.6.1.2). */
    while (take_char(rest, ','))
        ;
    if (rest->n == 0)
        return 0;
    if (!take_token(rest, ret_name))
        return RG_ESYNTAX;
    *ret_params = *rest;
    do
        result = take_param(rest, &param);
    while (result > 0);
    if (result < 0 || (rest->n > 0 && rest->p[0] != ','))
        return RG_ESYNTAX;
    ret_params->n -= rest->n;
    return 1;
}

int rg_ws_check_extensions(const struct rg_request *req, struct rg_why *why)
{
    const struct rg_http_field *field;
    size_t at = 0;

    while ((field = rg_request_next_field(req, FIELD, &at)) != NULL) {
        struct rg_str rest = field->value, name, params;
        int result;
        do
            result = take_extension(&rest, &name, &params);
        while (result > 0);
        if (result < 0)
            return rg_why_set(why, -400, "sec-websocket-extensions",
                              "this is not a list of extensions");
    }
    return 0;
}

/* ---- permessage-deflate (RFC 7692 7.1) ---- */

enum {
    SERVER_NO_CONTEXT,
    CLIENT_NO_CONTEXT,
    SERVER_WINDOW,
    CLIENT_WINDOW
};

static const struct rg_str param_names[] = {
    [SERVER_NO_CONTEXT] = {"server_no_context_takeover", 26},
    [CLIENT_NO_CONTEXT] = {"client_no_context_takeover", 26},
    [SERVER_WINDOW] = {"server_max_window_bits", 22},
    [CLIENT_WINDOW] = {"client_max_window_bits", 22},
};

/* 8 to 15, without leading zeros; 0 for anything else. */
static unsigned window_bits(struct rg_str value)
{
    char digits[2];
    size_t n = 0;
    uint64_t bits = 0;

    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '\\')
            continue;
        if (n == sizeof(digits))
            return 0;
        digits[n++] = value.p[i];
    }
    if (rg_str_to_u64(rg_str_n(digits, n), 15, &bits) < 0 || bits < 8 || digits[0] == '0')
        return 0;
    return (unsigned)bits;
}

static bool is_param_valid(int kind, const struct param *param)
{
    switch (kind) {
    case SERVER_NO_CONTEXT:
    case CLIENT_NO_CONTEXT:
        return param->value.p == NULL;
    case SERVER_WINDOW:
        return param->value.p != NULL && window_bits(param->value) > 0;
    default:
        return param->value.p == NULL || window_bits(param->value) > 0;
    }
}

/* Whether an offer with these parameters can be satisfied; *ret_window tells if it names ours. */
static bool can_satisfy(struct rg_str params, bool *ret_has_window)
{
    bool is_seen[RG_COUNT_OF(param_names)] = {false};
    struct param param;

    while (take_param(&params, &param) > 0) {
        size_t kind = 0;
        while (kind < RG_COUNT_OF(param_names) && !rg_str_eq(param.name, param_names[kind]))
            kind++;
        if (kind == RG_COUNT_OF(param_names) || is_seen[kind] || !is_param_valid((int)kind, &param))
            return false;
        is_seen[kind] = true;
        if (kind == SERVER_WINDOW && window_bits(param.value) < RG_DEFLATE_WINDOW_BITS)
            return false;
    }
    *ret_has_window = is_seen[SERVER_WINDOW];
    return true;
}

bool rg_ws_accept_deflate(const struct rg_request *req, struct rg_buf *answer)
{
    const struct rg_http_field *field;
    size_t at = 0;

    while ((field = rg_request_next_field(req, FIELD, &at)) != NULL) {
        struct rg_str rest = field->value, name, params;
        while (take_extension(&rest, &name, &params) > 0) {
            bool has_window;
            if (!rg_str_eq(name, RG_STR("permessage-deflate")) || !can_satisfy(params, &has_window))
                continue;
            rg_buf_add_c(answer, "permessage-deflate; server_no_context_takeover; "
                                 "client_no_context_takeover");
            if (has_window)
                rg_buf_addf(answer, "; server_max_window_bits=%d", RG_DEFLATE_WINDOW_BITS);
            return true;
        }
    }
    return false;
}
