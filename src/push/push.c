#include "push/push.h"

#include "base/alloc.h"
#include "base/random.h"
#include "push/hub.h"

static const struct rg_family_row forwarded_row = {
    "rig_consumed_events_forwarded_total",
    "counter",
    {"type", NULL},
    "Events that matched at least one subscription, by event type."};

/* Declared by whoever consumes from a broker as well; this is the share of events posted over HTTP.
 */
static const struct rg_family_row consumed_row = {
    "rgate_published_events_total",
    "counter",
    {"source", "topic", NULL},
    "Events that were posted over HTTP and accepted."};

struct rg_push *rg_push_new(const struct rg_push_settings *settings,
                            const struct rg_extractors *extractors)
{
    struct rg_push *push = rg_zalloc(sizeof(*push));

    push->settings = *settings;
    push->extractors = extractors;
    push->interest = rg_interest_new();
    push->connection_seal = rg_seal_new(settings->secret, "connection-token");
    rg_random_bytes(&push->instance, sizeof(push->instance));
    push->forwarded = rg_family_new(&forwarded_row);
    push->consumed = rg_family_new(&consumed_row);
    return push;
}

void rg_push_free(struct rg_push **pushp)
{
    struct rg_push *push = *pushp;

    if (push == NULL)
        return;
    *pushp = NULL;
    rg_seal_free(&push->connection_seal);
    rg_interest_free(&push->interest);
    rg_family_free(&push->forwarded);
    rg_family_free(&push->consumed);
    rg_free(push);
}

void rg_push_expose(const struct rg_push *push, struct rg_buf *out)
{
    const struct rg_counters *blocks[RG_MAX_REACTORS];

    for (unsigned i = 0; i < push->hubs_n; i++)
        blocks[i] = push->hubs[i]->counters;
    rg_counters_expose(out, rg_hub_counter_rows, RG_HUB_ROWS, blocks, push->hubs_n);
    rg_family_expose(push->forwarded, out);
    rg_family_expose(push->consumed, out);
}

size_t rg_push_clients(const struct rg_push *push)
{
    size_t n = 0;

    for (unsigned i = 0; i < push->hubs_n; i++) {
        for (unsigned t = 0; t < RG_TRANSPORTS; t++)
            n += rg_counters_get(push->hubs[i]->counters, RG_HUB_CLIENTS + t);
    }
    return n;
}
