#include "push/api.h"

#include "base/alloc.h"
#include "push/answer.h"
#include "push/issue.h"
#include "push/longpoll.h"
#include "push/phx_longpoll.h"
#include "push/phx_sse.h"
#include "push/phx_ws.h"
#include "push/session_api.h"
#include "push/sse.h"
#include "push/subscribe.h"
#include "push/ws.h"

#define MAX_SUBSCRIPTIONS_BODY ((size_t)4 * 1024 * 1024)
#define MAX_TICKET_BODY        1024 /* is not looked at */
#define MAX_IGNORED_BODY       65536

void rg_api_not_found(void *arg, struct rg_exchange *exchange)
{
    struct rg_answer answer = rg_answer_begin(arg, rg_exchange_request(exchange));
    answer.is_cors = false;
    rg_answer_json(&answer, exchange, 404, RG_STR("{\"message\":\"Not Found\"}"));
}

static void subscribe(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;
    struct rg_str transport = rg_exchange_param(exchange, 0);

    /* The word is not checked against the token (2.2), but there are only these three. */
    if (rg_str_eq(transport, RG_STR("sse")) || rg_str_eq(transport, RG_STR("ws")) ||
        rg_str_eq(transport, RG_STR("longpolling")))
        rg_subscribe_handle(hub, exchange);
    else
        rg_api_not_found(hub->push, exchange);
}

/*
 * A batch of messages (legacy-channels.md 7.6). It is read before it is known whose it is: no more
 * than anybody else may send, unless a single message may be longer.
 */
static size_t longpoll_body(const struct rg_push *push)
{
    size_t one = push->settings.channels.max_message_bytes, all = RG_PHX_MAX_BATCH * one;
    size_t enough = one > push->settings.max_event_bytes ? one : push->settings.max_event_bytes;

    return all < enough ? all : enough;
}

/* The channels dialect. None where it is off: the catch-all answers then. */
static size_t channel_routes(struct rg_hub *hub, struct rg_route *rows)
{
    const unsigned get = RG_METHOD_BIT(RG_GET) | RG_METHOD_BIT(RG_OPTIONS);
    const unsigned delete = RG_METHOD_BIT(RG_DELETE) | RG_METHOD_BIT(RG_OPTIONS);
    const size_t no_body = MAX_IGNORED_BODY;
    const struct rg_push *push = hub->push;
    const struct rg_route all[] = {
        {RG_METHODS_ALL, "/socket/websocket", rg_phx_ws_handle, hub, no_body},
        {RG_METHODS_ALL, "/socket/longpoll", rg_phx_longpoll_handle, hub, longpoll_body(push)},
        {RG_METHODS_ALL, "/socket/sse", rg_phx_sse_handle, hub, no_body},
        {get, "/rg/sessions", rg_session_api_list, hub, no_body},
        {get, "/rg/sessions/:id", rg_session_api_look, hub, no_body},
        {delete, "/rg/connections/:jti", rg_session_api_ban, hub, no_body},
    };

    if (!push->settings.channels.is_on)
        return 0;
    memcpy(rows, all, sizeof(all));
    return RG_COUNT_OF(all);
}

size_t rg_api_routes(struct rg_hub *hub, struct rg_publish_endpoint *endpoint,
                     struct rg_route rows[RG_API_ROUTES])
{
    const unsigned get = RG_METHOD_BIT(RG_GET);
    const unsigned post = RG_METHOD_BIT(RG_POST);
    const unsigned options = RG_METHOD_BIT(RG_OPTIONS);
    struct rg_push *push = hub->push;
    size_t n = 0;

    *endpoint = (struct rg_publish_endpoint){push, hub->dispatcher, true, hub};
    rows[n++] = (struct rg_route){post | options, "/_rig/v1/events", rg_publish_handle, endpoint,
                                  push->settings.max_event_bytes};
    rows[n++] = (struct rg_route){post | options, "/_rig/v1/tickets", rg_issue_handle, hub,
                                  MAX_TICKET_BODY};
    rows[n++] = (struct rg_route){RG_METHODS_ALL, "/_rig/v1/connection/sse", rg_sse_handle, hub, 0};
    rows[n++] = (struct rg_route){get, "/_rig/v1/connection/ws", rg_ws_handle, hub, 0};
    rows[n++] = (struct rg_route){get | options, "/_rig/v1/connection/longpolling",
                                  rg_longpoll_handle, hub, 0};
    rows[n++] = (struct rg_route){RG_METHOD_BIT(RG_PUT) | options,
                                  "/_rig/v1/connection/:transport/:token/subscriptions", subscribe,
                                  hub, MAX_SUBSCRIPTIONS_BODY};
    n += channel_routes(hub, rows + n);
    rg_assert(n <= RG_API_ROUTES);
    return n;
}
