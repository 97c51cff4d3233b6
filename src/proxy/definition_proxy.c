/* The member proxy: where the service is, and how it is spoken to (api-gateway.md 2.4 and 8.1). */
#include "base/alloc.h"
#include "base/clock.h"
#include "proxy/definition_priv.h"
#include "proxy/service.h"
#include "proxy/service_tls.h"

#define MAX_MS          2147483647
#define MAX_BODY_BYTES  ((uint64_t)1 << 53)
#define MIN_HEAD_BYTES  1024
#define MAX_HEAD_BYTES  1048576
#define MAX_CONNECTIONS 100000

/* The service as it is put together. */
struct place {
    struct rg_service_url *urls; /* at least one where there is no fault */
    size_t urls_n;
    struct rg_buf text;
    unsigned port; /* of those that have none; 0: none */
    bool is_https;
    struct rg_tls_client *tls;
    struct rg_buf tls_name;
    const char *server_name; /* borrowed of the definition */
    uint64_t max_connections;
};

/* ---- addresses ---- */

static struct rg_service_url *add_url(struct place *place)
{
    return &place->urls[place->urls_n++];
}

static void place_init(struct place *place, size_t urls)
{
    *place = (struct place){.urls = rg_zalloc((urls > 0 ? urls : 1) * sizeof(place->urls[0]))};
}

static void place_done(struct place *place)
{
    rg_free(place->urls);
    rg_buf_done(&place->text);
    rg_buf_done(&place->tls_name);
    rg_tls_client_unref(&place->tls);
}

/* What the variable says; unset or blank is localhost. */
static const char *value_of(struct rg_reading *r, const char *variable)
{
    const char *value = r->env(variable);

    return rg_str_trim(rg_str_c(value)).n > 0 ? value : "localhost";
}

static void read_target_url(struct rg_reading *r, const json_t *proxy, struct place *place)
{
    const char *text = rg_reading_text(r, proxy, "target_url");
    bool is_variable = json_is_true(json_object_get(proxy, "use_env"));
    struct rg_service_url url;
    struct rg_why why = {0};

    if (text == NULL)
        return;
    rg_buf_add_c(&place->text, text);
    const char *value = is_variable ? value_of(r, text) : text;
    if (rg_service_url_parse(rg_str_c(value), &url, &why) < 0) {
        RG_WRONG(r, "target_url", "%s%s", is_variable ? "names a variable whose value " : "",
                 why.text);
        return;
    }
    url.port = 0; /* 8.1: that of the member port counts */
    place->is_https = url.is_https;
    *add_url(place) = url;
}

static void read_target(struct rg_reading *r, const json_t *value, struct place *place)
{
    struct rg_service_url url;
    struct rg_why why = {0};

    if (!json_is_string(value)) {
        rg_reading_fault(r, NULL, "targets", RG_MUST_BE_STRING);
    } else if (rg_service_url_parse(rg_str_c(json_string_value(value)), &url, &why) < 0) {
        rg_reading_fault(r, NULL, "targets", "%s", why.text);
    } else if (place->urls_n > 0 && place->is_https != url.is_https) {
        rg_reading_fault(r, NULL, "targets", "must all have the same scheme");
    } else {
        place->is_https = url.is_https;
        if (place->text.n > 0)
            rg_buf_add_c(&place->text, ", ");
        rg_buf_add_c(&place->text, json_string_value(value));
        *add_url(place) = url;
    }
}

static void read_targets(struct rg_reading *r, const json_t *proxy, const json_t *targets,
                         struct place *place)
{
    size_t n = json_array_size(targets);

