/* PROXY_CONFIG_FILE: a list of definitions, or of the routes of 2017. */
#include "base/alloc.h"
#include "proxy/definition_priv.h"
#include "proxy/document.h"
#include "proxy/routes_2017.h"

#define VARIABLE RG_DEFINITIONS_VARIABLE

struct reading {
    rg_getenv_fn *env;
    struct rg_problems *problems;
    struct rg_buf *warnings;
    struct rg_api **apis;
    size_t n;
    json_t *ids; /* of each id, the number of the element that has it */
};

/* ---- faults as lines ---- */

static bool is_untold(const struct rg_fault *previous, const struct rg_fault *fault)
{
    /* What is missing has both of RIG's messages; a person needs the first. */
    return previous == NULL || strcmp(previous->pointer, fault->pointer) != 0 ||
           strcmp(previous->message, RG_MUST_BE_STRING) != 0;
}

/* API "orders", endpoint "list" */
static void add_ids(struct rg_buf *out, const json_t *json, const char *key)
{
    const char *id = json_string_value(json_object_get(json, "id"));
    size_t n = id != NULL ? strlen(id) : 0;

    if (n > RG_DEFINITION_MAX_ID)
        n = RG_DEFINITION_MAX_ID;
    if (n > 0)
        rg_buf_addf(out, "API \"%.*s\"", (int)n, id);
    else
        rg_buf_add_c(out, "API without id");
    if (strncmp(key, id != NULL ? id : "", n) == 0 && key[n] == '/')
        rg_buf_addf(out, ", endpoint %s%s%s", key[n + 1] != '\0' ? "\"" : "",
                    key[n + 1] != '\0' ? key + n + 1 : "without id",
                    key[n + 1] != '\0' ? "\"" : "");
}

static void tell_fault(struct reading *r, const json_t *json, const struct rg_fault *fault)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf line = {0};

    rg_buf_addf(&line, "%s: ", fault->pointer);
    add_ids(&line, json, fault->key);
    rg_buf_addf(&line, ": %s ", fault->field);
    rg_fault_add_text(fault, &line);
    rg_problem_add(r->problems, VARIABLE, NULL, "%.*s", RG_STR_ARG(rg_buf_str(&line)));
}

static void tell_faults(struct reading *r, const json_t *json, const struct rg_faults *faults)
{
    const struct rg_fault *previous = NULL;

    for (size_t i = 0; i < faults->n; i++) {
        if (is_untold(previous, &faults->list[i]))
            tell_fault(r, json, &faults->list[i]);
        previous = &faults->list[i];
    }
    if (faults->untold > 0)
        rg_problem_add(r->problems, VARIABLE, NULL, "and %zu more", faults->untold);
}

/* ---- what is allowed, but never used ---- */

static void warn_of_endpoint(struct reading *r, size_t at, const struct rg_api *api, size_t i)
{
    const struct rg_endpoint *endpoint = &api->endpoints[i];

    if (!rg_reading_is_token(endpoint->method))
        rg_buf_addf(r->warnings,
                    VARIABLE ": /%zu: API \"%s\", endpoint \"%s\" is never used: its method is "
                             "none of HTTP\n",
                    at, api->id, endpoint->id);
}

static void warn_of_api(struct reading *r, size_t at, const struct rg_api *api)
{
    if (!api->is_matched)
        rg_buf_addf(r->warnings, VARIABLE ": /%zu: API \"%s\" is never used: it is %s\n", at,
                    api->id, api->is_versioned ? "versioned" : "not active");
    for (size_t i = 0; i < api->endpoints_n; i++)
        warn_of_endpoint(r, at, api, i);
}

/* ---- definitions ---- */

/* False, and a problem, if an earlier element has the id. */
static bool note_id(struct reading *r, const json_t *element, size_t at)
{
    const char *id = json_string_value(json_object_get(element, "id"));
    const json_t *first = json_object_get(r->ids, id);

    if (id == NULL)
        return true;
    if (first != NULL) {
        rg_problem_add(r->problems, VARIABLE, NULL,
                       "/%zu/id: API \"%.*s\": id is that of /%lld already", at,
                       RG_DEFINITION_MAX_ID, id, (long long)json_integer_value(first));
        return false;
    }
    json_object_set_new(r->ids, id, json_integer((json_int_t)at));
    return true;
}

static void read_definition(struct reading *r, const json_t *element, size_t at)
{
    RG_CLEANUP(rg_faults_done) struct rg_faults faults = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf prefix = {0};

    rg_buf_addf(&prefix, "/%zu", at);
    rg_buf_add_char(&prefix, '\0');
    note_id(r, element, at);
    struct rg_api *api = rg_definition_read(element, RG_DEFINITION_NEW, r->env, prefix.p, &faults);
    if (api == NULL) {
        tell_faults(r, element, &faults);
        return;
    }
    warn_of_api(r, at, api);
    r->apis[r->n++] = api;
}

static void read_definitions(struct reading *r, const json_t *list)
{
    r->ids = json_object();
    for (size_t i = 0; i < json_array_size(list); i++)
        read_definition(r, json_array_get(list, i), i);
    json_decref(r->ids);
}

/* ---- the list ---- */

enum shape {
    OF_DEFINITIONS,
    OF_2017,
    MIXED
};

static enum shape shape_of(const json_t *list, size_t *ret_route, size_t *ret_other)
{
    size_t n = json_array_size(list);

    *ret_route = *ret_other = n;
    for (size_t i = n; i > 0; i--) {
        const json_t *element = json_array_get(list, i - 1);
        if (rg_routes_2017_is_route(element))
            *ret_route = i - 1;
        else if (json_object_get(element, "id") != NULL ||
                 json_object_get(element, "version_data") != NULL)
            *ret_other = i - 1;
    }
    if (*ret_route == n)
        return OF_DEFINITIONS;
    return *ret_other == n ? OF_2017 : MIXED;
}

static void read_list(struct reading *r, const json_t *list)
{
    size_t route, other;

    r->apis = rg_zalloc((json_array_size(list) + 1) * sizeof(struct rg_api *));
    switch (shape_of(list, &route, &other)) {
    case OF_DEFINITIONS:
        read_definitions(r, list);
        break;
    case OF_2017:
        r->apis[0] = rg_routes_2017_read(list, r->env, r->problems, r->warnings);
        r->n = r->apis[0] != NULL;
        break;
    case MIXED:
        rg_problem_add(r->problems, VARIABLE, NULL,
                       "is a list of API definitions (/%zu) and of routes of 2017 (/%zu): it must "
                       "be one of them",
                       other, route);
        break;
    }
}

int rg_definitions_read(struct rg_str text, rg_getenv_fn *env, struct rg_problems *problems,
                        struct rg_buf *warnings, struct rg_api ***ret, size_t *ret_n)
{
    RG_CLEANUP(rg_document_unref) json_t *root = NULL;
    struct reading r = {.env = env, .problems = problems, .warnings = warnings};
    size_t before = problems->n;
    struct rg_why why = {0};

    root = rg_document_read(text, &why);
    if (root == NULL)
        rg_problem_add(problems, VARIABLE, NULL, "not JSON: %s: %s", why.place, why.text);
    else if (!json_is_array(root))
        rg_problem_add(problems, VARIABLE, NULL, "must be a JSON array of API definitions");
    else
        read_list(&r, root);
    if (problems->n == before) {
        *ret = r.apis;
        *ret_n = r.n;
        return 0;
    }
    for (size_t i = 0; i < r.n; i++)
        rg_api_unref(&r.apis[i]);
    rg_free(r.apis);
    return RG_EINVAL;
}
