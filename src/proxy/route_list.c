#include "proxy/route_list.h"

#include <jansson.h>
#include <string.h>

#include "base/alloc.h"
#include "proxy/path.h"

#define VARIABLE         RG_ROUTE_LIST_VARIABLE
#define MAX_METHOD_BYTES 32

/* A variable that was looked up; host is NULL if its value is wrong, which is told once. */
struct known_host {
    char *variable, *host;
};

struct reading {
    struct rg_proxy_routes *routes;
    struct known_host *hosts;
    size_t hosts_n, hosts_cap;
    rg_getenv_fn *env;
    struct rg_problems *problems;
    struct rg_buf *warnings;
    size_t at; /* number of the element */
};

#define PROBLEM(r, member, value, fmt, ...)                                                        \
    rg_problem_add((r)->problems, VARIABLE, (value), "/%zu%s%s: " fmt, (r)->at,                    \
                   (member)[0] != '\0' ? "/" : "", (member)__VA_OPT__(, ) __VA_ARGS__)

/* ---- members ---- */

/* The string at member, or NULL and a problem. */
static const char *read_text(struct reading *r, json_t *element, const char *member)
{
    json_t *value = json_object_get(element, member);
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

/* RFC 9110 5.6.2 */
static bool is_token(const char *s)
{
    for (; *s != '\0'; s++) {
        if (!is_letter_or_digit(*s) && strchr("!#$%&'*+-.^_`|~", *s) == NULL)
            return false;
    }
    return true;
}

static void read_method(struct reading *r, json_t *element, struct rg_proxy_route *route)
{
    const char *text = read_text(r, element, "method");

    if (text == NULL)
        return;
    if (strlen(text) > MAX_METHOD_BYTES || !is_token(text)) {
        PROBLEM(r, "method", text, "must be a method of HTTP like GET");
        return;
    }
    route->method = rg_strndup(text, strlen(text));
    for (char *p = route->method; *p != '\0'; p++) {
        if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - ('a' - 'A'));
    }
}

static void read_port(struct reading *r, json_t *element, struct rg_proxy_route *route)
{
    json_t *value = json_object_get(element, "port");
    json_int_t port = json_integer_value(value);

    if (value == NULL)
        PROBLEM(r, "port", NULL, "is missing");
    else if (!json_is_integer(value) || port < 1 || port > 65535)
        PROBLEM(r, "port", NULL, "must be a whole number from 1 to 65535");
    else
        route->port = (unsigned)port;
}

static void read_auth(struct reading *r, json_t *element, struct rg_proxy_route *route)
{
    json_t *value = json_object_get(element, "auth");

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
    if (segments > RG_ROUTE_MAX_SEGMENTS)
        return "has more than 64 segments";
    return rg_path_check(path, why) < 0 ? why->text : NULL;
}

static void read_path(struct reading *r, json_t *element, struct rg_proxy_route *route)
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

/* A name, an IPv4 address, or an IPv6 address in brackets, which *host loses. */
static bool is_host(struct rg_str *host)
{
    bool is_bracketed = host->n > 2 && host->p[0] == '[' && host->p[host->n - 1] == ']';

    if (is_bracketed)
        *host = rg_str_n(host->p + 1, host->n - 2);
    for (size_t i = 0; i < host->n; i++) {
        char c = host->p[i];
        if (is_bracketed ? !is_letter_or_digit(c) && c != ':' && c != '.' && c != '%'
                         : !is_letter_or_digit(c) && c != '-' && c != '.' && c != '_')
            return false;
    }
    return host->n > 0 && host->n <= 255;
}

/* The host that variable names, owned by the caller; NULL and a problem if it is none. */
static char *resolve(struct reading *r, const char *variable)
{
    const char *value = r->env(variable);
    struct rg_str host = rg_str_trim(rg_str_c(value));
    const struct rg_str scheme = RG_STR("http://");

    if (host.n == 0)
        host = RG_STR("localhost");
    if (rg_str_starts_with_nocase(host, RG_STR("https://"))) {
        rg_problem_add(r->problems, variable, value,
                       "services are spoken to in clear text: http, not https");
        return NULL;
    }
    if (rg_str_starts_with_nocase(host, scheme))
        host = rg_str_n(host.p + scheme.n, host.n - scheme.n);
    if (is_host(&host))
        return rg_strndup(host.p, host.n);
    rg_problem_add(r->problems, variable, value,
                   "must be the name or address of a host without port and path, which the route "
                   "has; an IPv6 address stands in brackets");
    return NULL;
}

