/*
 * One request and the duty to answer it, as a handler sees them. While it is unanswered an
 * exchange has a number, so that an answer that was made elsewhere can find its way.
 */
#include "base/clock.h"
#include "base/log.h"
#include "http/server_priv.h"

void rg_exchange_note_start(struct rg_exchange *exchange)
{
    exchange->started_ms = exchange->server->reactor->now_ms;
    exchange->started_ns = rg_clock_mono_ns();
}

void rg_exchange_begin(struct rg_exchange *exchange)
{
    const struct rg_route *route = exchange->match.route;

    exchange->slot = rg_slots_take(&exchange->server->unanswered, exchange);
    exchange->has_slot = true;
    exchange->is_taken = false;
    exchange->is_streaming = false;
    exchange->is_receiving = false;
    exchange->is_paused = false;
    exchange->on_gone = NULL;
    exchange->in_handler = true;
    route->handler(route->arg, exchange);
    exchange->in_handler = false;
}

/* It waits for no answer any more. */
static void end_waiting(struct rg_exchange *exchange)
{
    rg_assert(exchange->has_slot && !exchange->is_taken);
    rg_slots_release(&exchange->server->unanswered, exchange->slot);
    exchange->has_slot = false;
    exchange->on_gone = NULL;
}

struct rg_gone rg_exchange_lost(struct rg_exchange *exchange)
{
    struct rg_gone gone = {exchange->on_gone, exchange->arg};

    if (exchange->has_slot)
        end_waiting(exchange);
    exchange->is_streaming = false;
    exchange->is_receiving = false;
    exchange->on_gone = NULL;
    return gone;
}

void rg_exchange_tell_writable(struct rg_exchange *exchange)
{
    if (!exchange->is_streaming || !exchange->is_full)
        return;
    exchange->is_full = false;
    exchange->on_writable(exchange->arg);
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
    struct rg_http_transport *transport = exchange->transport;

    if (!transport->knows_peer) {
        rg_socket_peer(transport->fd, transport->peer);
        transport->knows_peer = true;
    }
    memcpy(out, transport->peer, RG_PEER_SIZE);
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

static void log_request(const struct rg_exchange *exchange, const struct rg_response *response)
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
                RG_FI("status", response->status),
                RG_FU("duration_ms", exchange->server->reactor->now_ms - exchange->started_ms),
                RG_FSTR("request_id", rg_response_find(response, RG_STR("x-request-id"))),
                RG_FSTR("traceparent", rg_response_find(response, RG_STR("traceparent"))));
}

void rg_exchange_respond(struct rg_exchange *exchange, const struct rg_response *response)
{
    end_waiting(exchange);
    exchange->is_receiving = false;
    log_request(exchange, response);
    exchange->ops->respond(exchange, response);
}

void rg_exchange_take_stream(struct rg_exchange *exchange, const struct rg_response *head,
                             struct rg_taken *ret)
{
    end_waiting(exchange);
    exchange->is_taken = true;
    exchange->is_receiving = false;
    log_request(exchange, head);
    *ret = (struct rg_taken){0};
    exchange->ops->take(exchange, head, ret);
}

void rg_taken_done(struct rg_taken *taken)
{
    rg_buf_done(&taken->head);
    rg_buf_done(&taken->early);
}

/* ---- answers in pieces ---- */

void rg_exchange_on_gone(struct rg_exchange *exchange, void (*fn)(void *arg), void *arg)
{
    rg_assert(exchange->has_slot);
    exchange->on_gone = fn;
    exchange->arg = arg;
}

void rg_exchange_begin_body(struct rg_exchange *exchange, const struct rg_response *head,
                            int64_t length, const struct rg_body_events *events, void *arg)
{
    rg_assert(head->status >= 200 && length >= -1);
    end_waiting(exchange);
    log_request(exchange, head);
    exchange->is_streaming = true;
    exchange->is_full = false;
    exchange->drops_body = exchange->method == RG_HEAD || rg_response_is_bodiless(head->status);
    exchange->left = length;
    exchange->on_writable = events->on_writable;
    exchange->on_gone = events->on_gone;
    exchange->arg = arg;
    exchange->ops->begin_body(exchange, head, length);
}

