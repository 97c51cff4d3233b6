#include "http/upstream.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "http/h1_fields_priv.h"
#include "http/upstream_priv.h"

const struct rg_upstream_settings rg_upstream_default_settings = {
    .connect_timeout_ms = 8000,
    .idle_timeout_ms = 30000,
    .max_idle = 32,
    .max_head_bytes = 64 * 1024,
};

/* ---- services ---- */

struct rg_upstream_service {
    atomic_uint refs;
    char *host;
    unsigned port;
};

struct rg_upstream_service *
rg_upstream_service_new(const struct rg_upstream_service_settings *settings)
{
    struct rg_upstream_service *service = rg_zalloc(sizeof(*service));
    const char *host = settings->origins[0].host;

    atomic_init(&service->refs, 1);
    service->host = rg_strndup(host, strlen(host));
    service->port = settings->origins[0].port;
    return service;
}

struct rg_upstream_service *rg_upstream_service_ref(struct rg_upstream_service *service)
{
    atomic_fetch_add_explicit(&service->refs, 1, memory_order_relaxed);
    return service;
}

void rg_upstream_service_unref(struct rg_upstream_service **servicep)
{
    struct rg_upstream_service *service = *servicep;

    *servicep = NULL;
    if (service == NULL || atomic_fetch_sub_explicit(&service->refs, 1, memory_order_acq_rel) > 1)
        return;
    rg_free(service->host);
    rg_free(service);
}

/* ---- pools ---- */

struct place {
    const char *host;
    unsigned port;
};

static bool is_at(const struct rg_map_link *link, const void *key)
{
    const struct rg_upstream_pool *pool = RG_CONTAINER_OF(link, struct rg_upstream_pool, link);
    const struct place *place = key;

    return pool->port == place->port && strcmp(pool->host, place->host) == 0;
}

/* The pool of this place, which the caller uses from here on. */
static struct rg_upstream_pool *pool_ref(struct rg_upstreams *upstreams, struct place place)
{
    /* Who names the places is who sets us up: the hash needs no secret. */
    static const struct rg_hash_key no_secret;
    uint64_t hash = rg_hash64(&no_secret, place.host, strlen(place.host)) + place.port;
    struct rg_map_link *link = rg_map_find(&upstreams->by_place, hash, is_at, &place);
    struct rg_upstream_pool *pool;

    if (link != NULL) {
        pool = RG_CONTAINER_OF(link, struct rg_upstream_pool, link);
        pool->users++;
        return pool;
    }
    pool = rg_zalloc(sizeof(*pool));
    pool->upstreams = upstreams;
    pool->host = rg_strndup(place.host, strlen(place.host));
    pool->port = place.port;
    pool->users = 1;
    pool->next = upstreams->pools;
    if (pool->next != NULL)
        pool->next->prev = pool;
    upstreams->pools = pool;
    rg_map_add(&upstreams->by_place, &pool->link, hash);
    return pool;
}

void rg_upstream_pool_unref(struct rg_upstream_pool *pool)
{
    struct rg_upstreams *upstreams = pool->upstreams;

    if (--pool->users > 0)
        return;
    rg_map_remove(&upstreams->by_place, &pool->link);
    if (pool->prev != NULL)
        pool->prev->next = pool->next;
    else
        upstreams->pools = pool->next;
    if (pool->next != NULL)
        pool->next->prev = pool->prev;
    rg_free(pool->host);
    rg_free(pool);
}

bool rg_upstream_pool_keep(struct rg_upstream_conn *conn)
{
    struct rg_upstream_pool *pool = conn->pool;
    const struct rg_upstream_settings *settings = &pool->upstreams->settings;

    if (pool->idle_n >= settings->max_idle)
        return false;
    conn->state = RG_UPSTREAM_IDLE;
    conn->is_used = true;
    conn->prev = NULL;
    conn->next = pool->idle;
    if (conn->next != NULL)
        conn->next->prev = conn;
    pool->idle = conn;
    pool->idle_n++;
    rg_reactor_set_timer(pool->upstreams->reactor, &conn->timer, settings->idle_timeout_ms);
    rg_stream_want(conn->stream, true, false);
    return true;
}

