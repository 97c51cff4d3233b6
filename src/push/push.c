#include "push/push.h"

#include "base/alloc.h"
#include "base/random.h"
#include "push/announce.h"
#include "push/hub.h"

struct rg_push *rg_push_new(const struct rg_push_settings *settings,
                            const struct rg_extractors *extractors)
{
    struct rg_push *push = rg_zalloc(sizeof(*push));

    push->settings = *settings;
    push->extractors = extractors;
    push->interest = rg_interest_new();
    push->connection_seal = rg_seal_new(settings->secret, "connection-token");
    push->poll_seal = rg_seal_new(settings->secret, "poll-id");
    push->roster = rg_roster_new(&(struct rg_roster_settings){
        .interval_ms = settings->channels.presence_interval_ms,
        .is_watched = rg_announce_is_watched,
        .announce = rg_announce_diff,
        .wait = rg_announce_wait,
        .arg = push,
    });
    push->announcer = rg_announcer_new(push);
    push->directory = rg_directory_new();
    rg_random_bytes(&push->instance, sizeof(push->instance));
    rg_tally_init(&push->tally);
    return push;
}

void rg_push_free(struct rg_push **pushp)
{
    struct rg_push *push = *pushp;

    if (push == NULL)
        return;
    *pushp = NULL;
    rg_seal_free(&push->connection_seal);
    rg_seal_free(&push->poll_seal);
    rg_roster_free(&push->roster);
    rg_announcer_free(&push->announcer);
    rg_directory_free(&push->directory);
    rg_interest_free(&push->interest);
    rg_tally_done(&push->tally);
    rg_free(push);
}

void rg_push_expose(const struct rg_push *push, struct rg_buf *out)
{
    const struct rg_counters *blocks[RG_MAX_REACTORS];

    for (unsigned i = 0; i < push->hubs_n; i++)
        blocks[i] = push->hubs[i]->counters;
    rg_counters_expose(out, rg_hub_counter_rows, RG_HUB_ROWS, blocks, push->hubs_n);
    rg_metric_head(out, "rgate_sessions", "gauge", "Sessions that have open connections.");
    rg_buf_addf(out, "rgate_sessions %zu\n", rg_directory_count(push->directory, RG_STR("")));
    rg_roster_expose(push->roster, out);
    rg_tally_expose(&push->tally, out);
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

/* A ban on its way to one hub. */
struct kill {
    struct rg_inbox_item item;
    void (*hub_kill)(struct rg_hub *hub, struct rg_str name);
    size_t n;
    char name[];
};

static void run_kill(struct rg_inbox_item *item, void *ctx)
{
    struct kill *kill = RG_CONTAINER_OF(item, struct kill, item);

    kill->hub_kill(ctx, rg_str_n(kill->name, kill->n));
    rg_free(kill);
}

static void kill_everywhere(struct rg_push *push, struct rg_str name,
                            void (*hub_kill)(struct rg_hub *hub, struct rg_str name))
{
    for (unsigned i = 0; i < push->hubs_n; i++) {
        struct kill *kill = rg_alloc(sizeof(*kill) + name.n);
        kill->hub_kill = hub_kill;
        kill->n = name.n;
        memcpy(kill->name, name.p, name.n);
        rg_reactor_post(push->hubs[i]->reactor, &kill->item, run_kill, 0);
    }
}

void rg_push_kill_session(struct rg_push *push, struct rg_str session)
{
    kill_everywhere(push, session, rg_hub_kill_session);
}

void rg_push_kill_token(struct rg_push *push, struct rg_str jti)
{
    kill_everywhere(push, jti, rg_hub_kill_token);
}
