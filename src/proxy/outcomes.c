#include "proxy/outcomes.h"

#include "base/alloc.h"
#include "base/hash.h"

#define PLACES     128 /* a power of two */
#define MAX_METHOD 16

const char *const rg_outcome_names[] = {
    [RG_OUTCOME_OK] = "ok",
    [RG_OUTCOME_NOT_FOUND] = "not_found",
    [RG_OUTCOME_BAD_REQUEST] = "bad_request",
    [RG_OUTCOME_UNREACHABLE] = "unreachable",
    [RG_OUTCOME_REQUEST_TIMEOUT] = "request_timeout",
    [RG_OUTCOME_RESPONSE_TIMEOUT] = "response_timeout",
};

const struct rg_family_row rg_outcomes_row = {
    "rig_proxy_requests_total",
    "counter",
    {"method", "path", "target", "response_from", "status"},
    "Requests to services behind the gateway; path is as received or, of the routes of 2017, that "
    "of the route."};

/* A count that was used, and whose it is. */
struct place {
    struct rg_series *series; /* NULL: none */
    const char *target, *response_from;
    enum rg_outcome outcome;
    unsigned char method_n;
    unsigned short path_n;
    char method[MAX_METHOD];
    char path[RG_OUTCOMES_MAX_PATH];
};

struct rg_outcomes {
    struct rg_family *family;
    struct place places[PLACES];
};

struct rg_outcomes *rg_outcomes_new(struct rg_family *family)
{
    struct rg_outcomes *outcomes = rg_zalloc(sizeof(*outcomes));

    outcomes->family = family;
    return outcomes;
}

void rg_outcomes_free(struct rg_outcomes **outcomesp)
{
    rg_free(RG_STEAL(*outcomesp));
}

/* target and response_from are of the few texts that there are: the same one is at the same place.
 */
static bool is_of(const struct place *place, const struct rg_outcome_labels *labels,
                  enum rg_outcome outcome)
{
    return place->series != NULL && place->outcome == outcome && place->target == labels->target &&
           place->response_from == labels->response_from &&
           rg_str_eq(rg_str_n(place->method, place->method_n), labels->method) &&
           rg_str_eq(rg_str_n(place->path, place->path_n), labels->path);
}

static struct rg_series *find(struct rg_family *family, const struct rg_outcome_labels *labels,
                              enum rg_outcome outcome)
{
    const struct rg_str values[] = {
        labels->method,
        labels->path,
        rg_str_c(labels->target),
        rg_str_c(labels->response_from),
        rg_str_c(rg_outcome_names[outcome]),
    };

    return rg_family_find(family, values);
}

static void remember(struct place *place, const struct rg_outcome_labels *labels,
                     enum rg_outcome outcome, struct rg_series *series)
{
    *place = (struct place){
        .series = series,
        .target = labels->target,
        .response_from = labels->response_from,
        .outcome = outcome,
        .method_n = (unsigned char)labels->method.n,
        .path_n = (unsigned short)labels->path.n,
    };
    memcpy(place->method, labels->method.p, labels->method.n);
    memcpy(place->path, labels->path.p, labels->path.n);
}

void rg_outcomes_count(struct rg_outcomes *outcomes, const struct rg_outcome_labels *given,
                       enum rg_outcome outcome)
{
    /* Who makes two paths meet makes both a little slower: the hash needs no secret. */
    static const struct rg_hash_key no_secret;
    struct rg_outcome_labels labels = *given;

    if (labels.path.n > RG_OUTCOMES_MAX_PATH)
        labels.path = RG_STR("other");
    if (labels.method.n > MAX_METHOD)
        labels.method = RG_STR("other");
    uint64_t hash = rg_hash64(&no_secret, labels.path.p, labels.path.n) + outcome;
    struct place *place = &outcomes->places[hash % PLACES];
    if (!is_of(place, &labels, outcome))
        remember(place, &labels, outcome, find(outcomes->family, &labels, outcome));
    rg_series_add(place->series, 1);
}
