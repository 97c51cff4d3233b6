#include "proxy/definition.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "proxy/definition_priv.h"
#include "proxy/document.h"

/* ---- what the gateway sets itself ---- */

/* Whatever a client says of these is not listened to (management-api.md 2.3). */
static void drop_bookkeeping(json_t *json)
{
    const char *name;
    json_t *value;
    void *next;

    json_object_del(json, "ref_number");
    json_object_del(json, "timestamp");
    json_object_del(json, "node_name");
    json_object_foreach_safe(json, next, name, value)
    {
        if (rg_str_starts_with(rg_str_c(name), RG_STR("phx_ref")))
            json_object_del(json, name);
    }
}

/* 2022-03-04T05:06:07.891011Z */
static void set_timestamp(struct rg_api *api)
{
    char text[RG_RFC3339_SIZE];

    rg_clock_rfc3339(text, rg_clock_wall_us());
    memcpy(api->timestamp, text, sizeof(api->timestamp));
    char *offset = strchr(api->timestamp, '+');
    if (offset != NULL)
        memcpy(offset, "Z", 2);
}

/* ---- id and name ---- */

/* For the keys of faults: whatever id there is, but no more than an id may have. */
static char *known_id(const json_t *json)
{
    const char *id = json_string_value(json_object_get(json, "id"));
    size_t n = id != NULL ? strlen(id) : 0;

    if (n > RG_DEFINITION_MAX_ID)
        n = RG_DEFINITION_MAX_ID;
    while (n > 0 && ((unsigned char)id[n] & 0xc0) == 0x80)
        n--;
    return rg_strndup(id != NULL ? id : "", n);
}

static char *read_name(struct rg_reading *r, const json_t *json, const char *member)
{
    const char *text = rg_reading_text(r, json, member);

    if (text != NULL && strlen(text) > RG_DEFINITION_MAX_ID)
        RG_WRONG(r, member, "must have a length of at most %d", RG_DEFINITION_MAX_ID);
    return rg_reading_copy(text != NULL ? text : "");
}

/* ---- versions ---- */

/* Rules 6 to 8. */
static void check_versions(struct rg_reading *r, const json_t *json)
{
    json_t *versions = json_object_get(json, "version_data");
    const char *name;
    json_t *version;

    if (rg_reading_is_given(versions) && !json_is_object(versions)) {
        RG_WRONG(r, "version_data", RG_MUST_BE_OBJECT);
        return;
    }
    if (!rg_reading_is_present(versions))
        RG_WRONG(r, "version_data", RG_MUST_BE_PRESENT);
    if (json_is_object(versions) && json_object_size(versions) == 0)
        RG_WRONG(r, "version_data", "must have at least one version, e.g. default");
    size_t from = rg_reading_enter(r, "version_data");
    json_object_foreach(versions, name, version)
    {
        size_t at = rg_reading_enter(r, name);
        if (!json_is_array(json_object_get(version, "endpoints")))
            RG_WRONG(r, "endpoints", "must be list");
        rg_reading_leave(r, at);
    }
    rg_reading_leave(r, from);
}

static void read_add_headers(struct rg_reading *r, const json_t *version)
{
    const json_t *transform = rg_reading_optional_object(r, version, "transform_request_headers");
    size_t from = rg_reading_enter(r, "transform_request_headers");
    json_t *fields =
        transform != NULL ? rg_reading_optional_object(r, transform, "add_headers") : NULL;

    if (fields != NULL) {
        size_t at = rg_reading_enter(r, "add_headers");
        r->api->add_headers_n = rg_reading_fields(r, fields, false, &r->api->add_headers);
        rg_reading_leave(r, at);
    }
    rg_reading_leave(r, from);
}

static void read_endpoint(struct rg_reading *r, const char *api_id, json_t *json, size_t i)
{
    char *id = known_id(json);
    size_t from = rg_reading_enter_at(r, i);

    rg_reading_set_key(r, api_id, id);
    rg_reading_endpoint(r, json, &r->api->endpoints[i]);
    rg_reading_leave(r, from);
    rg_free(id);
}

static void read_endpoints(struct rg_reading *r, const char *api_id, json_t *version)
{
    const json_t *list = json_object_get(version, "endpoints");
    struct rg_api *api = r->api;

    size_t from = rg_reading_enter(r, "endpoints");
    api->endpoints_n = json_array_size(list);
    api->endpoints = rg_zalloc((api->endpoints_n + 1) * sizeof(api->endpoints[0]));
    for (size_t i = 0; i < api->endpoints_n; i++)
        read_endpoint(r, api_id, json_array_get(list, i), i);
    rg_reading_leave(r, from);
}

