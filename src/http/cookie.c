#include "http/cookie.h"

static struct rg_str unquote(struct rg_str value)
{
    if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
        return rg_str_n(value.p + 1, value.n - 2);
    return value;
}

struct rg_str rg_cookie_get(const struct rg_request *req, struct rg_str name)
{
    const struct rg_http_field *field;
    size_t at = 0;

    while ((field = rg_request_next_field(req, RG_STR("cookie"), &at)) != NULL) {
        struct rg_str rest = field->value;
        while (rest.p != NULL) {
            struct rg_str value = rg_str_split(&rest, ';');
            struct rg_str key = rg_str_split(&value, '=');
            /* Without '=' it is not a cookie pair; browsers never send that. */
            if (value.p != NULL && rg_str_eq(rg_str_trim(key), name))
                return unquote(rg_str_trim(value));
        }
    }
    return (struct rg_str){NULL, 0};
}
