#include "http/router.h"

static bool matches(const char *pattern, struct rg_str path, struct rg_route_match *ret)
{
    struct rg_str want = rg_str_c(pattern);

    ret->params_n = 0;
    if (rg_str_eq(want, RG_STR("*")))
        return true;
    if (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (memchr(pattern, ':', want.n) == NULL)
        return rg_str_eq(want, path);

    while (want.p != NULL && path.p != NULL) {
        struct rg_str w = rg_str_split(&want, '/');
        struct rg_str have = rg_str_split(&path, '/');
        if (w.n > 0 && w.p[0] == ':') {
            if (have.n == 0 || ret->params_n == RG_ROUTE_MAX_PARAMS)
                return false;
            ret->params[ret->params_n++] = have;
        } else if (!rg_str_eq(w, have)) {
            return false;
        }
    }
    return want.p == NULL && path.p == NULL;
}

bool rg_router_find(const struct rg_route *rows, size_t n, enum rg_method method,
                    struct rg_str path, struct rg_route_match *ret)
{
    unsigned bit = RG_METHOD_BIT(method == RG_HEAD ? RG_GET : method);

    for (size_t i = 0; i < n; i++) {
        if ((rows[i].methods & bit) != 0 && matches(rows[i].pattern, path, ret)) {
            ret->route = &rows[i];
            return true;
        }
    }
    return false;
}
