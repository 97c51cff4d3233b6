#include "http/trailers.h"

#include "base/alloc.h"
#include "http/h1_fields_priv.h"

/* Besides those of one hop (rg_h1_is_of_hop()). */
static const struct rg_str never[] = {
    /* routing, and what says who asks */
    {"host", 4},
    {"forwarded", 9},
    {"via", 3},
    {"x-real-ip", 9},
    {"x-request-id", 12},
    {"x-http-method-override", 22},
    {"origin", 6},
    /* modifiers of a request */
    {"cache-control", 13},
    {"expect", 6},
    {"max-forwards", 12},
    {"pragma", 6},
    {"range", 5},
    /* authentication, cookies */
    {"authorization", 13},
    {"proxy-authorization", 19},
    {"proxy-authenticate", 18},
    {"proxy-authentication-info", 25},
    {"www-authenticate", 16},
    {"authentication-info", 19},
    {"cookie", 6},
    {"set-cookie", 10},
    /* control of an answer */
    {"age", 3},
    {"date", 4},
    {"expires", 7},
    {"location", 8},
    {"retry-after", 11},
    {"vary", 4},
    {"warning", 7},
    /* what the content is */
    {"content-encoding", 16},
    {"content-type", 12},
    {"content-range", 13},
};

static const struct rg_str never_prefixes[] = {
    {"if-", 3},
    {"x-forwarded-", 12},
    {"access-control-", 15},
    {"sec-", 4},
};

bool rg_trailer_is_allowed(struct rg_str name)
{
    if (name.n == 0 || !rg_h1_is_all(name, TOKEN) || rg_h1_is_of_hop(name))
        return false;
    for (size_t i = 0; i < RG_COUNT_OF(never); i++) {
        if (rg_str_eq_nocase(name, never[i]))
            return false;
    }
    for (size_t i = 0; i < RG_COUNT_OF(never_prefixes); i++) {
        if (rg_str_starts_with_nocase(name, never_prefixes[i]))
            return false;
    }
    return true;
}

long rg_trailers_read(struct rg_str section, struct rg_http_field fields[RG_MAX_TRAILERS],
                      struct rg_why *why)
{
    struct rg_h1_cursor at;
    struct rg_http_field field;
    size_t seen = 0, n = 0;

    if (section.n == 0)
        return 0;
    at = (struct rg_h1_cursor){section.p, section.p + section.n};
    if (section.n > RG_MAX_TRAILER_BYTES)
        return rg_why_set(why, -400, "", "the trailers are too long");
    while (at.p < at.end && !rg_h1_take_crlf(&at)) {
        const char *wrong = rg_h1_take_field(&at, &field);
        if (wrong != NULL)
            return rg_why_set(why, -400, "trailers", "%s", wrong);
        if (++seen > RG_MAX_TRAILERS)
            return rg_why_set(why, -400, "", "more than %d trailers", RG_MAX_TRAILERS);
        if (rg_trailer_is_allowed(field.name))
            fields[n++] = field;
    }
    if (at.p != at.end)
        return rg_why_set(why, -400, "", "something follows the trailers");
    return (long)n;
}

void rg_trailers_add(struct rg_buf *section, const struct rg_http_field *fields, size_t n)
{
    size_t start = section->n, added = 0;

    for (size_t i = 0; i < n && added < RG_MAX_TRAILERS; i++) {
        size_t line_n = fields[i].name.n + fields[i].value.n + sizeof(": \r\n") - 1;
        if (line_n > RG_MAX_TRAILER_BYTES - (section->n - start) ||
            !rg_trailer_is_allowed(fields[i].name) || !rg_h1_is_all(fields[i].value, VALUE))
            continue;
        rg_h1_add_field(section, fields[i].name, fields[i].value);
        added++;
    }
}