/* Of the one version that is used; its shape has been checked. */
static void read_version(struct rg_reading *r, const char *api_id, const json_t *json)
{
    json_t *version = json_object_get(json_object_get(json, "version_data"), "default");

    if (!json_is_object(version))
        return;
    size_t outer = rg_reading_enter(r, "version_data");
    size_t inner = rg_reading_enter(r, "default");
    rg_reading_set_key(r, api_id, NULL);
    read_add_headers(r, version);
    read_endpoints(r, api_id, version);
    rg_reading_leave(r, inner);
    rg_reading_leave(r, outer);
}

/* ---- auth ---- */

/* Where tokens are: rules 9 and 10, and names that can be sent. */
static char *read_place(struct rg_reading *r, const json_t *auth, const char *use,
                        const char *member)
{
    const json_t *value = json_object_get(auth, member);
    const char *name = rg_reading_optional_text(r, auth, member);
    bool is_wanted = rg_reading_is_present(json_object_get(auth, use));

    if (is_wanted && (!rg_reading_is_given(value) || (name != NULL && *name == '\0')))
        RG_WRONG(r, member, RG_MUST_BE_PRESENT);
    if (name == NULL || !json_is_true(json_object_get(auth, use)))
        name = "";
    return rg_reading_copy(name);
}

/* Also one that only the defaults will put to use. */
static void check_header_name(struct rg_reading *r, const json_t *auth)
{
    const char *name = json_string_value(json_object_get(auth, "header_name"));
    bool is_wanted = r->is_jwt || rg_reading_is_present(json_object_get(auth, "use_header"));

    if (is_wanted && name != NULL && *name != '\0' && !rg_reading_is_token(name))
        RG_WRONG(r, "header_name", "must be the name of a field");
}

static void read_claim_headers(struct rg_reading *r, const json_t *auth)
{
    json_t *fields = rg_reading_optional_object(r, auth, "claim_headers");

    if (fields == NULL)
        return;
    if (json_object_size(fields) > 0 && !r->is_jwt)
        rg_reading_fault(r, "claim_headers", "auth_type", RG_MUST_BE_JWT);
    size_t from = rg_reading_enter(r, "claim_headers");
    r->api->claim_headers_n = rg_reading_fields(r, fields, true, &r->api->claim_headers);
    rg_reading_leave(r, from);
}

static void read_auth_members(struct rg_reading *r, const json_t *auth,
                              enum rg_definition_source source)
{
    struct rg_api *api = r->api;
    bool use_header = json_is_true(json_object_get(auth, "use_header"));
    bool use_query = json_is_true(json_object_get(auth, "use_query"));

    api->header_name = read_place(r, auth, "use_header", "header_name");
    check_header_name(r, auth);
    api->query_name = read_place(r, auth, "use_query", "query_name");
    if ((use_header || use_query) && !r->is_jwt && source != RG_DEFINITION_MERGED)
        rg_reading_fault(r, use_header ? "use_header" : "use_query", "auth_type", RG_MUST_BE_JWT);
    api->use_header = use_header && r->is_jwt;
    api->use_query = use_query && r->is_jwt;
    if (source != RG_DEFINITION_MERGED || r->is_jwt)
        read_claim_headers(r, auth);
}

/* Rules 9 to 11. */
static void read_auth(struct rg_reading *r, const json_t *json, enum rg_definition_source source)
{
    const json_t *auth = json_object_get(json, "auth");

    if (json_is_object(auth)) {
        size_t from = rg_reading_enter(r, "auth");
        read_auth_members(r, auth, source);
        rg_reading_leave(r, from);
    } else {
        r->api->header_name = rg_reading_copy("");
        r->api->query_name = rg_reading_copy("");
    }
}

static void set_absent(json_t *object, const char *member, json_t *value)
{
    if (rg_reading_is_given(json_object_get(object, member)))
        json_decref(value);
    else
        json_object_set_new(object, member, value);
}