static const char *host_of(struct reading *r, const char *variable)
{
    for (size_t i = 0; i < r->hosts_n; i++) {
        if (strcmp(r->hosts[i].variable, variable) == 0)
            return r->hosts[i].host;
    }
    if (r->hosts_n == r->hosts_cap) {
        r->hosts_cap = r->hosts_cap * 2 + 8;
        r->hosts = rg_realloc_array(r->hosts, r->hosts_cap, sizeof(*r->hosts));
    }
    struct known_host *known = &r->hosts[r->hosts_n++];
    *known = (struct known_host){rg_strndup(variable, strlen(variable)), resolve(r, variable)};
    return known->host;
}

static void forget_hosts(struct reading *r)
{
    for (size_t i = 0; i < r->hosts_n; i++) {
        rg_free(r->hosts[i].variable);
        rg_free(r->hosts[i].host);
    }
    rg_free(r->hosts);
}

static void read_host(struct reading *r, json_t *element, struct rg_proxy_route *route)
{
    const char *variable = read_text(r, element, "host");

    if (variable == NULL)
        return;
    if (!is_variable(variable)) {
        PROBLEM(r, "host", variable, "must be the name of the environment variable with the host");
        return;
    }
    const char *host = host_of(r, variable);
    if (host == NULL)
        return;
    route->host_variable = rg_strndup(variable, strlen(variable));
    route->host = rg_strndup(host, strlen(host));
}

/* ---- elements ---- */

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

/* 15.2: the members in alphabetical order. */
static char *define(const struct rg_proxy_route *route, const char *path)
{
    struct rg_buf out = {0};

    rg_buf_addf(&out, "%%{\"auth\" => %s, \"host\" => ", route->needs_token ? "true" : "false");
    add_shown(&out, route->host_variable);
    rg_buf_add_c(&out, ", \"method\" => ");
    add_shown(&out, route->method);
    rg_buf_add_c(&out, ", \"path\" => ");
    add_shown(&out, path);
    rg_buf_addf(&out, ", \"port\" => %u}", route->port);
    return rg_buf_steal(&out);
}

static void add_route(struct reading *r, struct rg_proxy_route *route)
{
    long shadow;

    rg_proxy_routes_add(r->routes, route, &shadow);
    if (shadow >= 0)
        rg_buf_addf(r->warnings,
                    VARIABLE ": /%zu is never used: /%ld has the same method and path\n", r->at,
                    shadow);
}

static void read_element(struct reading *r, json_t *element)
{
    struct rg_proxy_route route = {0};
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
    if (route.host == NULL || route.path == NULL || route.method == NULL || route.port == 0 ||
        r->problems->n > before) {
        rg_proxy_route_done(&route);
        return;
    }
    route.definition = define(&route, json_string_value(json_object_get(element, "path")));
    add_route(r, &route);
}

/* ---- the list ---- */

static bool is_api_definition(json_t *element)
{
    return json_object_get(element, "version_data") != NULL ||
           json_object_get(element, "proxy") != NULL || json_object_get(element, "id") != NULL;
}

static void read_list(struct reading *r, json_t *list)
{
    json_t *element;

    if (is_api_definition(json_array_get(list, 0))) {
        rg_problem_add(r->problems, VARIABLE, NULL,
                       "has API definitions, with id, proxy and version_data; what is supported "
                       "is a list of routes, each with host, port, path, method and auth");
        return;
    }
    json_array_foreach(list, r->at, element) read_element(r, element);
}

static void decref(json_t **rootp)
{
    json_decref(*rootp);
}

struct rg_proxy_routes *rg_route_list_read(struct rg_str json, rg_getenv_fn *env,
                                           struct rg_problems *problems, struct rg_buf *warnings)
{
    RG_CLEANUP(rg_proxy_routes_free) struct rg_proxy_routes *routes = rg_proxy_routes_new();
    struct reading r = {.routes = routes, .env = env, .problems = problems, .warnings = warnings};
    size_t before = problems->n;
    json_error_t error;
    RG_CLEANUP(decref)
    json_t *root = json_loadb(json.n > 0 ? json.p : "", json.n,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

    if (root == NULL)
        rg_problem_add(problems, VARIABLE, NULL, "not JSON: line %d column %d: %s", error.line,
                       error.column, error.text);
    else if (!json_is_array(root))
        rg_problem_add(problems, VARIABLE, NULL, "must be a JSON array of routes");
    else
        read_list(&r, root);
    forget_hosts(&r);
    return problems->n == before ? RG_STEAL(routes) : NULL;
}
