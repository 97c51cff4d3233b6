/*
 * routes.c - rg-routes, what it costs to find the endpoint of a request.
 *
 * Tables of 10, 1,000 and 10,000 endpoints as services have them: of each resource a list, an item,
 * what belongs to an item, and a pattern that needs PCRE2 (numbers only), under GET, POST, PUT and
 * DELETE; ten resources an API, and a pattern that takes all as the last. Looked up are paths that
 * all of them match, in random order, and paths that only the last matches; "hostile" is a path of
 * 16 KiB. In the table "linear" patterns have nothing in front that leads to them: such are tried
 * one by one.
 *
 * Each is done twice and the second time counts. Prints one JSON line: nanoseconds of CPU time for
 * one look-up, microseconds for building.
 */
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/random.h"
#include "bench/args.h"
#include "proxy/table.h"

#define LOOKUPS       200000
#define PATHS         4096
#define OF_A_RESOURCE 7
#define OF_AN_API     (10 * OF_A_RESOURCE)

struct request {
    struct rg_str method;
    char path[96];
    size_t path_n;
};

struct result {
    double build_us, found_ns, last_ns, hostile_ns;
};

#define RESOURCE "%s/api/resource-%zu%s"

static const struct {
    const char *method;
    const char *pattern, *path; /* behind the resource */
} shapes[OF_A_RESOURCE] = {
    {"GET", "", ""},
    {"POST", "", ""},
    {"GET", "/([^/]+)", "/5f0c2a"},
    {"PUT", "/([^/]+)", "/5f0c2a"},
    {"DELETE", "/([^/]+)", "/5f0c2a"},
    {"GET", "/([^/]+)/parts/([^/]+)", "/5f0c2a/parts/17"},
    {"GET", "/by-number/([0-9]+)/(?:open|closed)", "/by-number/4711/open"},
};

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void add_endpoint(struct rg_api *api, const char *method, const char *pattern)
{
    struct rg_endpoint *endpoint = &api->endpoints[api->endpoints_n++];
    struct rg_why why;

    endpoint->api = api;
    endpoint->method = rg_strndup(method, strlen(method));
    endpoint->pattern = rg_pattern_compile(rg_str_c(pattern), &why);
    rg_assert(endpoint->pattern != NULL);
}

static struct rg_api *api_new(const char *prefix, size_t number, size_t max)
{
    struct rg_api *api = rg_zalloc(sizeof(*api));
    char id[32];

    snprintf(id, sizeof(id), "%s%05zu", prefix, number);
    atomic_init(&api->refs, 1);
    api->id = rg_strndup(id, strlen(id));
    api->is_matched = true;
    api->endpoints = rg_realloc_array(NULL, max, sizeof(api->endpoints[0]));
    memset(api->endpoints, 0, max * sizeof(api->endpoints[0]));
    return api;
}

/* All but the last as services have them. */
static struct rg_api **apis_new(size_t endpoints, bool is_linear, size_t *ret_n)
{
    struct rg_api **apis =
        rg_realloc_array(NULL, endpoints / OF_AN_API + 2, sizeof(struct rg_api *));
    size_t n = 0;
    char pattern[128];

    for (size_t i = 0; i + 1 < endpoints; i++) {
        if (i % OF_AN_API == 0)
            apis[n++] = api_new("api-", i / OF_AN_API, OF_AN_API);
        /* With any tenant in front. */
        snprintf(pattern, sizeof(pattern), RESOURCE, is_linear ? "/[^/]+" : "", i / OF_A_RESOURCE,
                 shapes[i % OF_A_RESOURCE].pattern);
        add_endpoint(apis[n - 1], shapes[i % OF_A_RESOURCE].method, pattern);
    }
    apis[n] = api_new("last-", 0, 1);
    add_endpoint(apis[n++], "GET", "/.*");
    *ret_n = n;
    return apis;
}

