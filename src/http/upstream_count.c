#include "base/alloc.h"
#include "http/upstream_priv.h"

#define CONNECTIONS   "rgate_upstream_connections"
#define FAILURES      "rgate_upstream_failures_total"
#define LOOKUPS       "rgate_upstream_lookups_total"
#define FAILED(error) [RG_UPSTREAM_ROW_FAILED + (error)]

static const struct rg_counter_row rows[RG_UPSTREAM_ROWS] = {
    [RG_UPSTREAM_ROW_OPEN] = {CONNECTIONS, "gauge", "state=\"open\"",
                              "Connections to services: all, and those without a call."},
    [RG_UPSTREAM_ROW_KEPT] = {CONNECTIONS, "gauge", "state=\"idle\"", ""},
    [RG_UPSTREAM_ROW_IN_LINE] = {"rgate_upstream_waiting", "gauge", NULL,
                                 "Calls that wait for a connection or for a name lookup."},
    [RG_UPSTREAM_ROW_LEFT_OUT] = {"rgate_upstream_left_out", "gauge", NULL,
                                  "Addresses of services that are left out because they fail."},
    [RG_UPSTREAM_ROW_CALLS] = {"rgate_upstream_calls_total", "counter", NULL, "Calls to services."},
    [RG_UPSTREAM_ROW_RETRIES] = {"rgate_upstream_retries_total", "counter", NULL,
                                 "Calls sent once more on a new connection."},
    [RG_UPSTREAM_ROW_LEFT_OUT_TOTAL] = {"rgate_upstream_left_out_total", "counter", NULL,
                                        "Times that an address began to be left out."},
    FAILED(RG_UPSTREAM_UNREACHABLE) = {FAILURES, "counter", "kind=\"unreachable\"",
                                       "Calls that failed."},
    FAILED(RG_UPSTREAM_BROKEN) = {FAILURES, "counter", "kind=\"broken\"", ""},
    FAILED(RG_UPSTREAM_MALFORMED) = {FAILURES, "counter", "kind=\"malformed\"", ""},
    FAILED(RG_UPSTREAM_TIMEOUT) = {FAILURES, "counter", "kind=\"timeout\"", ""},
    [RG_UPSTREAM_ROW_LOOKUPS_DONE] = {LOOKUPS, "counter", "outcome=\"done\"",
                                      "Lookups of services' names."},
    [RG_UPSTREAM_ROW_LOOKUPS_FAILED] = {LOOKUPS, "counter", "outcome=\"failed\"", ""},
};

void rg_upstreams_expose(struct rg_upstreams *const *all, size_t n, struct rg_buf *out)
{
    const struct rg_counters **blocks = rg_alloc(n * sizeof(blocks[0]));

    for (size_t i = 0; i < n; i++)
        blocks[i] = all[i]->counters;
    rg_counters_expose(out, rows, RG_UPSTREAM_ROWS, blocks, n);
    rg_free(blocks);
}