void rg_upstream_pool_remove(struct rg_upstream_conn *conn)
{
    struct rg_upstream_pool *pool = conn->pool;

    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        pool->idle = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    pool->idle_n--;
}

/* A kept connection on which the service has said nothing meanwhile; NULL if there is none. */
static struct rg_upstream_conn *take_idle(struct rg_upstream_pool *pool)
{
    while (pool->idle != NULL) {
        struct rg_upstream_conn *conn = pool->idle;
        if (rg_upstream_conn_is_alive(conn)) {
            rg_upstream_pool_remove(conn);
            return conn;
        }
        rg_upstream_conn_close(conn);
    }
    return NULL;
}

/* ---- the request as bytes ---- */

/* A byte that could end the target or the line, wherever it comes from, is percent-encoded. */
static void add_target(struct rg_buf *out, struct rg_str target)
{
    for (size_t i = 0; i < target.n; i++) {
        if (is(target.p[i], TARGET))
            rg_buf_add_char(out, target.p[i]);
        else
            rg_buf_addf(out, "%%%02X", (unsigned char)target.p[i]);
    }
}

/* A second length would be the beginning of another request; nobody here waits for permission. */
static bool may_send(struct rg_str name)
{
    return name.n > 0 && rg_h1_is_all(name, TOKEN) && !rg_h1_is_of_hop(name) &&
           !rg_str_eq_nocase(name, RG_STR("expect"));
}

static void encode(const struct rg_upstream_request *request, struct rg_buf *out)
{
    rg_assert(request->method.n > 0 && rg_h1_is_all(request->method, TOKEN));
    rg_buf_add_str(out, request->method);
    rg_buf_add_char(out, ' ');
    add_target(out, request->target.n > 0 ? request->target : RG_STR("/"));
    rg_buf_add_c(out, " HTTP/1.1\r\n");
    for (size_t i = 0; i < request->fields_n; i++) {
        const struct rg_http_field *field = &request->fields[i];
        if (may_send(field->name))
            rg_h1_add_field(out, field->name, field->value);
    }
    if (request->has_body)
        rg_buf_addf(out, "content-length: %zu\r\n", request->body.n);
    rg_buf_add(out, "\r\n", 2);
    if (request->has_body)
        rg_buf_add_str(out, request->body);
}

/* RFC 9110 9.2.2. */
static bool is_idempotent(struct rg_str method)
{
    static const struct rg_str names[] = {{"GET", 3},    {"HEAD", 4},    {"PUT", 3},
                                          {"DELETE", 6}, {"OPTIONS", 7}, {"TRACE", 5}};

    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        if (rg_str_eq(method, names[i]))
            return true;
    }
    return false;
}

/* ---- calls ---- */

static void call_free(struct rg_upstream_call *call)
{
    struct rg_upstream_pool *pool = call->pool;

    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        pool->upstreams->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    rg_connect_cancel(&call->connect);
    rg_buf_done(&call->request);
    rg_free(call);
    rg_upstream_pool_unref(pool);
}

void rg_upstream_call_end(struct rg_upstream_call *call)
{
    const struct rg_upstream_events *events = call->events;
    void *arg = call->arg;

    call_free(call);
    events->on_end(arg, NULL, 0);
}

void rg_upstream_call_fail(struct rg_upstream_call *call, enum rg_upstream_error error,
                           const struct rg_why *why)
{
    const struct rg_upstream_events *events = call->events;
    void *arg = call->arg;

    call_free(call);
    events->on_failure(arg, error, why);
}

static void on_connect(void *arg, int fd, const struct rg_why *why)
{
    struct rg_upstream_call *call = arg;
    struct rg_upstream_conn *conn = NULL;
    struct rg_why refused = {0};

    call->connect = NULL;
    if (fd >= 0)
        conn = rg_upstream_conn_new(call->pool, fd);
    if (conn != NULL) {
        rg_upstream_conn_begin(conn, call);
        return;
    }
    if (fd >= 0) {
        rg_why_set(&refused, UV_EMFILE, "", "the loop does not take the connection");
        why = &refused;
    }
    rg_upstream_call_fail(call, RG_UPSTREAM_UNREACHABLE, why);
}

