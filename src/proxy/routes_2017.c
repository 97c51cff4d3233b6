#include "proxy/routes_2017.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "proxy/definition_priv.h"
#include "proxy/path.h"
#include "proxy/service.h"
#include "proxy/service_tls.h"

#define MAX_METHOD_BYTES 32
#define MAX_SEGMENTS     64

/* A variable that was looked up. */
struct known_host {
    char *variable;
    struct rg_service_url url;
    bool is_wrong; /* which is told once */
};

/* The first route of a method and path. */
struct seen {
    struct rg_map_link link;
    struct rg_str name; /* of its endpoint, borrowed */
    size_t at;
};

struct reading {
    struct rg_api *api;
    struct known_host *hosts;
    size_t hosts_n, hosts_cap;
    struct rg_hash_key hash_key;
    struct rg_map map; /* of struct seen */
    struct seen *seen; /* one for each element */
    rg_getenv_fn *env;
    struct rg_problems *problems;
    struct rg_buf *warnings;
    size_t at; /* number of the element */
};

/* What an element says. */
struct route {
    char *method, *path;
    const char *variable; /* borrowed of the element */
    const struct known_host *host;
    unsigned port;
    bool needs_token;
};

#define PROBLEM(r, member, value, fmt, ...)                                                        \
    rg_problem_add((r)->problems, RG_DEFINITIONS_VARIABLE, (value), "/%zu%s%s: " fmt, (r)->at,     \
                   (member)[0] != '\0' ? "/" : "", (member)__VA_OPT__(, ) __VA_ARGS__)

/* ---- members ---- */

/* The string at member, or NULL and a problem. */
static const char *read_text(struct reading *r, const json_t *element, const char *member)
{
    const json_t *value = json_object_get(element, member);
    const char *text = json_string_value(value);

    if (value == NULL)
        PROBLEM(r, member, NULL, "is missing");
    else if (text == NULL)
        PROBLEM(r, member, NULL, "must be a string");
    else if (*text == '\0')
        PROBLEM(r, member, NULL, "must not be empty");
    else
        return text;
    return NULL;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void read_method(struct reading *r, const json_t *element, struct route *route)
{
    const char *text = read_text(r, element, "method");

    if (text == NULL)
        return;
    if (strlen(text) > MAX_METHOD_BYTES || !rg_reading_is_token(text)) {
        PROBLEM(r, "method", text, "must be a method of HTTP like GET");
        return;
    }
    route->method = rg_strndup(text, strlen(text));
    for (char *p = route->method; *p != '\0'; p++) {
        if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - ('a' - 'A'));
    }
}

static void read_port(struct reading *r, const json_t *element, struct route *route)
{
    const json_t *value = json_object_get(element, "port");
    json_int_t port = json_integer_value(value);

    if (value == NULL)
        PROBLEM(r, "port", NULL, "is missing");
    else if (!json_is_integer(value) || port < 1 || port > 65535)
        PROBLEM(r, "port", NULL, "must be a whole number from 1 to 65535");
    else
        route->port = (unsigned)port;
}

static void read_auth(struct reading *r, const json_t *element, struct route *route)
{
    const json_t *value = json_object_get(element, "auth");

    if (value == NULL)
        PROBLEM(r, "auth", NULL, "is missing");
    else if (!json_is_boolean(value))
        PROBLEM(r, "auth", NULL, "must be true or false");
    route->needs_token = json_is_true(value);
}

/* ---- paths ---- */

static bool is_path_byte(char c)
{
    return is_letter_or_digit(c) || (c != '\0' && strchr("-._~!$&'()*+,;=:@%/", c) != NULL);
}

/* What is wrong with a segment, or NULL. */
static const char *wrong_segment(struct rg_str segment)
{
    if (rg_str_eq(segment, RG_STR("{id}")))
        return NULL;
    for (size_t i = 0; i < segment.n; i++) {
        if (segment.p[i] == '{' || segment.p[i] == '}')
            return "may have no braces but in {id}, which is a whole segment";
        if (segment.p[i] == '?' || segment.p[i] == '#')
            return "must be a path without query and fragment";
        if (!is_path_byte(segment.p[i]))
            return "has a character that a path has only percent-encoded";
    }
    return NULL;
}

/* What is wrong with a path that begins with a slash, or NULL. */
static const char *wrong_path(struct rg_str path, struct rg_why *why)
{
    struct rg_str rest = rg_str_n(path.p + 1, path.n - 1);
    size_t segments = 0;

    for (; rest.p != NULL; segments++) {
        const char *wrong = wrong_segment(rg_str_split(&rest, '/'));
        if (wrong != NULL)
            return wrong;
    }
    if (segments > MAX_SEGMENTS)
        return "has more than 64 segments";
    return rg_path_check(path, why) < 0 ? why->text : NULL;
}

