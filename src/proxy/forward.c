/*
 * A request goes through its checks in one go where it can, inside of its handler, and is not
 * copied then. It waits in two cases: for keys that its token needs, and for its body where that
 * says what it is (forms, in the manner of 2017). Then it is copied, and begins again behind that.
 */
#include "proxy/forward.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/authorize.h"
#include "proxy/correlate.h"
#include "proxy/passage_priv.h"
#include "proxy/path.h"
#include "proxy/upload.h"

#define MAX_FORM_BYTES     ((uint64_t)8 * 1024 * 1024) /* legacy-channels.md 14.4.4 */
#define GATHER_BYTES       ((size_t)64 * 1024)
#define AMBIGUITY_CHECK_MS 1000

struct rg_forwarder *rg_forwarder_new(struct rg_proxy *proxy, struct rg_reactor *reactor)
{
    struct rg_upstream_settings settings = rg_upstream_default_settings;
    struct rg_forwarder *forwarder = rg_zalloc(sizeof(*forwarder));

    settings.connect_timeout_ms = proxy->settings.connect_timeout_ms;
    forwarder->proxy = proxy;
    forwarder->reactor = reactor;
    forwarder->upstreams = rg_upstreams_new(reactor, &settings);
    forwarder->room = rg_answer_room_new(proxy->settings.answers, reactor);
    forwarder->outcomes = rg_outcomes_new(proxy->requests);
    forwarder->tunnels = rg_tunnels_new(reactor, &proxy->tunnels, &proxy->tunnels_opened);
    return forwarder;
}

size_t rg_forwarder_tunnels(const struct rg_forwarder *forwarder)
{
    return rg_tunnels_count(forwarder->tunnels);
}

void rg_forwarders_expose(struct rg_forwarder *const *all, size_t n, struct rg_buf *out)
{
    struct rg_upstreams **upstreams = rg_alloc(n * sizeof(struct rg_upstreams *));

    for (size_t i = 0; i < n; i++)
        upstreams[i] = all[i]->upstreams;
    rg_upstreams_expose(upstreams, n, out);
    rg_free(upstreams);
}

void rg_forwarder_close(struct rg_forwarder *forwarder)
{
    rg_tunnels_close_all(forwarder->tunnels);
    rg_upstreams_close_all(forwarder->upstreams);
}

void rg_forwarder_free(struct rg_forwarder **forwarderp)
{
    struct rg_forwarder *forwarder = *forwarderp;

    if (forwarder == NULL)
        return;
    *forwarderp = NULL;
    while (forwarder->spare != NULL) {
        struct rg_passage *passage = forwarder->spare;
        forwarder->spare = passage->next;
        rg_passage_free(&passage);
    }
    rg_tunnels_free(&forwarder->tunnels);
    rg_outcomes_free(&forwarder->outcomes);
    rg_answer_room_free(&forwarder->room);
    rg_upstreams_free(&forwarder->upstreams);
    rg_buf_done(&forwarder->scratch);
    rg_free(forwarder);
}

/* What the checks find out, as long as they last. */
struct walk {
    struct rg_passage *passage;
    const struct rg_request *req;
    struct rg_str path;        /* normalised */
    struct rg_str method;      /* that endpoints are found by, first */
    struct rg_captures groups; /* of path */
    struct rg_buf scratch;     /* path, where it was not normal */
    bool is_last_try;          /* there will be no other keys */
};

/* ---- to the service ---- */

/* Origin form. As it came, unless the path was not normal or there is a replacement. */
static int make_target(const struct walk *walk, struct rg_buf *out, struct rg_str *ret)
{
    const struct rg_endpoint *endpoint = walk->passage->s.endpoint;
    struct rg_str query = walk->req->query;

    if (endpoint->rewrite != NULL) {
        int err = rg_rewrite_expand(endpoint->rewrite, &walk->groups, query, out);
        *ret = rg_buf_str(out);
        return err;
    }
    bool is_as_it_came = walk->path.p == walk->req->path.p && walk->path.n == walk->req->path.n;
    if (is_as_it_came && (query.n > 0 || query.p == NULL)) {
        *ret = walk->req->target;
        return 0;
    }
    rg_buf_add_str(out, walk->path);
    if (query.n > 0) {
        rg_buf_add_char(out, '?');
        rg_buf_add_str(out, query);
    }
    *ret = rg_buf_str(out);
    return 0;
}

