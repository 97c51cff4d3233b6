#include "http/trailers.h"

#include "base/alloc.h"
#include "http/h1_fields_priv.h"

long rg_trailers_take(struct rg_trailers *trailers, struct rg_chunked *c, const char *p, size_t n,
                      struct rg_str *ret_data, bool *ret_done, struct rg_why *why)
{
    unsigned before = c->trailer_n;
    long used = rg_chunked_take(c, p, n, ret_data, ret_done, why);

    if (used <= 0)
        return used;
    /* Nothing follows trailers, so they are the last that was taken. */
    size_t run = c->trailer_n - before;
    const char *from = p + used - run;
    /* The empty line alone is what nearly all bodies have. */
    if (run > 0 && (before > 0 ? trailers->text.n > 0 : *from != '\r'))
        rg_buf_add(&trailers->text, from, run);
    return used;
}

bool rg_trailers_allow(struct rg_str name)
{
    static const struct rg_str names[] = {
        {"accept", 6},
        {"age", 3},
        {"authorization", 13},
        {"cache-control", 13},
        {"content-encoding", 16},
        {"content-range", 13},
        {"content-type", 12},
        {"cookie", 6},
        {"date", 4},
        {"expect", 6},
        {"expires", 7},
        {"forwarded", 9},
        {"host", 4},
        {"if-match", 8},
        {"if-modified-since", 17},
        {"if-none-match", 13},
        {"if-range", 8},
        {"if-unmodified-since", 19},
        {"location", 8},
        {"max-forwards", 12},
        {"origin", 6},
        {"pragma", 6},
        {"proxy-authenticate", 18},
        {"proxy-authorization", 19},
        {"range", 5},
        {"retry-after", 11},
        {"set-cookie", 10},
        {"vary", 4},
        {"warning", 7},
        {"www-authenticate", 16},
    };

    if (rg_h1_is_of_hop(name))
        return false;
    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        if (rg_str_eq_nocase(name, names[i]))
            return false;
    }
    return true;
}

long rg_trailers_fields(const struct rg_trailers *trailers,
                        struct rg_http_field fields[RG_MAX_TRAILERS], struct rg_why *why)
{
    size_t all = 0, n = 0;

    if (trailers->text.n == 0)
        return 0;
    struct rg_h1_cursor at = {trailers->text.p, trailers->text.p + trailers->text.n};
    while (!rg_h1_take_crlf(&at)) {
        struct rg_http_field field;
        const char *wrong = rg_h1_take_field(&at, &field);
        if (wrong == NULL && ++all > RG_MAX_TRAILERS)
            wrong = "there are too many";
        if (wrong != NULL)
            return rg_why_set(why, RG_ESYNTAX, "trailers", "%s", wrong);
        if (rg_trailers_allow(field.name))
            fields[n++] = field;
    }
    return (long)n;
}
