/*
 * One request and the duty to answer it, as a handler sees them. While it is unanswered an
 * exchange has a number, so that an answer that was made elsewhere can find its way.
 */
#include "base/log.h"
#include "http/server_priv.h"

void rg_exchange_begin(struct rg_exchange *exchange)
{
    exchange->slot = rg_slots_take(&exchange->conn->server->unanswered, exchange);
    exchange->has_slot = true;
}

void rg_exchange_end(struct rg_exchange *exchange)
{
    if (!exchange->has_slot)
        return;
    rg_slots_release(&exchange->conn->server->unanswered, exchange->slot);
    exchange->has_slot = false;
}

const struct rg_request *rg_exchange_request(const struct rg_exchange *exchange)
{
    rg_assert(exchange->in_handler);
    return &exchange->conn->server->request;
}

struct rg_str rg_exchange_param(const struct rg_exchange *exchange, size_t i)
{
    rg_assert(i < exchange->match.params_n);
    return exchange->match.params[i];
}

struct rg_reactor *rg_exchange_reactor(const struct rg_exchange *exchange)
{
    return exchange->conn->server->reactor;
}

struct rg_exchange_handle rg_exchange_get_handle(const struct rg_exchange *exchange)
{
    const struct rg_http_server *server = exchange->conn->server;
    return (struct rg_exchange_handle){server->reactor->id, exchange->slot,
                                       server->unanswered.at[exchange->slot].generation};
}

struct rg_exchange *rg_http_server_find(struct rg_http_server *server,
                                        struct rg_exchange_handle handle)
{
    rg_assert(handle.reactor == server->reactor->id);
    return rg_slots_get(&server->unanswered, handle.slot, handle.generation);
}

static struct rg_str response_field(const struct rg_response *response, struct rg_str name)
{
    for (size_t i = 0; response != NULL && i < response->fields_n; i++) {
        if (rg_str_eq_nocase(response->fields[i].name, name))
            return response->fields[i].value;
    }
    return (struct rg_str){NULL, 0};
}

static void log_request(struct rg_http_conn *c, int status, const struct rg_response *response)
{
    const struct rg_request *req = &c->server->request;

    if (!c->exchange.in_handler || !rg_log_enabled(RG_LOG_INFO))
        return;
    /* Queries carry tokens, and so may the parts of a path that a pattern leaves open. */
    struct rg_str path =
        c->exchange.match.params_n > 0 ? rg_str_c(c->exchange.match.route->pattern) : req->path;
    rg_log_info("request", RG_FSTR("method", req->method_name), RG_FSTR("path", path),
                RG_FI("status", status),
                RG_FU("duration_ms", c->server->reactor->now_ms - c->started_ms),
                RG_FSTR("request_id", response_field(response, RG_STR("x-request-id"))),
                RG_FSTR("traceparent", response_field(response, RG_STR("traceparent"))));
}

void rg_exchange_respond(struct rg_exchange *exchange, const struct rg_response *response)
{
    struct rg_http_conn *c = exchange->conn;
    bool was_processing = c->is_processing;

    rg_assert(c->state == RG_CONN_ANSWERING && !exchange->is_taken);
    rg_exchange_end(exchange);
    log_request(c, response->status, response);
    c->is_processing = true;
    rg_http_conn_send(c, response);
    c->is_processing = was_processing;
    if (was_processing)
        return;
    if (c->stream == NULL)
        rg_http_conn_free(c);
    else if (c->state == RG_CONN_IDLE && c->in.n > 0)
        rg_http_conn_go_on(c);
}

struct rg_stream *rg_exchange_take_stream(struct rg_exchange *exchange, struct rg_buf *early)
{
    struct rg_http_conn *c = exchange->conn;
    struct rg_stream *stream = c->stream;

    rg_assert(c->state == RG_CONN_ANSWERING && exchange->in_handler);
    log_request(c, 200, NULL);
    rg_exchange_end(exchange);
    exchange->is_taken = true;
    if (early != NULL)
        rg_buf_add_str(early, c->behind);
    c->stream = NULL;
    return stream;
}