static void ask_service(const struct walk *walk)
{
    struct rg_passage *passage = walk->passage;
    struct rg_buf scratch = {0};
    struct rg_str target = walk->req->target;

    /* 14.4.1: in 2017 nothing of it is changed. */
    if (rg_passage_dialect(passage) == RG_DIALECT_APIS && make_target(walk, &scratch, &target) < 0)
        rg_passage_refuse(passage, RG_REFUSAL_BAD_REQUEST, "the path becomes too long");
    else
        rg_relay_begin(passage, target);
    rg_buf_done(&scratch);
}

static void on_gathered(struct rg_passage *passage)
{
    rg_relay_begin(passage, passage->s.req->target);
}

/*
 * 14.4.3: services of 2017 expect a length. So it is looked whether a body whose end is not known
 * ends soon.
 */
static bool wants_length(const struct walk *walk)
{
    return rg_passage_dialect(walk->passage) == RG_DIALECT_2017 && walk->req->body_length < 0 &&
           !walk->passage->s.is_complete;
}

static void serve_http(const struct walk *walk)
{
    struct rg_passage *passage = walk->passage;

    if (wants_length(walk))
        rg_intake_gather(passage, rg_intake_limit(passage), GATHER_BYTES, on_gathered);
    else
        ask_service(walk);
}

/* ---- event targets ---- */

/* 10.2: a preflight is answered here; the rest is not built in. */
static void serve_events(const struct walk *walk)
{
    struct rg_passage *passage = walk->passage;
    struct rg_throttle *throttle = &passage->forwarder->proxy->strangers;
    const struct rg_endpoint *endpoint = passage->s.endpoint;
    uint64_t untold;

    if (walk->req->method == RG_OPTIONS) {
        rg_passage_count(passage, RG_OUTCOME_OK);
        rg_passage_answer(passage, 204, RG_CORS_B, "ok");
        return;
    }
    if (rg_throttle_pass(throttle, rg_clock_mono_ms(), &untold))
        rg_log_warn("this build has no such target",
                    RG_FS("target", rg_target_names[endpoint->target]),
                    RG_FS("api", endpoint->api->id), RG_FS("endpoint", endpoint->id),
                    RG_FU("others", untold));
    rg_passage_count(passage, RG_OUTCOME_UNREACHABLE);
    rg_passage_refuse(passage, RG_REFUSAL_UNREACHABLE, NULL);
}

/* ---- methods ---- */

static bool is_one_of(const char *method, const char *const *methods, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(method, methods[i]) == 0)
            return true;
    }
    return false;
}

/* 8.4, and legacy-channels.md 14.2: the others are 405, also where an endpoint has one. */
static bool is_forwarded(const struct rg_endpoint *endpoint)
{
    static const char *const of_2017[] = {"GET", "POST", "PUT", "DELETE"};
    static const char *const of_apis[] = {"GET",  "POST",    "PUT",  "DELETE",
                                          "HEAD", "OPTIONS", "PATCH"};

    return endpoint->api->dialect == RG_DIALECT_2017
               ? is_one_of(endpoint->method, of_2017, RG_COUNT_OF(of_2017))
               : is_one_of(endpoint->method, of_apis, RG_COUNT_OF(of_apis));
}

static void serve_target(const struct walk *walk)
{
    const struct rg_endpoint *endpoint = walk->passage->s.endpoint;

    if (endpoint->target != RG_TARGET_HTTP)
        serve_events(walk);
    else if (!is_forwarded(endpoint))
        rg_passage_refuse(walk->passage, RG_REFUSAL_METHOD, NULL);
    else if (walk->req->body_length > 0 &&
             (uint64_t)walk->req->body_length > rg_intake_limit(walk->passage))
        rg_passage_refuse(walk->passage, RG_REFUSAL_TOO_LARGE, NULL);
    else
        serve_http(walk);
}

