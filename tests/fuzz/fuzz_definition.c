/* PROXY_CONFIG_FILE, definitions and routes of 2017 alike. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "event/json.h"
#include "proxy/definition.h"
#include "proxy/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static const char *env(const char *name)
{
    return name[0] == 'U' ? NULL : name;
}

static void check_endpoint(const struct rg_api *api, const struct rg_endpoint *endpoint)
{
    rg_assert(endpoint->api == api && endpoint->id[0] != '\0' && endpoint->method[0] != '\0');
    rg_assert(endpoint->pattern != NULL && endpoint->service != NULL);
    rg_assert(strchr(endpoint->host, ':') != NULL && endpoint->target_text != NULL);
    rg_assert(endpoint->target == RG_TARGET_HTTP || endpoint->topic != NULL);
    rg_assert(!endpoint->is_secured || api->checks_tokens);
    rg_assert(endpoint->rate.requests == 0 || endpoint->rate.burst > 0);
}

/* What is shown is a definition again, and the same one. */
static void check_shown(const struct rg_api *api)
{
    struct rg_faults faults = {0};
    struct rg_why why = {0};
    json_t *json = rg_document_read(rg_buf_str(&api->shown), &why);
    struct rg_api *again = rg_definition_read(json, RG_DEFINITION_PUT, env, "", &faults);

    rg_assert(json != NULL && again != NULL && faults.n == 0);
    rg_assert(rg_str_eq(rg_buf_str(&again->shown), rg_buf_str(&api->shown)));
    rg_assert(again->endpoints_n == api->endpoints_n && again->use_header == api->use_header);
    rg_api_unref(&again);
    rg_document_unref(&json);
}

static void check_api(const struct rg_api *api)
{
    for (size_t i = 0; i < api->endpoints_n; i++)
        check_endpoint(api, &api->endpoints[i]);
    for (size_t i = 0; i < api->add_headers_n; i++)
        rg_assert(strpbrk(api->add_headers[i].value, "\r\n") == NULL);
    if (api->dialect == RG_DIALECT_APIS)
        check_shown(api);
}

/* One definition that may be wrong: what is told of it is JSON, and within bounds. */
static void check_faults(struct rg_str text)
{
    struct rg_faults faults = {0};
    struct rg_buf out = {0};
    struct rg_json value;
    json_t *json = rg_document_read(text, NULL);
    struct rg_api *api =
        json != NULL ? rg_definition_read(json, RG_DEFINITION_PUT, env, "", &faults) : NULL;

    rg_assert((json != NULL) == ((api != NULL) != (faults.n > 0)));
    rg_faults_add_json(&faults, &out);
    rg_assert(rg_json_check(rg_buf_str(&out), &value, NULL) == 0);
    rg_buf_clear(&out);
    rg_faults_add_problem(&faults, &out);
    rg_assert(rg_json_check(rg_buf_str(&out), &value, NULL) == 0);
    rg_buf_clear(&out);
    rg_faults_add_pointers(&faults, 100, &out);
    rg_assert(out.n <= 100);
    rg_buf_done(&out);
    rg_faults_done(&faults);
    rg_api_unref(&api);
    rg_document_unref(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str text = rg_str_n((const char *)input, n);
    struct rg_problems problems = {0};
    struct rg_buf warnings = {0};
    struct rg_api **apis = NULL;
    size_t apis_n = 0;
    int err = rg_definitions_read(text, env, &problems, &warnings, &apis, &apis_n);

    rg_assert((err == 0) == (problems.n == 0));
    for (size_t i = 0; i < apis_n; i++) {
        check_api(apis[i]);
        rg_api_unref(&apis[i]);
    }
    rg_free(apis);
    rg_problems_done(&problems);
    rg_buf_done(&warnings);
    check_faults(text);
    return 0;
}
