#include "proxy/correlate.h"

#include "http/query.h"

static bool is_correlation(struct rg_str part)
{
    struct rg_buf name = {0};
    bool is = rg_percent_decode(rg_str_split(&part, '='), true, &name) == 0 &&
              rg_str_eq(rg_buf_str(&name), RG_STR("correlation"));

    rg_buf_done(&name);
    return is;
}

void rg_correlate(struct rg_str target, struct rg_str id, struct rg_buf *out)
{
    struct rg_str query = target;
    char between = '?';

    rg_buf_add_str(out, rg_str_split(&query, '?'));
    while (query.p != NULL) {
        struct rg_str part = rg_str_split(&query, '&');
        if (part.n == 0 || is_correlation(part))
            continue;
        rg_buf_add_char(out, between);
        rg_buf_add_str(out, part);
        between = '&';
    }
    rg_buf_add_char(out, between);
    rg_buf_add_c(out, "correlation=");
    rg_buf_add_str(out, id);
}