/* The defaults of 2.1: where tokens are looked for is filled in, but not changed. */
static void add_auth_defaults(json_t *json, bool is_jwt)
{
    bool was_given = rg_reading_is_given(json_object_get(json, "auth"));

    set_absent(json, "auth", json_object());
    json_t *auth = json_object_get(json, "auth");
    if (was_given && !is_jwt)
        return; /* it replaces the default as a whole */
    set_absent(auth, "use_header", json_boolean(is_jwt));
    set_absent(auth, "header_name", json_string(is_jwt ? "Authorization" : ""));
    set_absent(auth, "use_query", json_false());
    set_absent(auth, "query_name", json_string(""));
}

static void add_defaults(json_t *json, bool is_jwt)
{
    set_absent(json, "auth_type", json_string("none"));
    set_absent(json, "versioned", json_false());
    add_auth_defaults(json, is_jwt);
}

/* What the defaults put there is in force like what is given. */
static void apply_auth_defaults(struct rg_api *api, const json_t *json)
{
    const json_t *auth = json_object_get(json, "auth");

    if (!json_is_true(json_object_get(auth, "use_header")) || api->header_name[0] != '\0')
        return;
    rg_free(api->header_name);
    api->header_name = rg_reading_copy(json_string_value(json_object_get(auth, "header_name")));
    api->use_header = true;
}

/* ---- a definition ---- */

static bool is_jwt(struct rg_reading *r, const json_t *json)
{
    const char *type = rg_reading_optional_text(r, json, "auth_type");

    return type != NULL && strcmp(type, "jwt") == 0;
}

/* 4.1: only true is active, and what is no no is versioned. */
static void read_state(struct rg_api *api, json_t *json)
{
    const json_t *active = json_object_get(json, "active");
    const json_t *versioned = json_object_get(json, "versioned");

    api->is_active = !rg_reading_is_given(active) || json_is_true(active);
    api->is_versioned = rg_reading_is_given(versioned) && !json_is_false(versioned);
    api->is_matched = api->is_active && !api->is_versioned;
    json_object_del(json, "active");
}

/* All endpoints of an API lead to the same service. */
static void set_places(struct rg_api *api, struct rg_reading_place *place)
{
    for (size_t i = 0; i < api->endpoints_n && place->service != NULL; i++) {
        struct rg_endpoint *endpoint = &api->endpoints[i];
        endpoint->service = rg_upstream_service_ref(place->service);
        endpoint->host = rg_reading_copy(place->host);
        endpoint->target_text = rg_reading_copy(place->text);
    }
}

static void read_members(struct rg_reading *r, json_t *json, enum rg_definition_source source)
{
    RG_CLEANUP(rg_reading_place_done) struct rg_reading_place place = {0};
    RG_CLEANUP(rg_free_ptr) char *id = known_id(json);

    rg_reading_set_key(r, "api", NULL);
    r->api->id = read_name(r, json, "id");
    r->api->name = read_name(r, json, "name");
    rg_reading_proxy(r, json, &place);
    check_versions(r, json);
    r->is_jwt = r->api->checks_tokens = is_jwt(r, json);
    rg_reading_optional_object(r, json, "auth");
    read_state(r->api, json);

    rg_reading_set_key(r, id, NULL);
    read_auth(r, json, source);
    read_version(r, id, json);
    set_places(r->api, &place);
}

struct rg_api *rg_definition_read(const json_t *json, enum rg_definition_source source,
                                  rg_getenv_fn *env, const char *prefix, struct rg_faults *faults)
{
    RG_CLEANUP(rg_api_unref) struct rg_api *api = rg_zalloc(sizeof(*api));
    RG_CLEANUP(rg_document_unref) json_t *copy = json_deep_copy(json);
    struct rg_reading r = {.faults = faults, .env = env, .api = api};
    size_t before = rg_faults_count(faults);

    atomic_init(&api->refs, 1);
    api->dialect = RG_DIALECT_APIS;
    set_timestamp(api);
    rg_buf_add_c(&r.at, prefix);
    if (json_is_object(copy)) {
        drop_bookkeeping(copy);
        read_members(&r, copy, source);
    } else {
        rg_reading_set_key(&r, "api", NULL);
        rg_reading_fault(&r, NULL, "api", RG_MUST_BE_OBJECT);
    }
    rg_buf_done(&r.key);
    rg_buf_done(&r.at);
    if (rg_faults_count(faults) > before)
        return NULL;
    if (source == RG_DEFINITION_NEW) {
        add_defaults(copy, api->checks_tokens);
        if (api->checks_tokens)
            apply_auth_defaults(api, copy);
    }
    rg_document_add(copy, &api->shown);
    return RG_STEAL(api);
}
