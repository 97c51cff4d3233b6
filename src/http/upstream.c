#include "http/upstream.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "http/upstream_priv.h"

#define MAX_SPARE_CALLS   256
#define MAX_SPARE_REQUEST ((size_t)16 * 1024) /* memory that a call keeps for the next */

const struct rg_upstream_settings rg_upstream_default_settings = {
    .connect_timeout_ms = 8000,
    .idle_timeout_ms = 30000,
    .max_idle = 1024,
    .max_head_bytes = 64 * 1024,
};

/* ---- their memory ---- */

static struct rg_upstream_call *call_alloc(struct rg_upstreams *upstreams)
{
    struct rg_upstream_call *call = upstreams->spare;

    if (call == NULL)
        return rg_zalloc(sizeof(*call));
    upstreams->spare = call->next;
    upstreams->spare_n--;
    struct rg_buf request = call->request;
    *call = (struct rg_upstream_call){.request = request};
    return call;
}

static void call_recycle(struct rg_upstreams *upstreams, struct rg_upstream_call *call)
{
    if (upstreams->spare_n == MAX_SPARE_CALLS) {
        rg_buf_done(&call->request);
        rg_free(call);
        return;
    }
    if (call->request.cap > MAX_SPARE_REQUEST)
        rg_buf_done(&call->request);
    rg_buf_clear(&call->request);
    call->next = upstreams->spare;
    upstreams->spare = call;
    upstreams->spare_n++;
}

/* ---- the end of a call ---- */

/* It is over, but for its timing, which whoever is told of the end may ask for. */
static void call_leave(struct rg_upstream_call *call)
{
    struct rg_upstreams *upstreams = call->pool->upstreams;

    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        upstreams->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    rg_reactor_cancel_late(&call->late);
    rg_upstream_pool_leave_line(call);
    rg_upstream_connect_cancel(call);
    if (call->address != NULL)
        call->address->calls--;
}

static void call_free(struct rg_upstream_call *call)
{
    struct rg_upstream_pool *pool = call->pool;
    struct rg_upstreams *upstreams = pool->upstreams;

    if (call->address != NULL)
        rg_upstream_address_unref(call->address);
    rg_buf_done(&call->upgrade);
    call_recycle(upstreams, call);
    rg_upstream_pool_unref(pool);
}

void rg_upstream_call_end(struct rg_upstream_call *call, const struct rg_http_field *trailers,
                          size_t trailers_n)
{
    call_leave(call);
    call->events->on_end(call->arg, trailers, trailers_n);
    call_free(call);
}

void rg_upstream_call_fail(struct rg_upstream_call *call, enum rg_upstream_error error,
                           const struct rg_why *why)
{
    rg_count(call->pool->upstreams->counters, RG_UPSTREAM_ROW_FAILED + error, 1);
    call_leave(call);
    call->events->on_failure(call->arg, error, why);
    call_free(call);
}

void rg_upstream_call_switched(struct rg_upstream_call *call, const struct rg_upstream_head *head,
                               struct rg_upstream_switched *switched)
{
    call_leave(call);
    call->events->on_switch(call->arg, head, switched);
    call_free(call);
}

uint64_t rg_upstream_call_age(const struct rg_upstream_call *call)
{
    uint64_t ns = rg_clock_mono_ns() - call->started_ns;

    /* 0 would be: it has not happened. */
    return ns > 0 ? ns : 1;
}

bool rg_upstream_call_may_repeat(const struct rg_upstream_call *call)
{
    return call->may_retry && !call->was_retried && call->is_idempotent && call->upgrade.n == 0;
}

void rg_upstream_call_retry(struct rg_upstream_call *call)
{
    struct rg_upstream_pool *pool = call->pool;

    call->was_retried = true;
    call->sent = 0;
    rg_count(pool->upstreams->counters, RG_UPSTREAM_ROW_RETRIES, 1);
    rg_upstream_address_end(call);
    if (!rg_upstream_pool_assign(pool, call))
        rg_upstream_pool_wait(pool, call, true);
}

/* ---- calls ---- */

static void fail_cut(struct rg_upstream_call *call)
{
    struct rg_why why = {0};

    rg_why_set(&why, RG_EGONE, "", "the request's body ended before its length");
    if (call->conn != NULL)
        rg_upstream_conn_close(call->conn);
    rg_upstream_call_fail(call, RG_UPSTREAM_BROKEN, &why);
}

static void at_turn_end(struct rg_late *late)
{
    struct rg_upstream_call *call = RG_CONTAINER_OF(late, struct rg_upstream_call, late);
    struct rg_upstream_conn *conn = call->conn;

    if (call->is_cut) {
        fail_cut(call);
    } else if (conn != NULL) {
        if (!conn->is_blocked && rg_upstream_unsent(call) > 0)
            rg_upstream_conn_send(conn, NULL, 0);
        rg_upstream_conn_process(conn, NULL, 0);
    }
}

static uint64_t or_else(uint64_t wanted, uint64_t otherwise)
{
    return wanted > 0 ? wanted : otherwise;
}

static void note_upgrade(struct rg_upstream_call *call, const struct rg_upstream_request *request)
{
    for (size_t i = 0; i < request->fields_n; i++) {
        const struct rg_http_field *field = &request->fields[i];
        if (!rg_str_eq_nocase(field->name, RG_STR("upgrade")))
            continue;
        if (call->upgrade.n > 0)
            rg_buf_add_char(&call->upgrade, ',');
        rg_buf_add_str(&call->upgrade, field->value);
    }
}