/* ---- records ---- */

static void record(const struct walk *walk)
{
    const struct rg_passage *passage = walk->passage;
    const struct rg_proxy_settings *settings = &passage->forwarder->proxy->settings;
    char address[RG_PEER_SIZE];

    if (settings->log == NULL)
        return;
    rg_client_address(&settings->outgoing, walk->req, passage->peer, address);
    if (rg_passage_dialect(passage) == RG_DIALECT_APIS)
        rg_request_log_call(settings->log, passage->s.endpoint, walk->path, address,
                            &passage->trace);
    else if (passage->s.claims != NULL)
        rg_request_log_record(settings->log, passage->s.endpoint, passage->s.claims, walk->path,
                              address);
}

/* ---- rates ---- */

/* Who is counted: the session, where it is known; else the client's address. */
static bool take_from_bucket(struct walk *walk, struct rg_str who)
{
    struct rg_passage *passage = walk->passage;
    const struct rg_endpoint *endpoint = passage->s.endpoint;
    struct rg_buf place = {0};

    rg_buf_addf(&place, "%s/%s", endpoint->api->id, endpoint->id);
    rg_quota_take(passage->forwarder->proxy->settings.quota, &endpoint->rate, rg_buf_str(&place),
                  who, passage->forwarder->reactor->now_ms, &passage->s.quota);
    rg_buf_done(&place);
    passage->s.is_rated = true;
    return passage->s.quota.is_allowed;
}

static bool take_by_address(struct walk *walk)
{
    struct rg_passage *passage = walk->passage;
    char address[RG_PEER_SIZE];

    rg_client_address(&passage->forwarder->proxy->settings.outgoing, walk->req, passage->peer,
                      address);
    return take_from_bucket(walk, rg_str_c(address));
}

/* True if it is not one too many; otherwise it was answered. */
static bool is_within_rate(struct walk *walk, bool is_behind_token)
{
    struct rg_passage *passage = walk->passage;
    const struct rg_rate *rate = &passage->s.endpoint->rate;
    const struct rg_claims *claims = passage->s.claims;

    if (rate->requests == 0 || passage->s.is_rated || rate->by_session != is_behind_token)
        return true;
    bool has_session = rate->by_session && claims != NULL && claims->session.n > 0;
    if (has_session ? take_from_bucket(walk, claims->session) : take_by_address(walk))
        return true;
    rg_passage_refuse(passage, RG_REFUSAL_TOO_MANY, NULL);
    return false;
}

/* ---- tokens ---- */

static void check(struct rg_passage *passage, bool is_last_try);

/* Comes back from another thread, on which nothing but the forwarder is looked at. */
struct rg_key_wait {
    struct rg_inbox_item item;
    struct rg_forwarder *forwarder; /* set once */
    struct rg_passage *passage;     /* the reactor only; NULL: it has gone */
};

void rg_key_wait_leave(struct rg_key_wait **waitp)
{
    if (*waitp != NULL)
        (*waitp)->passage = NULL;
    *waitp = NULL;
}

static void go_on(struct rg_inbox_item *item, void *ctx)
{
    struct rg_key_wait *wait = RG_CONTAINER_OF(item, struct rg_key_wait, item);
    struct rg_passage *passage = wait->passage;

    (void)ctx;
    rg_reactor_assert(wait->forwarder->reactor);
    rg_free(wait);
    if (passage == NULL)
        return;
    passage->s.key_wait = NULL;
    check(passage, true);
}

/* Thread: any. */
static void on_keys(void *arg)
{
    struct rg_key_wait *wait = arg;

    rg_reactor_post(wait->forwarder->reactor, &wait->item, go_on, 0);
}

/* False if too many wait. */
static bool await_keys(struct rg_passage *passage)
{
    struct rg_forwarder *forwarder = passage->forwarder;
    struct rg_key_wait *wait = rg_zalloc(sizeof(*wait));

    wait->forwarder = forwarder;
    wait->passage = passage;
    /* Before it is asked: it may come at once. */
    passage->s.key_wait = wait;
    if (rg_verifier_wait(forwarder->proxy->settings.verifier, on_keys, wait) < 0) {
        passage->s.key_wait = NULL;
        rg_free(wait);
        return false;
    }
    rg_passage_keep(passage);
    rg_passage_watch(passage);
    rg_intake_hold(passage);
    return true;
}

