/*
 * One request and the duty to answer it, as a handler sees them. While it is unanswered an
 * exchange has a number, so that an answer that was made elsewhere can find its way.
 */
#include "base/log.h"
#include "http/server_priv.h"

void rg_exchange_begin(struct rg_exchange *exchange)
{
    const struct rg_route *route = exchange->match.route;

    exchange->slot = rg_slots_take(&exchange->server->unanswered, exchange);
    exchange->has_slot = true;
    exchange->is_taken = false;
    exchange->in_handler = true;
    route->handler(route->arg, exchange);
    exchange->in_handler = false;
}

void rg_exchange_end(struct rg_exchange *exchange)
{
    if (!exchange->has_slot)
        return;
    rg_slots_release(&exchange->server->unanswered, exchange->slot);
    exchange->has_slot = false;
}

const struct rg_request *rg_exchange_request(const struct rg_exchange *exchange)
{
    rg_assert(exchange->in_handler);
    return &exchange->server->request;
}

struct rg_str rg_exchange_param(const struct rg_exchange *exchange, size_t i)
{
    rg_assert(i < exchange->match.params_n);
    return exchange->match.params[i];
}

struct rg_reactor *rg_exchange_reactor(const struct rg_exchange *exchange)
{
    return exchange->server->reactor;
}

bool rg_exchange_is_secure(const struct rg_exchange *exchange)
{
    return exchange->transport->is_secure;
}

void rg_exchange_peer(const struct rg_exchange *exchange, char out[RG_PEER_SIZE])
{
    rg_socket_peer(exchange->transport->fd, out);
}

struct rg_exchange_handle rg_exchange_get_handle(const struct rg_exchange *exchange)
{
    const struct rg_http_server *server = exchange->server;
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

static void log_request(const struct rg_exchange *exchange, int status,
                        const struct rg_response *response)
{
    const struct rg_request *req = &exchange->server->request;
    struct rg_str method = rg_method_name(exchange->method);
    struct rg_str path = rg_str_c(exchange->match.route->pattern);

    if (!rg_log_enabled(RG_LOG_INFO))
        return;
    if (exchange->in_handler) {
        method = req->method_name;
        /* Queries carry tokens, and so may the parts of a path that a pattern leaves open. */
        if (exchange->match.params_n == 0)
            path = req->path;
    }
    rg_log_info("request", RG_FSTR("method", method), RG_FSTR("path", path),
                RG_FI("status", status),
                RG_FU("duration_ms", exchange->server->reactor->now_ms - exchange->started_ms),
                RG_FSTR("request_id", response_field(response, RG_STR("x-request-id"))),
                RG_FSTR("traceparent", response_field(response, RG_STR("traceparent"))));
}

void rg_exchange_respond(struct rg_exchange *exchange, const struct rg_response *response)
{
    rg_assert(exchange->has_slot && !exchange->is_taken);
    rg_exchange_end(exchange);
    log_request(exchange, response->status, response);
    exchange->ops->respond(exchange, response);
}

void rg_exchange_take_stream(struct rg_exchange *exchange, const struct rg_response *head,
                             struct rg_taken *ret)
{
    rg_assert(exchange->has_slot && !exchange->is_taken);
    rg_exchange_end(exchange);
    exchange->is_taken = true;
    log_request(exchange, head->status, NULL);
    *ret = (struct rg_taken){0};
    exchange->ops->take(exchange, head, ret);
}

void rg_taken_done(struct rg_taken *taken)
{
    rg_buf_done(&taken->head);
    rg_buf_done(&taken->early);
}
