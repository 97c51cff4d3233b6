#include "push/survey.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "event/json.h"
#include "push/channels.h"
#include "push/hub.h"

/* One hub's part: travels there and back. */
struct part {
    struct rg_inbox_item item;
    struct rg_survey *survey;
    struct rg_reactor *home;
    struct rg_buf connections;
    size_t n;
    bool is_truncated;
};

/* ---- names ---- */

void rg_survey_add_id(struct rg_buf *out, struct rg_client_handle handle)
{
    rg_buf_addf(out, "%u-%u-%u", handle.reactor, handle.slot, handle.generation);
}

int rg_survey_read_id(struct rg_str id, unsigned hubs_n, struct rg_client_handle *ret)
{
    uint64_t numbers[3];
    struct rg_str rest = id;

    for (size_t i = 0; i < RG_COUNT_OF(numbers); i++) {
        if (rg_str_to_u64(rg_str_split(&rest, '-'), UINT32_MAX, &numbers[i]) < 0)
            return RG_ESYNTAX;
    }
    if (rest.p != NULL || numbers[0] >= hubs_n)
        return RG_ESYNTAX;
    *ret =
        (struct rg_client_handle){(uint32_t)numbers[0], (uint32_t)numbers[1], (uint32_t)numbers[2]};
    return 0;
}

/* ---- on the reactor of a hub ---- */

static const struct {
    const char *dialect, *transport;
} kinds[RG_TRANSPORTS] = {
    [RG_SSE] = {"events", "sse"},
    [RG_WS] = {"events", "websocket"},
    [RG_LONGPOLL] = {"events", "longpolling"},
    [RG_PHX_SSE] = {"channels", "sse"},
    [RG_PHX_WS] = {"channels", "websocket"},
    [RG_PHX_LONGPOLL] = {"channels", "longpolling"},
};

/* A text, or null where it is not known. */
static void add_known(struct rg_buf *out, struct rg_str text)
{
    if (text.n > 0)
        rg_json_add_string(out, text);
    else
        rg_buf_add_c(out, "null");
}

static void add_device(struct rg_buf *out, const struct rg_bond *bond)
{
    const struct rg_device *device = bond->device;
    char since[RG_RFC3339_SIZE];

    rg_clock_rfc3339(since, (device != NULL ? device->since_ms : bond->since_ms) * 1000);
    rg_buf_add_c(out, "\"address\":");
    add_known(out, device != NULL ? device->address : RG_STR(""));
    rg_buf_add_c(out, ",\"user_agent\":");
    add_known(out, device != NULL ? device->agent : RG_STR(""));
    rg_buf_addf(out, ",\"since\":\"%s\"", since);
}

/* False if there were too many. */
static bool add_channels(struct rg_buf *out, const struct rg_channels *channels)
{
    size_t n = channels != NULL ? rg_channels_count(channels) : 0, i;

    rg_buf_add_c(out, "\"channels\":[");
    for (i = 0; i < n && out->n < RG_SURVEY_MAX_BYTES; i++) {
        if (i > 0)
            rg_buf_add_char(out, ',');
        rg_json_add_string(out, rg_channels_topic(channels, i));
    }
    rg_buf_add_char(out, ']');
    return i == n;
}

static size_t queued_bytes(const struct rg_client *client)
{
    return client->ops->queued_bytes != NULL ? client->ops->queued_bytes(client)
                                             : client->outbox.bytes;
}

static void add_client(struct part *part, const struct rg_client *client)
{
    struct rg_buf *out = &part->connections;

    rg_buf_add_c(out, part->n++ > 0 ? ",{\"id\":\"" : "{\"id\":\"");
    rg_survey_add_id(out, rg_client_get_handle(client));
    rg_buf_addf(out, "\",\"dialect\":\"%s\",\"transport\":\"%s\",",
                kinds[client->transport].dialect, kinds[client->transport].transport);
    add_device(out, client->bond);
    rg_buf_addf(out, ",\"subscriptions\":%u,", client->subscriptions_n);
    part->is_truncated |= !add_channels(out, client->channels);
    rg_buf_addf(out, ",\"queued_bytes\":%zu,\"sent_bytes\":%llu}", queued_bytes(client),
                (unsigned long long)client->sent_bytes);
}

/* Every hub lists what the others have left room for. Every client of a session has a bond. */
static bool take_client(void *arg, struct rg_client *client)
{
    struct part *part = arg;
    struct rg_survey *survey = part->survey;
    size_t before = part->connections.n;

    if (client->state != RG_CLIENT_OPEN)
        return true;
    if (atomic_load(&survey->listed_bytes) >= RG_SURVEY_MAX_BYTES ||
        atomic_fetch_add(&survey->listed_n, 1) >= RG_SURVEY_MAX_CONNECTIONS) {
        part->is_truncated = true;
        return false;
    }
    add_client(part, client);
    atomic_fetch_add(&survey->listed_bytes, part->connections.n - before);
    return true;
}

static void come_back(struct rg_inbox_item *item, void *ctx);

static void visit(struct rg_inbox_item *item, void *ctx)
{
    struct part *part = RG_CONTAINER_OF(item, struct part, item);
    const struct rg_hub *hub = ctx;

    rg_sessions_walk(hub->sessions, rg_buf_str(&part->survey->session), take_client, part);
    rg_reactor_post(part->home, &part->item, come_back, 0);
}

/* ---- on the reactor that asks ---- */

static void merge(struct rg_survey *survey, const struct part *part)
{
    survey->is_truncated |= part->is_truncated;
    if (survey->n > 0 && part->n > 0)
        rg_buf_add_char(&survey->connections, ',');
    rg_buf_add_str(&survey->connections, rg_buf_str(&part->connections));
    survey->n += part->n;
}

static void come_back(struct rg_inbox_item *item, void *ctx)
{
    struct part *part = RG_CONTAINER_OF(item, struct part, item);
    struct rg_survey *survey = part->survey;

    (void)ctx;
    rg_reactor_assert(part->home);
    merge(survey, part);
    rg_buf_done(&part->connections);
    rg_free(part);
    if (--survey->pending == 0)
        survey->fn(survey);
}

void rg_survey_begin(struct rg_survey *survey, struct rg_push *push, struct rg_reactor *home,
                     rg_survey_fn *fn)
{
    survey->fn = fn;
    survey->pending = push->hubs_n;
    for (unsigned i = 0; i < push->hubs_n; i++) {
        struct part *part = rg_zalloc(sizeof(*part));
        part->survey = survey;
        part->home = home;
        rg_reactor_post(push->hubs[i]->reactor, &part->item, visit, 0);
    }
}

void rg_survey_done(struct rg_survey *survey)
{
    rg_buf_done(&survey->session);
    rg_buf_done(&survey->connections);
}