bool rg_exchange_write_body(struct rg_exchange *exchange, struct rg_str piece)
{
    rg_assert(exchange->is_streaming);
    /* What is more than announced would be read as the next answer. */
    if (exchange->left >= 0 && piece.n > (uint64_t)exchange->left)
        piece.n = (size_t)exchange->left;
    if (exchange->left >= 0)
        exchange->left -= (int64_t)piece.n;
    if (piece.n > 0 && !exchange->drops_body)
        exchange->is_full = !exchange->ops->write_body(exchange, piece);
    return !exchange->is_full;
}

static void end_streaming(struct rg_exchange *exchange)
{
    rg_assert(exchange->is_streaming);
    exchange->is_streaming = false;
    exchange->is_receiving = false;
    exchange->on_gone = NULL;
}

void rg_exchange_finish_body_with(struct rg_exchange *exchange,
                                  const struct rg_http_field *trailers, size_t trailers_n)
{
    end_streaming(exchange);
    if (exchange->left > 0 && !exchange->drops_body)
        exchange->ops->abort_body(exchange);
    else
        exchange->ops->finish_body(exchange, trailers, trailers_n);
}

void rg_exchange_finish_body(struct rg_exchange *exchange)
{
    rg_exchange_finish_body_with(exchange, NULL, 0);
}

void rg_exchange_abort_body(struct rg_exchange *exchange)
{
    end_streaming(exchange);
    exchange->ops->abort_body(exchange);
}

uint64_t rg_exchange_started_ns(const struct rg_exchange *exchange)
{
    return exchange->started_ns;
}

/* ---- requests in pieces ---- */

void rg_exchange_receive(struct rg_exchange *exchange, uint64_t max_bytes,
                         const struct rg_receive_events *events, void *arg)
{
    /* Where the body is comes to be known once: behind the handler. */
    rg_assert(exchange->in_handler && !exchange->is_receiving && !exchange->is_taken);
    rg_assert(exchange->match.route->max_body == RG_BODY_STREAMED);
    rg_assert(exchange->has_slot || exchange->is_streaming);
    exchange->is_receiving = true;
    exchange->receive_max = max_bytes;
    exchange->receive = *events;
    exchange->receive_arg = arg;
}

void rg_exchange_pause_receiving(struct rg_exchange *exchange)
{
    if (exchange->is_paused)
        return;
    exchange->is_paused = true;
    if (exchange->is_receiving)
        exchange->ops->pause(exchange);
}

void rg_exchange_resume_receiving(struct rg_exchange *exchange)
{
    if (!exchange->is_paused)
        return;
    exchange->is_paused = false;
    if (exchange->is_receiving)
        exchange->ops->resume(exchange);
}

bool rg_exchange_is_too_long(const struct rg_exchange *exchange, uint64_t n, struct rg_why *why)
{
    if (n <= exchange->receive_max)
        return false;
    rg_why_set(why, 0, "", "the body is too long");
    return true;
}

void rg_exchange_tell_piece(struct rg_exchange *exchange, struct rg_str piece)
{
    rg_assert(rg_exchange_wants_body(exchange) && piece.n <= exchange->receive_max);
    exchange->receive_max -= piece.n;
    exchange->receive.on_piece(exchange->receive_arg, piece);
}

void rg_exchange_tell_end(struct rg_exchange *exchange, const struct rg_http_field *trailers,
                          size_t trailers_n)
{
    rg_assert(rg_exchange_wants_body(exchange));
    exchange->is_receiving = false;
    exchange->receive.on_end(exchange->receive_arg, trailers, trailers_n);
}

void rg_exchange_tell_error(struct rg_exchange *exchange, int status, const struct rg_why *why)
{
    rg_assert(exchange->is_receiving);
    exchange->is_receiving = false;
    rg_http_server_count_refusal(exchange->server, status, why);
    exchange->receive.on_error(exchange->receive_arg, status, why);
}
