#include "push/bearer.h"

/*
 * "realm=x" and the like, behind a scheme with parameters (RFC 9110 11.4). In a token '=' may only
 * stand at the end, and '"' never.
 */
static bool is_parameter(struct rg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || (s.p[i] == '=' && i + 1 < s.n && s.p[i + 1] != '='))
            return true;
    }
    return false;
}

bool rg_bearer_next(struct rg_str *rest, struct rg_str *ret)
{
    while (rest->p != NULL) {
        struct rg_str credential = rg_str_trim(rg_str_split(rest, ','));
        struct rg_str token = credential;
        struct rg_str scheme = rg_str_split(&token, ' ');

        if (token.p == NULL)
            token = is_parameter(credential) ? RG_STR("") : credential;
        else if (!rg_str_eq_nocase(scheme, RG_STR("bearer")))
            continue;
        *ret = rg_str_trim(token);
        if (ret->n > 0)
            return true;
    }
    return false;
}