    if (rg_reading_is_given(json_object_get(proxy, "target_url")))
        RG_WRONG(r, "target_url", "must be left out where targets are given");
    if (json_is_true(json_object_get(proxy, "use_env")))
        RG_WRONG(r, "use_env", "must be left out where targets are given");
    if (n < 1 || n > RG_UPSTREAM_MAX_ORIGINS) {
        RG_WRONG(r, "targets", "must have between 1 and %d members", RG_UPSTREAM_MAX_ORIGINS);
        return;
    }
    size_t from = rg_reading_enter(r, "targets");
    for (size_t i = 0; i < n; i++) {
        size_t at = rg_reading_enter_at(r, i);
        read_target(r, json_array_get(targets, i), place);
        rg_reading_leave(r, at);
    }
    rg_reading_leave(r, from);
}

static bool needs_port(const struct place *place)
{
    for (size_t i = 0; i < place->urls_n; i++) {
        if (place->urls[i].port == 0)
            return true;
    }
    return place->urls_n == 0;
}

static void read_port(struct rg_reading *r, const json_t *proxy, struct place *place)
{
    const json_t *value = json_object_get(proxy, "port");
    json_int_t port = json_integer_value(value);

    if (!json_is_integer(value)) {
        if (needs_port(place) || rg_reading_is_given(value))
            RG_WRONG(r, "port", RG_MUST_BE_INTEGER);
    } else if (port < 1 || port > 65535) {
        RG_WRONG(r, "port", "must be between 1 and 65535");
    } else {
        place->port = (unsigned)port;
    }
}

static void read_addresses(struct rg_reading *r, const json_t *proxy, struct place *place)
{
    const json_t *targets = json_object_get(proxy, "targets");

    if (json_is_array(targets)) {
        place_init(place, json_array_size(targets));
        read_targets(r, proxy, targets, place);
    } else {
        place_init(place, 1);
        if (rg_reading_is_given(targets))
            RG_WRONG(r, "targets", "must be list");
        else
            read_target_url(r, proxy, place);
    }
    read_port(r, proxy, place);
}

/* ---- TLS ---- */

static const char *read_name(struct rg_reading *r, const json_t *tls, const char *member)
{
    const char *text = rg_reading_optional_text(r, tls, member);

    if (text != NULL && *text == '\0')
        RG_WRONG(r, member, "must have a length of at least 1");
    return text;
}

static void open_tls(struct rg_reading *r, const struct rg_tls_client_settings *settings,
                     struct place *place)
{
    struct rg_why why = {0};

    rg_service_tls_name(settings, &place->tls_name);
    place->tls =
        rg_service_tls_get(settings, rg_buf_str(&place->tls_name), rg_clock_mono_ms(), &why);
    rg_buf_add_char(&place->tls_name, '\0');
    if (place->tls == NULL)
        RG_WRONG(r, why.place[0] != '\0' ? why.place : "tls", "%s", why.text);
}

static void read_tls_members(struct rg_reading *r, const json_t *tls, struct place *place)
{
    size_t faults = rg_faults_count(r->faults);
    struct rg_tls_client_settings settings = {
        .ca_file = read_name(r, tls, "ca_file"),
        .cert_file = read_name(r, tls, "cert_file"),
        .key_file = read_name(r, tls, "key_file"),
        .is_unverified = !rg_reading_optional_flag(r, tls, "verify", true),
    };

    if ((settings.cert_file == NULL) != (settings.key_file == NULL))
        RG_WRONG(r, settings.cert_file == NULL ? "cert_file" : "key_file", RG_MUST_BE_PRESENT);
    place->server_name = read_name(r, tls, "server_name");
    if (place->server_name != NULL && strlen(place->server_name) > RG_SERVICE_MAX_HOST)
        RG_WRONG(r, "server_name", "must have a length of at most %d", RG_SERVICE_MAX_HOST);
    if (rg_faults_count(r->faults) == faults)
        open_tls(r, &settings, place);
}

