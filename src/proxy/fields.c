#include "proxy/fields.h"

#include "base/alloc.h"

/*
 * Expect is ours to answer; what Proxy-Authorization holds is for the first proxy, which we are
 * (RFC 9110 11.7.2).
 */
static const struct rg_str ours[] = {
    {"connection", 10},
    {"keep-alive", 10},
    {"proxy-connection", 16},
    {"transfer-encoding", 17},
    {"content-length", 14},
    {"upgrade", 7},
    {"te", 2},
    {"trailer", 7},
    {"expect", 6},
    {"http2-settings", 14},
    {"proxy-authorization", 19},
};

static bool is_ours(struct rg_str name)
{
    for (size_t i = 0; i < RG_COUNT_OF(ours); i++) {
        if (rg_str_eq_nocase(name, ours[i]))
            return true;
    }
    return false;
}

size_t rg_fields_to_forward(const struct rg_request *req,
                            struct rg_http_field ret[RG_MAX_FIELDS_PER_MESSAGE])
{
    const struct rg_str connection = RG_STR("connection");
    bool has_connection = rg_request_field(req, connection).p != NULL;
    size_t n = 0;

    for (size_t i = 0; i < req->fields_n; i++) {
        struct rg_str name = req->fields[i].name;
        bool is_host = rg_str_eq_nocase(name, RG_STR("host"));
        if (is_ours(name) ||
            (has_connection && !is_host && rg_request_has_token(req, connection, name)))
            continue;
        ret[n++] = req->fields[i];
    }
    return n;
}