static void apis_free(struct rg_api **apis, size_t n)
{
    for (size_t i = 0; i < n; i++)
        rg_api_unref(&apis[i]);
    rg_free(apis);
}

static void write_request(struct request *request, size_t endpoint, bool is_linear)
{
    snprintf(request->path, sizeof(request->path), RESOURCE, is_linear ? "/blue" : "",
             endpoint / OF_A_RESOURCE, shapes[endpoint % OF_A_RESOURCE].path);
    request->path_n = strlen(request->path);
    request->method = rg_str_c(shapes[endpoint % OF_A_RESOURCE].method);
}

static double look_up(const struct rg_table *table, const struct request *requests, size_t lookups,
                      bool wants_last)
{
    struct rg_found found;
    uint64_t start = cpu_ns();

    for (size_t i = 0; i < lookups; i++) {
        const struct request *request = &requests[i % PATHS];
        struct rg_str path = rg_str_n(request->path, request->path_n);
        rg_assert(rg_table_find(table, request->method, path, &found, NULL));
        rg_assert((found.endpoint->api->endpoints_n == 1) == wants_last);
    }
    return (double)(cpu_ns() - start) / (double)lookups;
}

static double look_up_hostile(const struct rg_table *table, size_t lookups)
{
    static const char front[] = "/api/resource-0/by-number/";
    static char path[16384];
    struct rg_found found;

    memset(path, '7', sizeof(path));
    memcpy(path, front, sizeof(front) - 1);
    uint64_t start = cpu_ns();
    for (size_t i = 0; i < lookups; i++)
        rg_assert(rg_table_find(table, RG_STR("GET"), rg_str_n(path, sizeof(path)), &found, NULL));
    return (double)(cpu_ns() - start) / (double)lookups;
}

static void measure(size_t endpoints, bool is_linear, struct result *result)
{
    struct request *requests = rg_realloc_array(NULL, PATHS, sizeof(*requests));
    size_t lookups = is_linear ? LOOKUPS / 100 : LOOKUPS, apis_n;
    struct rg_api **apis = apis_new(endpoints, is_linear, &apis_n);

    uint64_t start = cpu_ns();
    struct rg_table *table = rg_table_new(apis, apis_n);
    result->build_us = (double)(cpu_ns() - start) / 1000;

    for (size_t i = 0; i < PATHS; i++)
        write_request(&requests[i], rg_random_below(endpoints - 1), is_linear);
    result->found_ns = look_up(table, requests, lookups, false);
    for (size_t i = 0; i < PATHS; i++) {
        write_request(&requests[i], OF_A_RESOURCE * rg_random_below(endpoints), is_linear);
        memcpy(requests[i].path + requests[i].path_n, "x", 1);
        requests[i].path_n++;
    }
    result->last_ns = look_up(table, requests, lookups, true);
    result->hostile_ns = look_up_hostile(table, lookups / 100 + 1);
    rg_table_free(&table);
    apis_free(apis, apis_n);
    rg_free(requests);
}

static void print(const char *name, const struct result *result)
{
    printf("\"%s\":{\"build_us\":%.0f,\"found_ns\":%.0f,\"last_ns\":%.0f,\"hostile_ns\":%.0f}",
           name, result->build_us, result->found_ns, result->last_ns, result->hostile_ns);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        size_t endpoints;
        bool is_linear;
    } rows[] = {{"10", 10, false},
                {"1000", 1000, false},
                {"10000", 10000, false},
                {"linear_1000", 1000, true}};
    struct result results[RG_COUNT_OF(rows)];

    (void)argv;
    if (argc > 1)
        rg_args_fail("usage: rg-routes");
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < RG_COUNT_OF(rows); i++)
            measure(rows[i].endpoints, rows[i].is_linear, &results[i]);
    }
    printf("{");
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        print(rows[i].name, &results[i]);
        printf("%s", i + 1 < RG_COUNT_OF(rows) ? "," : "}\n");
    }
    return 0;
}