static void read_tls(struct rg_reading *r, const json_t *proxy, struct place *place)
{
    const json_t *tls = rg_reading_optional_object(r, proxy, "tls");

    if (tls != NULL && place->urls_n > 0 && place->urls[0].has_scheme && !place->is_https) {
        RG_WRONG(r, "tls", "must be left out where the service is http://");
    } else if (tls != NULL) {
        size_t from = rg_reading_enter(r, "tls");
        read_tls_members(r, tls, place);
        rg_reading_leave(r, from);
    } else if (place->is_https) {
        size_t from = rg_reading_enter(r, "tls");
        open_tls(r, &(struct rg_tls_client_settings){0}, place);
        rg_reading_leave(r, from);
    }
}

/* ---- how much and how long ---- */

static void read_limits(struct rg_reading *r, const json_t *proxy, struct place *place)
{
    struct rg_api *api = r->api;
    uint64_t head_bytes = 0;

    rg_reading_optional_number(r, proxy, "connect_timeout_ms", 1, MAX_MS, &api->connect_timeout_ms);
    rg_reading_optional_number(r, proxy, "response_timeout_ms", 1, MAX_MS,
                               &api->response_timeout_ms);
    rg_reading_optional_number(r, proxy, "idle_timeout_ms", 1, MAX_MS, &api->idle_timeout_ms);
    rg_reading_optional_number(r, proxy, "max_body_bytes", 0, MAX_BODY_BYTES, &api->max_body_bytes);
    rg_reading_optional_number(r, proxy, "max_header_bytes", MIN_HEAD_BYTES, MAX_HEAD_BYTES,
                               &head_bytes);
    rg_reading_optional_number(r, proxy, "max_connections", 0, MAX_CONNECTIONS,
                               &place->max_connections);
    api->max_head_bytes = head_bytes;
    api->may_retry = rg_reading_optional_flag(r, proxy, "retry", true);
}

/* ---- the service ---- */

static void make_service(const struct place *place, struct rg_reading_place *ret)
{
    struct rg_upstream_origin origins[RG_UPSTREAM_MAX_ORIGINS];
    struct rg_buf host = {0};

    for (size_t i = 0; i < place->urls_n; i++) {
        const struct rg_service_url *url = &place->urls[i];
        origins[i] =
            (struct rg_upstream_origin){url->host, url->port > 0 ? url->port : place->port};
    }
    ret->service = rg_upstream_service_new(&(struct rg_upstream_service_settings){
        .origins = origins,
        .origins_n = place->urls_n,
        .tls = place->tls,
        .tls_name = place->tls != NULL ? place->tls_name.p : NULL,
        .server_name = place->server_name,
        .max_connections = place->max_connections,
    });
    rg_service_add_host(&host, origins[0].host, origins[0].port);
    ret->host = rg_buf_steal(&host);
    ret->text = rg_strndup(place->text.p, place->text.n);
}

static void read_members(struct rg_reading *r, const json_t *proxy, struct rg_reading_place *ret)
{
    size_t faults = rg_faults_count(r->faults);
    struct place place;

    read_addresses(r, proxy, &place);
    read_limits(r, proxy, &place);
    /* The files last: only where all else is right. */
    if (rg_faults_count(r->faults) == faults)
        read_tls(r, proxy, &place);
    if (rg_faults_count(r->faults) == faults)
        make_service(&place, ret);
    place_done(&place);
}

void rg_reading_proxy(struct rg_reading *r, const json_t *json, struct rg_reading_place *ret)
{
    const json_t *proxy = json_object_get(json, "proxy");

    if (rg_reading_is_given(proxy) && !json_is_object(proxy)) {
        RG_WRONG(r, "proxy", RG_MUST_BE_OBJECT);
        return;
    }
    if (!rg_reading_is_present(proxy))
        RG_WRONG(r, "proxy", RG_MUST_BE_PRESENT);
    if (!json_is_object(proxy))
        return;
    size_t from = rg_reading_enter(r, "proxy");
    read_members(r, proxy, ret);
    rg_reading_leave(r, from);
}

void rg_reading_place_done(struct rg_reading_place *place)
{
    rg_upstream_service_unref(&place->service);
    rg_free(place->host);
    rg_free(place->text);
    *place = (struct rg_reading_place){0};
}