/* True if the request may go on; otherwise it was answered, or waits. */
static bool is_authorized(struct walk *walk)
{
    struct rg_passage *passage = walk->passage;
    const struct rg_api *api = passage->s.api;

    if (!passage->s.endpoint->is_secured ||
        (api->dialect == RG_DIALECT_APIS && !api->checks_tokens))
        return true;
    int err = rg_authorize(passage->forwarder->proxy->settings.verifier, api, walk->req,
                           walk->is_last_try, &passage->s.claims);
    if (err == RG_EAGAIN && await_keys(passage))
        return false;
    if (err < 0)
        rg_passage_refuse(passage, RG_REFUSAL_UNAUTHORIZED, NULL);
    return err == 0;
}

/* ---- the endpoint ---- */

static void warn_of_ambiguity(struct rg_forwarder *forwarder, const struct rg_endpoint *endpoint,
                              struct rg_str path)
{
    uint64_t untold;

    if (rg_throttle_pass(&forwarder->proxy->ambiguities, rg_clock_mono_ms(), &untold))
        rg_log_warn("several endpoints match, the first counts", RG_FS("api", endpoint->api->id),
                    RG_FS("endpoint", endpoint->id), RG_FSTR("path", path),
                    RG_FU("others", untold));
}

static void warn_of_cost(struct rg_forwarder *forwarder, const struct rg_endpoint *endpoint,
                         struct rg_str path)
{
    uint64_t untold;

    if (rg_throttle_pass(&forwarder->proxy->costs, rg_clock_mono_ms(), &untold))
        rg_log_warn("path not matched: the pattern costs too much", RG_FS("api", endpoint->api->id),
                    RG_FS("endpoint", endpoint->id), RG_FSTR("path", path),
                    RG_FU("others", untold));
}

/* To look for others costs, so that not every request is looked at (4.1). */
static bool find_in(struct walk *walk, const struct rg_table *table, struct rg_str method,
                    struct rg_found *found)
{
    struct rg_forwarder *forwarder = walk->passage->forwarder;
    bool has_others = false;
    bool is_due = forwarder->reactor->now_ms >= forwarder->ambiguity_check_ms;

    if (!rg_table_find(table, method, walk->path, found, is_due ? &has_others : NULL)) {
        if (found->costly != NULL)
            warn_of_cost(forwarder, found->costly, walk->path);
        return false;
    }
    if (is_due)
        forwarder->ambiguity_check_ms = forwarder->reactor->now_ms + AMBIGUITY_CHECK_MS;
    if (has_others)
        warn_of_ambiguity(forwarder, found->endpoint, walk->path);
    return true;
}

/* 4.2. In 2017 HEAD was GET, whatever there was for HEAD. */
static bool find_any(struct walk *walk, const struct rg_table *table, struct rg_found *found)
{
    bool is_head = rg_str_eq(walk->method, RG_STR("HEAD"));

    walk->passage->s.is_head = false;
    if (find_in(walk, table, walk->method, found)) {
        if (!is_head || found->endpoint->api->dialect != RG_DIALECT_2017)
            return true;
    } else if (!is_head || found->costly != NULL) {
        return false;
    }
    walk->passage->s.is_head = true;
    return find_in(walk, table, RG_STR("GET"), found);
}

/* True if there is an endpoint, to which the passage has a reference then. */
static bool find_endpoint(struct walk *walk)
{
    struct rg_passage_state *s = &walk->passage->s;
    struct rg_found found;

    rg_api_unref(&s->api);
    s->endpoint = NULL;
    rg_rcu_read_lock();
    bool is_found = find_any(
        walk, rg_catalogue_table(walk->passage->forwarder->proxy->settings.catalogue), &found);
    if (is_found) {
        /* Counting is all that is changed. */
        s->api = rg_api_ref((struct rg_api *)found.endpoint->api);
        s->endpoint = found.endpoint;
        walk->groups = found.captures;
    }
    rg_rcu_read_unlock();
    return is_found;
}

