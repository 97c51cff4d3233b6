#include "http/server_priv.h"

#include "base/alloc.h"
#include "base/log.h"
#include "event/json.h"
#include "net/socket.h"
#include "net/tls.h"

const struct rg_http_settings rg_http_default_settings = {
    .limits = {16 * 1024, 16 * 1024, 64 * 1024},
    .idle_timeout_ms = 60000,
    .header_timeout_ms = 10000,
    .write_timeout_ms = 10000,
    .body_min_rate = 1024,
    .is_h2_on = true,
    .h2_max_streams = 100,
};

const struct rg_counter_row rg_http_counter_rows[] = {
    [RG_HTTP_CONNECTIONS] = {"rgate_http_connections", "gauge", NULL,
                             "Open HTTP connections, streams not included."},
    [RG_HTTP_ACCEPTED] = {"rgate_http_accepted_total", "counter", NULL, "Connections accepted."},
    [RG_HTTP_REQUESTS] = {"rgate_http_requests_total", "counter", NULL,
                          "Requests whose head was read."},
    [RG_HTTP_2XX] = {"rgate_http_responses_total", "counter", "class=\"2xx\"",
                     "Responses by class of status; streams not included."},
    [RG_HTTP_3XX] = {"rgate_http_responses_total", "counter", "class=\"3xx\"", ""},
    [RG_HTTP_4XX] = {"rgate_http_responses_total", "counter", "class=\"4xx\"", ""},
    [RG_HTTP_5XX] = {"rgate_http_responses_total", "counter", "class=\"5xx\"", ""},
    [RG_HTTP_MALFORMED] = {"rgate_http_malformed_total", "counter", NULL,
                           "Requests refused by the parser or a limit."},
    [RG_HTTP_TIMEOUTS] = {"rgate_http_timeouts_total", "counter", NULL,
                          "Connections cut because a request or a reader was too slow."},
    [RG_HTTP_H2_CONNECTIONS] = {"rgate_http2_connections", "gauge", NULL,
                                "Open HTTP/2 connections; also counted as HTTP connections."},
    [RG_HTTP_H2_STREAMS] = {"rgate_http2_streams_total", "counter", NULL,
                            "HTTP/2 streams that peers have opened."},
    [RG_HTTP_H2_RESETS_IN] = {"rgate_http2_resets_total", "counter", "by=\"peer\"",
                              "HTTP/2 streams that were reset."},
    [RG_HTTP_H2_RESETS_OUT] = {"rgate_http2_resets_total", "counter", "by=\"us\"", ""},
    [RG_HTTP_H2_FLOODS] = {"rgate_http2_floods_total", "counter", NULL,
                           "HTTP/2 connections cut because of a flood of frames or fields."},
    [RG_HTTP_PROXY_ERRORS] = {"rgate_http_proxy_header_errors_total", "counter", NULL,
                              "Connections closed because they did not begin with a valid header "
                              "of the PROXY protocol."},
};
const size_t rg_http_counter_rows_n = RG_HTTP_ROWS;

/* ---- the server ---- */

struct rg_http_server *rg_http_server_new(struct rg_reactor *reactor,
                                          const struct rg_http_settings *settings,
                                          const struct rg_route *routes, size_t routes_n)
{
    struct rg_http_server *server = rg_zalloc(sizeof(*server));

    server->reactor = reactor;
    server->settings = settings;
    server->routes = routes;
    server->routes_n = routes_n;
    server->counters = rg_counters_new(RG_HTTP_ROWS);
    return server;
}

void rg_http_server_free(struct rg_http_server **serverp)
{
    struct rg_http_server *server = *serverp;

    if (server == NULL)
        return;
    *serverp = NULL;
    rg_assert(server->links == NULL);
    rg_slots_done(&server->unanswered);
    rg_counters_free(&server->counters);
    rg_buf_done(&server->encoded);
    for (size_t i = 0; i < server->h2_spare_n; i++)
        rg_buf_done(&server->h2_spare[i]);
    rg_free(server);
}

/* ---- connections ---- */