static void read_path(struct reading *r, const json_t *element, struct route *route)
{
    const char *text = read_text(r, element, "path");
    struct rg_buf path = {0};
    struct rg_why why = {0};

    if (text == NULL)
        return;
    if (text[0] != '/')
        rg_buf_add_char(&path, '/');
    rg_buf_add_c(&path, text);
    const char *wrong = wrong_path(rg_buf_str(&path), &why);
    if (wrong != NULL)
        PROBLEM(r, "path", text, "%s", wrong);
    route->path = rg_buf_steal(&path);
}

/* ---- hosts ---- */

static bool is_variable(const char *s)
{
    for (const char *p = s; *p != '\0'; p++) {
        if (!is_letter_or_digit(*p) && *p != '_' && *p != '-')
            return false;
    }
    return true;
}

/* What variable says; the port and all else is the route's business. */
static bool resolve(struct reading *r, const char *variable, struct rg_service_url *url)
{
    const char *value = r->env(variable);
    struct rg_str text = rg_str_trim(rg_str_c(value));
    struct rg_why why = {0};

    if (text.n == 0)
        text = RG_STR("localhost");
    if (rg_service_url_parse(text, url, &why) == 0 && url->port == 0 && !url->has_more)
        return true;
    rg_problem_add(r->problems, variable, value,
                   "must be the name or address of a host without port and path, which the route "
                   "has, maybe behind http:// or https://");
    return false;
}

static const struct known_host *host_of(struct reading *r, const char *variable)
{
    for (size_t i = 0; i < r->hosts_n; i++) {
        if (strcmp(r->hosts[i].variable, variable) == 0)
            return &r->hosts[i];
    }
    if (r->hosts_n == r->hosts_cap) {
        r->hosts_cap = r->hosts_cap * 2 + 8;
        r->hosts = rg_realloc_array(r->hosts, r->hosts_cap, sizeof(*r->hosts));
    }
    struct known_host *known = &r->hosts[r->hosts_n++];
    *known = (struct known_host){.variable = rg_reading_copy(variable)};
    known->is_wrong = !resolve(r, variable, &known->url);
    return known;
}

static void forget_hosts(struct reading *r)
{
    for (size_t i = 0; i < r->hosts_n; i++)
        rg_free(r->hosts[i].variable);
    rg_free(r->hosts);
}

static void read_host(struct reading *r, const json_t *element, struct route *route)
{
    const char *variable = read_text(r, element, "host");

    if (variable == NULL)
        return;
    if (!is_variable(variable)) {
        PROBLEM(r, "host", variable, "must be the name of the environment variable with the host");
        return;
    }
    const struct known_host *host = host_of(r, variable);
    if (host->is_wrong)
        return;
    route->variable = variable;
    route->host = host;
}

/* ---- services ---- */

static struct rg_upstream_service *make_service(struct reading *r, const struct route *route)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf tls_name = {0};
    RG_CLEANUP(rg_tls_client_unref) struct rg_tls_client *tls = NULL;
    const struct rg_tls_client_settings settings = {0};
    struct rg_upstream_origin origin = {route->host->url.host, route->port};
    struct rg_why why = {0};

    if (route->host->url.is_https) {
        rg_service_tls_name(&settings, &tls_name);
        tls = rg_service_tls_get(&settings, rg_buf_str(&tls_name), rg_clock_mono_ms(), &why);
        rg_buf_add_char(&tls_name, '\0');
        if (tls == NULL) {
            PROBLEM(r, "host", route->variable, "TLS cannot be spoken: %s", why.text);
            return NULL;
        }
    }
    return rg_upstream_service_new(&(struct rg_upstream_service_settings){
        .origins = &origin, .origins_n = 1, .tls = tls, .tls_name = tls_name.p});
}

/* ---- endpoints ---- */

/* Text as the language of 2017 shows it. */
static void add_shown(struct rg_buf *out, const char *s)
{
    rg_buf_add_char(out, '"');
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\' || (*s == '#' && s[1] == '{'))
            rg_buf_add_char(out, '\\');
        rg_buf_add_char(out, *s);
    }
    rg_buf_add_char(out, '"');
}

/* 15.2: the members in alphabetical order; the path as it is in the file. */
static char *define(const struct route *route, const char *path)
{
    struct rg_buf out = {0};

    rg_buf_addf(&out, "%%{\"auth\" => %s, \"host\" => ", route->needs_token ? "true" : "false");
    add_shown(&out, route->variable);
    rg_buf_add_c(&out, ", \"method\" => ");
    add_shown(&out, route->method);
    rg_buf_add_c(&out, ", \"path\" => ");
    add_shown(&out, path);
    rg_buf_addf(&out, ", \"port\" => %u}", route->port);
    return rg_buf_steal(&out);
}

static char *join(const char *method, const char *path)
{
    struct rg_buf out = {0};

    rg_buf_addf(&out, "%s %s", method, path);
    return rg_buf_steal(&out);
}