static void lead(struct walk *walk)
{
    struct rg_passage *passage = walk->passage;

    if (!find_endpoint(walk)) {
        rg_passage_count(passage, RG_OUTCOME_NOT_FOUND);
        rg_passage_refuse(passage, RG_REFUSAL_NOT_FOUND, NULL);
        return;
    }
    if (!passage->s.endpoint->takes_encoded_slashes && rg_path_has_encoded_slash(walk->path)) {
        rg_passage_refuse(passage, RG_REFUSAL_BAD_REQUEST, "the path has an encoded slash");
        return;
    }
    if (!is_within_rate(walk, false) || !is_authorized(walk) || !is_within_rate(walk, true))
        return;
    record(walk);
    serve_target(walk);
}

/* ---- forms of 2017 ---- */

static void on_form(struct rg_passage *passage)
{
    passage->kept->body = rg_buf_str(&passage->gathered);
    check(passage, false);
}

/* Whether a route of 2017 could be meant by a POST, whatever its form says. */
static bool may_be_meant(const struct walk *walk)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
    const struct rg_proxy *proxy = walk->passage->forwarder->proxy;
    const struct rg_table *table;
    struct rg_found found;
    bool is = false;

    rg_rcu_read_lock();
    table = rg_catalogue_table(proxy->settings.catalogue);
    for (size_t i = 0; !is && i < RG_COUNT_OF(methods); i++)
        is = rg_table_find(table, rg_str_c(methods[i]), walk->path, &found, NULL) &&
             found.endpoint->api->dialect == RG_DIALECT_2017;
    rg_rcu_read_unlock();
    return is;
}

/* True if the request goes on now; otherwise its form is read first, or it was answered. */
static bool read_form(struct walk *walk)
{
    struct rg_passage *passage = walk->passage;
    struct rg_form form;
    struct rg_why why = {0};

    if (!rg_form_is_one(walk->req) || walk->req->body_length == 0 || !may_be_meant(walk))
        return true;
    if (!passage->s.is_complete) {
        uint64_t limit = rg_intake_limit(passage);
        rg_intake_gather(passage, limit < MAX_FORM_BYTES ? limit : MAX_FORM_BYTES, SIZE_MAX,
                         on_form);
        return false;
    }
    int err = rg_form_read(walk->req, &form, &why);
    if (err < 0) {
        rg_passage_refuse(passage, err == RG_EFULL ? RG_REFUSAL_TOO_LARGE : RG_REFUSAL_BAD_REQUEST,
                          why.text);
        return false;
    }
    walk->method = rg_method_name(form.method);
    passage->s.has_upload = form.has_upload && form.method == RG_POST;
    return true;
}

/* ---- the path ---- */

/*
 * In 2017 a path that can be read in two ways is refused; otherwise what can be said in a plainer
 * way is said so (api-gateway.md 8.1).
 */
static bool is_path_good(struct walk *walk)
{
    struct rg_why why = {0};
    bool is_2017 = walk->passage->forwarder->proxy->settings.is_2017;
    int err = is_2017 ? rg_path_check(walk->req->path, &why)
                      : rg_path_normalise(walk->req->path, &walk->scratch, &walk->path, &why);

    if (is_2017)
        walk->path = walk->req->path;
    if (err < 0)
        rg_passage_refuse(walk->passage, RG_REFUSAL_BAD_REQUEST, why.text);
    return err == 0;
}

static void check(struct rg_passage *passage, bool is_last_try)
{
    struct walk walk = {
        .passage = passage,
        .req = passage->s.req,
        .method = passage->s.req->method_name,
        .is_last_try = is_last_try,
    };
    bool reads_forms = passage->forwarder->proxy->settings.is_2017 && walk.req->method == RG_POST;

    if (is_path_good(&walk) && (!reads_forms || read_form(&walk)))
        lead(&walk);
    rg_buf_done(&walk.scratch);
}

void rg_forward_handle(void *arg, struct rg_exchange *exchange)
{
    check(rg_passage_begin(arg, exchange), false);
}
