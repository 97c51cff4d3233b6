#include "proxy/api.h"

#include "base/alloc.h"

const char *const rg_target_names[] = {
    [RG_TARGET_HTTP] = "http",
    [RG_TARGET_KAFKA] = "kafka",
    [RG_TARGET_KINESIS] = "kinesis",
    [RG_TARGET_NATS] = "nats",
};

const char *const rg_response_from_names[] = {
    [RG_FROM_HTTP] = "http",       [RG_FROM_KAFKA] = "kafka", [RG_FROM_HTTP_ASYNC] = "http_async",
    [RG_FROM_KINESIS] = "kinesis", [RG_FROM_NATS] = "nats",
};

static void fields_free(struct rg_api_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rg_free(fields[i].name);
        rg_free(fields[i].value);
    }
    rg_free(fields);
}

static void endpoint_done(struct rg_endpoint *endpoint)
{
    rg_free(endpoint->id);
    rg_free(endpoint->method);
    rg_free(endpoint->path_regex);
    rg_pattern_free(&endpoint->pattern);
    rg_rewrite_free(&endpoint->rewrite);
    rg_free(endpoint->topic);
    rg_free(endpoint->schema);
    rg_free(endpoint->definition);
    rg_upstream_service_unref(&endpoint->service);
    rg_free(endpoint->host);
    rg_free(endpoint->target_text);
}

struct rg_api *rg_api_ref(struct rg_api *api)
{
    atomic_fetch_add_explicit(&api->refs, 1, memory_order_relaxed);
    return api;
}

void rg_api_unref(struct rg_api **apip)
{
    struct rg_api *api = *apip;

    *apip = NULL;
    if (api == NULL || atomic_fetch_sub_explicit(&api->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < api->endpoints_n; i++)
        endpoint_done(&api->endpoints[i]);
    rg_free(api->endpoints);
    fields_free(api->claim_headers, api->claim_headers_n);
    fields_free(api->add_headers, api->add_headers_n);
    rg_free(api->id);
    rg_free(api->name);
    rg_free(api->header_name);
    rg_free(api->query_name);
    rg_buf_done(&api->shown);
    rg_free(api);
}