static void begin_connect(struct rg_upstream_call *call)
{
    struct rg_upstream_pool *pool = call->pool;
    struct rg_upstreams *upstreams = pool->upstreams;

    call->conn = NULL;
    call->connect = rg_connect_start(upstreams->reactor, pool->host, pool->port,
                                     upstreams->settings.connect_timeout_ms, on_connect, call);
}

void rg_upstream_call_broken(struct rg_upstream_call *call, bool may_retry,
                             const struct rg_why *why)
{
    if (!may_retry || call->was_retried) {
        rg_upstream_call_fail(call, RG_UPSTREAM_BROKEN, why);
        return;
    }
    call->was_retried = true;
    /* Not on another kept one: the service may have closed them all. */
    begin_connect(call);
}

struct rg_upstream_call *rg_upstreams_send(struct rg_upstreams *upstreams,
                                           const struct rg_upstream_request *request,
                                           const struct rg_upstream_events *events, void *arg)
{
    struct rg_upstream_call *call = rg_zalloc(sizeof(*call));

    const struct rg_upstream_service *service = request->service;
    call->pool =
        pool_ref(upstreams, service != NULL ? (struct place){service->host, service->port}
                                            : (struct place){request->host, request->port});
    call->events = events;
    call->arg = arg;
    call->method = rg_method_from(request->method);
    call->is_idempotent = is_idempotent(request->method);
    call->response_timeout_ms = request->response_timeout_ms;
    call->next = upstreams->calls;
    if (call->next != NULL)
        call->next->prev = call;
    upstreams->calls = call;
    encode(request, &call->request);

    struct rg_upstream_conn *conn = take_idle(call->pool);
    if (conn != NULL)
        rg_upstream_conn_begin(conn, call);
    else
        begin_connect(call);
    return call;
}

void rg_upstream_pause(struct rg_upstream_call *call)
{
    if (call->is_paused)
        return;
    call->is_paused = true;
    if (call->conn != NULL)
        rg_upstream_conn_pause(call->conn);
}

void rg_upstream_resume(struct rg_upstream_call *call)
{
    if (!call->is_paused)
        return;
    call->is_paused = false;
    if (call->conn != NULL)
        rg_upstream_conn_resume(call->conn);
}

void rg_upstream_cancel(struct rg_upstream_call *call)
{
    if (call->conn != NULL)
        rg_upstream_conn_close(call->conn);
    call_free(call);
}

bool rg_upstream_write(struct rg_upstream_call *call, struct rg_str piece)
{
    (void)call;
    (void)piece;
    return true;
}

void rg_upstream_finish(struct rg_upstream_call *call, const struct rg_http_field *trailers,
                        size_t trailers_n)
{
    (void)call;
    (void)trailers;
    (void)trailers_n;
}

const struct rg_upstream_timing *rg_upstream_get_timing(const struct rg_upstream_call *call)
{
    static const struct rg_upstream_timing none = {.address = ""};

    (void)call;
    return &none;
}

/* ---- all of them ---- */

struct rg_upstreams *rg_upstreams_new(struct rg_reactor *reactor,
                                      const struct rg_upstream_settings *settings)
{
    struct rg_upstreams *upstreams = rg_zalloc(sizeof(*upstreams));

    upstreams->reactor = reactor;
    upstreams->settings = *settings;
    return upstreams;
}

void rg_upstreams_close_all(struct rg_upstreams *upstreams)
{
    while (upstreams->calls != NULL)
        rg_upstream_cancel(upstreams->calls);
    for (struct rg_upstream_pool *pool = upstreams->pools, *next; pool != NULL; pool = next) {
        next = pool->next;
        /* With its last connection the pool goes, too. */
        for (size_t n = pool->idle_n; n > 0; n--)
            rg_upstream_conn_close(pool->idle);
    }
}

void rg_upstreams_free(struct rg_upstreams **upstreamsp)
{
    struct rg_upstreams *upstreams = *upstreamsp;

    if (upstreams == NULL)
        return;
    *upstreamsp = NULL;
    rg_assert(upstreams->calls == NULL && upstreams->pools == NULL);
    rg_map_done(&upstreams->by_place);
    rg_free(upstreams);
}