static bool is_name(const struct rg_map_link *link, const void *name)
{
    return rg_str_eq(RG_CONTAINER_OF(link, struct seen, link)->name, *(const struct rg_str *)name);
}

/* {id} is the only thing in a path that is not literal: the same text is the same route. */
static void note(struct reading *r, const struct rg_endpoint *endpoint)
{
    struct rg_str name = rg_str_c(endpoint->id);
    uint64_t hash = rg_hash64(&r->hash_key, name.p, name.n);
    struct rg_map_link *first = rg_map_find(&r->map, hash, is_name, &name);

    if (first != NULL) {
        rg_buf_addf(r->warnings,
                    RG_DEFINITIONS_VARIABLE
                    ": /%zu is never used: /%zu has the same method and path\n",
                    r->at, RG_CONTAINER_OF(first, struct seen, link)->at);
        return;
    }
    struct seen *seen = &r->seen[r->at];
    *seen = (struct seen){.name = name, .at = r->at};
    rg_map_add(&r->map, &seen->link, hash);
}

static char *host_field(const struct route *route)
{
    struct rg_buf out = {0};

    rg_service_add_host(&out, route->host->url.host, route->port);
    return rg_buf_steal(&out);
}

/* Takes what the route owns. */
static void add_endpoint(struct reading *r, struct route *route, const char *path)
{
    struct rg_endpoint *endpoint = &r->api->endpoints[r->api->endpoints_n++];
    struct rg_why why = {0};

    *endpoint = (struct rg_endpoint){
        .api = r->api,
        .id = join(route->method, route->path),
        .method = RG_STEAL(route->method),
        .path_regex = RG_STEAL(route->path),
        .is_secured = route->needs_token,
        .host = host_field(route),
        .target_text = rg_reading_copy(route->variable),
    };
    endpoint->pattern = rg_pattern_compile_2017(rg_str_c(endpoint->path_regex), &why);
    if (endpoint->pattern == NULL)
        PROBLEM(r, "path", path, "%s", why.text);
    endpoint->service = make_service(r, route);
    note(r, endpoint);
}

static void read_element(struct reading *r, const json_t *element)
{
    struct route route = {0};
    size_t before = r->problems->n;

    if (!json_is_object(element)) {
        PROBLEM(r, "", NULL, "must be an object with host, port, path, method and auth");
        return;
    }
    read_host(r, element, &route);
    read_port(r, element, &route);
    read_path(r, element, &route);
    read_method(r, element, &route);
    read_auth(r, element, &route);
    if (route.host != NULL && r->problems->n == before) {
        const char *path = json_string_value(json_object_get(element, "path"));
        char *definition = define(&route, path);
        add_endpoint(r, &route, path);
        r->api->endpoints[r->api->endpoints_n - 1].definition = definition;
    }
    rg_free(route.method);
    rg_free(route.path);
}

/* ---- the list ---- */

static struct rg_api *api_new(size_t n)
{
    struct rg_api *api = rg_zalloc(sizeof(*api));

    atomic_init(&api->refs, 1);
    api->dialect = RG_DIALECT_2017;
    api->id = rg_reading_copy("");
    api->name = rg_reading_copy("");
    api->is_active = api->is_matched = true;
    /* 14.3: where tokens are is not chosen by the list. */
    api->checks_tokens = api->use_header = api->use_query = true;
    api->header_name = rg_reading_copy("authorization");
    api->query_name = rg_reading_copy("token");
    api->may_retry = true;
    api->endpoints = rg_zalloc((n + 1) * sizeof(api->endpoints[0]));
    return api;
}

bool rg_routes_2017_is_route(const json_t *element)
{
    static const char *const of_definitions[] = {"id", "name", "version_data", "proxy"};

    for (size_t i = 0; i < RG_COUNT_OF(of_definitions); i++) {
        if (json_object_get(element, of_definitions[i]) != NULL)
            return false;
    }
    return json_object_get(element, "host") != NULL || json_object_get(element, "path") != NULL;
}

struct rg_api *rg_routes_2017_read(const json_t *list, rg_getenv_fn *env,
                                   struct rg_problems *problems, struct rg_buf *warnings)
{
    size_t n = json_array_size(list), before = problems->n;
    RG_CLEANUP(rg_api_unref) struct rg_api *api = api_new(n);
    struct reading r = {.api = api, .env = env, .problems = problems, .warnings = warnings};

    rg_hash_key_random(&r.hash_key);
    r.seen = rg_zalloc((n + 1) * sizeof(r.seen[0]));
    for (; r.at < n; r.at++)
        read_element(&r, json_array_get(list, r.at));
    forget_hosts(&r);
    rg_map_done(&r.map);
    rg_free(r.seen);
    return problems->n == before ? RG_STEAL(api) : NULL;
}