void rg_http_server_add(struct rg_http_server *server, struct rg_http_link *link,
                        const struct rg_http_link_ops *ops)
{
    link->ops = ops;
    link->prev = NULL;
    link->next = server->links;
    if (server->links != NULL)
        server->links->prev = link;
    server->links = link;
    rg_count(server->counters, RG_HTTP_CONNECTIONS, 1);
}

void rg_http_server_remove(struct rg_http_server *server, struct rg_http_link *link)
{
    if (server->next_link == link)
        server->next_link = link->next;
    if (link->prev != NULL)
        link->prev->next = link->next;
    else
        server->links = link->next;
    if (link->next != NULL)
        link->next->prev = link->prev;
    rg_count(server->counters, RG_HTTP_CONNECTIONS, -1);
}

/* Nothing is read or written before the connection has adopted the stream. */
static void on_nothing(struct rg_stream *stream)
{
    (void)stream;
}

static const struct rg_stream_events no_events = {on_nothing, on_nothing, on_nothing};

void rg_http_server_begin(struct rg_http_server *server, struct rg_http_transport transport)
{
    struct rg_stream *stream =
        transport.is_secure
            ? rg_tls_open(server->tls, server->reactor, transport.fd, &no_events, server)
            : rg_socket_open(server->reactor, transport.fd, &no_events, server);

    if (stream != NULL)
        rg_h1_conn_open(server, stream, transport);
}

static void accept_connection(struct rg_http_server *server, int fd, bool is_secure)
{
    rg_count(server->counters, RG_HTTP_ACCEPTED, 1);
    if (server->settings->has_proxy_protocol)
        rg_proxied_open(server, fd, is_secure);
    else
        rg_http_server_begin(server, (struct rg_http_transport){.fd = fd, .is_secure = is_secure});
}

void rg_http_server_accept(void *arg, int fd)
{
    accept_connection(arg, fd, false);
}

void rg_http_server_set_tls(struct rg_http_server *server, struct rg_tls *tls)
{
    server->tls = tls;
}

void rg_http_server_accept_tls(void *arg, int fd)
{
    accept_connection(arg, fd, true);
}

/* The next connection of a walk. Whoever is told that one is gone may end others. */
static struct rg_http_link *walk(struct rg_http_server *server)
{
    struct rg_http_link *link = server->next_link;

    if (link != NULL)
        server->next_link = link->next;
    return link;
}

void rg_http_server_drain(struct rg_http_server *server)
{
    struct rg_http_link *link;

    server->is_draining = true;
    server->next_link = server->links;
    while ((link = walk(server)) != NULL)
        link->ops->drain(link);
}

void rg_http_server_close_all(struct rg_http_server *server)
{
    struct rg_http_link *link;

    server->next_link = server->links;
    while ((link = walk(server)) != NULL)
        link->ops->close(link);
}

void rg_http_server_count_status(struct rg_http_server *server, int status)
{
    static const int rows[] = {RG_HTTP_2XX, RG_HTTP_2XX, RG_HTTP_2XX,
                               RG_HTTP_3XX, RG_HTTP_4XX, RG_HTTP_5XX};
    rg_count(server->counters, (size_t)rows[status / 100 % 6], 1);
}

void rg_http_server_count_refusal(struct rg_http_server *server, int status,
                                  const struct rg_why *why)
{
    rg_count(server->counters, status == 408 ? RG_HTTP_TIMEOUTS : RG_HTTP_MALFORMED, 1);
    rg_log_info("request refused", RG_FI("status", status), RG_FS("reason", why->text),
                RG_FS("where", why->place));
}

void rg_http_server_refusal(struct rg_http_server *server, int status, const struct rg_why *why,
                            struct rg_buf *body)
{
    rg_http_server_count_refusal(server, status, why);
    rg_buf_add_c(body, "{\"message\":");
    rg_json_add_string(body, rg_str_c(why->text));
    if (why->place[0] != '\0') {
        rg_buf_add_c(body, ",\"where\":");
        rg_json_add_string(body, rg_str_c(why->place));
    }
    rg_buf_add_char(body, '}');
}

size_t rg_http_server_connections(const struct rg_http_server *server)
{
    return (size_t)rg_counters_get(server->counters, RG_HTTP_CONNECTIONS);
}

const struct rg_counters *rg_http_server_counters(const struct rg_http_server *server)
{
    return server->counters;
}