static void fill(struct rg_upstream_call *call, const struct rg_upstream_request *request,
                 const struct rg_upstream_settings *settings)
{
    call->late.fn = at_turn_end;
    call->timing.address = "";
    call->method = rg_method_from(request->method);
    call->is_idempotent = rg_upstream_is_idempotent(request->method);
    call->may_retry = request->may_retry || request->service == NULL;
    call->is_whole = true;
    call->is_streamed = request->is_streamed;
    call->is_finished = !request->is_streamed;
    call->body_left = request->body_length < 0 ? -1 : request->body_length;
    call->response_timeout_ms = request->response_timeout_ms;
    call->idle_timeout_ms = or_else(request->idle_timeout_ms, request->response_timeout_ms);
    call->max_head_bytes = or_else(request->max_head_bytes, settings->max_head_bytes);
    call->deadline_ms = call->pool->upstreams->reactor->now_ms +
                        or_else(request->connect_timeout_ms, settings->connect_timeout_ms);
    if (request->is_upgrade)
        note_upgrade(call, request);
    rg_upstream_encode(request, &call->request);
}

static struct rg_upstream_service *service_at(const char *host, unsigned port)
{
    const struct rg_upstream_origin origin = {host, port};
    const struct rg_upstream_service_settings settings = {.origins = &origin, .origins_n = 1};

    return rg_upstream_service_new(&settings);
}

static struct rg_upstream_pool *pool_of(struct rg_upstreams *upstreams,
                                        const struct rg_upstream_request *request)
{
    if (request->service != NULL)
        return rg_upstream_pool_ref(upstreams, request->service);
    struct rg_upstream_service *service = service_at(request->host, request->port);
    struct rg_upstream_pool *pool = rg_upstream_pool_ref(upstreams, service);
    rg_upstream_service_unref(&service);
    return pool;
}

struct rg_upstream_call *rg_upstreams_send(struct rg_upstreams *upstreams,
                                           const struct rg_upstream_request *request,
                                           const struct rg_upstream_events *events, void *arg)
{
    struct rg_upstream_call *call = call_alloc(upstreams);

    call->started_ns = rg_clock_mono_ns();
    call->pool = pool_of(upstreams, request);
    call->events = events;
    call->arg = arg;
    call->next = upstreams->calls;
    if (call->next != NULL)
        call->next->prev = call;
    upstreams->calls = call;
    fill(call, request, &upstreams->settings);

    struct rg_upstream_pool *pool = call->pool;
    rg_count(upstreams->counters, RG_UPSTREAM_ROW_CALLS, 1);
    rg_upstream_addresses_refresh(pool);
    if (pool->line != NULL || !rg_upstream_pool_assign(pool, call))
        rg_upstream_pool_wait(pool, call, false);
    return call;
}

static bool is_under_way(const struct rg_upstream_call *call)
{
    return call->conn != NULL && call->conn->state != RG_UPSTREAM_HANDSHAKE;
}

void rg_upstream_pause(struct rg_upstream_call *call)
{
    if (call->is_paused)
        return;
    call->is_paused = true;
    if (is_under_way(call))
        rg_upstream_conn_pause(call->conn);
}

void rg_upstream_resume(struct rg_upstream_call *call)
{
    if (!call->is_paused)
        return;
    call->is_paused = false;
    if (is_under_way(call))
        rg_upstream_conn_resume(call->conn);
}

void rg_upstream_cancel(struct rg_upstream_call *call)
{
    if (call->conn != NULL)
        rg_upstream_conn_close(call->conn);
    call_leave(call);
    call_free(call);
}

const struct rg_upstream_timing *rg_upstream_get_timing(const struct rg_upstream_call *call)
{
    return &call->timing;
}

/* ---- all of them ---- */

static void next_turn(struct rg_late *late)
{
    RG_CONTAINER_OF(late, struct rg_upstreams, turn_end)->turn++;
}

struct rg_upstreams *rg_upstreams_new(struct rg_reactor *reactor,
                                      const struct rg_upstream_settings *settings)
{
    struct rg_upstreams *upstreams = rg_zalloc(sizeof(*upstreams));

    upstreams->reactor = reactor;
    upstreams->settings = *settings;
    upstreams->turn_end.fn = next_turn;
    upstreams->counters = rg_counters_new(RG_UPSTREAM_ROWS);
    return upstreams;
}

void rg_upstreams_close_all(struct rg_upstreams *upstreams)
{
    while (upstreams->calls != NULL)
        rg_upstream_cancel(upstreams->calls);
    for (struct rg_upstream_pool *pool = upstreams->pools, *next; pool != NULL; pool = next) {
        next = pool->next;
        pool->users++;
        pool->is_closed = true;
        for (size_t i = 0; i < pool->addresses_n; i++) {
            while (pool->addresses[i]->idle_n > 0)
                rg_upstream_conn_close(pool->addresses[i]->idle);
        }
        /* At once, unless somebody is being told something: then behind that. */
        rg_upstream_pool_unref(pool);
    }
    rg_reactor_cancel_late(&upstreams->turn_end);
}

void rg_upstreams_free(struct rg_upstreams **upstreamsp)
{
    struct rg_upstreams *upstreams = *upstreamsp;

    if (upstreams == NULL)
        return;
    *upstreamsp = NULL;
    rg_assert(upstreams->calls == NULL && upstreams->pools == NULL);
    for (struct rg_upstream_call *call = upstreams->spare, *next; call != NULL; call = next) {
        next = call->next;
        rg_buf_done(&call->request);
        rg_free(call);
    }
    rg_counters_free(&upstreams->counters);
    rg_map_done(&upstreams->by_service);
    rg_free(upstreams);
}
