#include "http/accept.h"

/* How exactly a media range means JSON; what is more exact overrides. */
enum range {
    OTHER,
    ANYTHING,
    ANY_APPLICATION,
    JSON,
    RANGES
};

static enum range range_of(struct rg_str type)
{
    if (rg_str_eq_nocase(type, RG_STR("application/json")))
        return JSON;
    if (rg_str_eq_nocase(type, RG_STR("application/*")))
        return ANY_APPLICATION;
    return rg_str_eq(type, RG_STR("*/*")) ? ANYTHING : OTHER;
}

/* q=0, q=0.0, ...: not acceptable (RFC 9110 12.4.2). */
static bool is_refusal(struct rg_str param)
{
    param = rg_str_trim(param);
    if (!rg_str_starts_with_nocase(param, RG_STR("q=0")))
        return false;
    for (size_t i = 3; i < param.n; i++) {
        if (param.p[i] != '0' && param.p[i] != '.')
            return false;
    }
    return true;
}

static bool is_refused(struct rg_str params)
{
    while (params.p != NULL) {
        if (is_refusal(rg_str_split(&params, ';')))
            return true;
    }
    return false;
}

bool rg_accepts_json(const struct rg_request *req)
{
    bool is_named[RANGES] = {false}, is_taken[RANGES] = {false};
    const struct rg_http_field *field;
    size_t at = 0;
    bool has_field = false;

    while ((field = rg_request_next_field(req, RG_STR("accept"), &at)) != NULL) {
        struct rg_str list = field->value;
        has_field = true;
        while (list.p != NULL) {
            struct rg_str params = rg_str_split(&list, ',');
            enum range range = range_of(rg_str_trim(rg_str_split(&params, ';')));
            is_named[range] = true;
            is_taken[range] |= !is_refused(params);
        }
    }
    for (enum range range = JSON; range > OTHER; range--) {
        if (is_named[range])
            return is_taken[range];
    }
    return !has_field;
}
