#include "push/issue.h"

#include "base/alloc.h"
#include "push/answer.h"
#include "push/api.h"
#include "push/bearer.h"
#include "push/credentials.h"
#include "push/question.h"

/* A request for a ticket that waits for keys. */
struct order {
    struct rg_question question;
    struct rg_exchange_handle exchange;
    struct rg_answer answer;
    struct rg_buf authorization;
};

static void refuse_token(struct rg_answer *answer, struct rg_exchange *exchange,
                         const struct rg_credentials *credentials)
{
    struct rg_buf text = {0};

    rg_buf_add_c(&text, "A ticket needs a valid bearer token");
    if (credentials->has_invalid)
        rg_buf_addf(&text, ": %s", credentials->reason.text);
    rg_buf_add_char(&text, '\0');
    rg_answer_add(answer, RG_STR("www-authenticate"), RG_STR("Bearer"));
    rg_answer_text(answer, exchange, 401, text.p);
    rg_buf_done(&text);
}

static void refuse_for_now(struct rg_answer *answer, struct rg_exchange *exchange, const char *text)
{
    rg_answer_add(answer, RG_STR("retry-after"), RG_STR("1"));
    rg_answer_text(answer, exchange, 503, text);
}

static void hand_out(struct rg_hub *hub, struct rg_answer *answer, struct rg_exchange *exchange,
                     struct rg_str token)
{
    struct rg_tickets *tickets = hub->push->settings.tickets;
    char ticket[RG_TICKET_LEN + 1];
    struct rg_buf json = {0};

    if (rg_tickets_issue(tickets, token, hub->reactor->now_ms, ticket) < 0) {
        refuse_for_now(answer, exchange, "Too many tickets are outstanding, try again.");
        return;
    }
    rg_buf_addf(&json, "{\"ticket\":\"%s\",\"expires_in\":%llu}", ticket,
                (unsigned long long)rg_tickets_lifetime_ms(tickets) / 1000);
    rg_answer_add(answer, RG_STR("cache-control"), RG_STR("no-store"));
    rg_answer_json(answer, exchange, 201, rg_buf_str(&json));
    rg_buf_done(&json);
}

/* RG_EAGAIN if keys should be awaited first; otherwise the exchange is answered. */
static int serve(struct rg_hub *hub, struct rg_answer *answer, struct rg_exchange *exchange,
                 struct rg_str authorization, bool is_last_try)
{
    struct rg_credentials credentials;
    struct rg_str rest = authorization, token;
    int err = rg_credentials_check(hub->push, authorization, is_last_try, &credentials);

    if (err == RG_EAGAIN)
        return err;
    if (credentials.n == 0 || credentials.has_invalid || !rg_bearer_next(&rest, &token))
        refuse_token(answer, exchange, &credentials);
    else
        hand_out(hub, answer, exchange, token);
    rg_credentials_done(&credentials);
    return 0;
}

static void order_free(struct order *order)
{
    rg_buf_done(&order->authorization);
    rg_free(order);
}

static void on_keys(struct rg_question *question)
{
    struct order *order = RG_CONTAINER_OF(question, struct order, question);
    struct rg_exchange *exchange = rg_http_server_find(question->hub->http, order->exchange);

    if (exchange != NULL)
        serve(question->hub, &order->answer, exchange, rg_buf_str(&order->authorization), true);
    order_free(order);
}

static void wait(struct rg_hub *hub, struct rg_answer *answer, struct rg_exchange *exchange,
                 struct rg_str authorization)
{
    struct order *order = rg_zalloc(sizeof(*order));

    order->exchange = rg_exchange_get_handle(exchange);
    order->answer = *answer;
    rg_buf_add_str(&order->authorization, authorization);
    int err = rg_question_await_keys(&order->question, hub, on_keys);
    if (err == 0)
        return;
    order_free(order);
    if (err == RG_ECANCELED)
        refuse_for_now(answer, exchange, "The gateway is shutting down.");
    else
        serve(hub, answer, exchange, authorization, true);
}

static void post(struct rg_hub *hub, struct rg_answer *answer, struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_buf scratch = {0};
    struct rg_str authorization;

    authorization = rg_credentials_join(req, &scratch);
    if (serve(hub, answer, exchange, authorization, false) == RG_EAGAIN)
        wait(hub, answer, exchange, authorization);
    rg_buf_done(&scratch);
}

void rg_issue_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;
    struct rg_answer answer = rg_answer_begin(hub->push, rg_exchange_request(exchange));

    if (hub->push->settings.tickets == NULL)
        rg_api_not_found(hub->push, exchange);
    else if (rg_exchange_request(exchange)->method == RG_OPTIONS)
        rg_answer_preflight(&answer, exchange, "POST", "content-type,authorization");
    else
        post(hub, &answer, exchange);
}
