#include "push/appearance.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "event/json.h"

static const char *const transport_names[RG_TRANSPORTS] = {
    [RG_PHX_SSE] = "sse", [RG_PHX_WS] = "websocket", [RG_PHX_LONGPOLL] = "longpoll"};

/* What the gateway says itself, and the reference that the roster adds. */
static bool is_ours(struct rg_str raw_name)
{
    static const char *const names[] = {"time",       "address",   "device", "browser",
                                        "user_agent", "transport", "phx_ref"};

    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        if (rg_json_key_eq(raw_name, rg_str_c(names[i])))
            return true;
    }
    return false;
}

static void add_claims(struct rg_str claims, struct rg_buf *out)
{
    struct rg_json object = {RG_JSON_OBJECT, claims}, value;
    struct rg_json_cursor cursor = {0};
    struct rg_str name;

    while (rg_json_next(object, &cursor, &name, &value)) {
        if (is_ours(name))
            continue;
        rg_buf_add_char(out, '"');
        rg_buf_add_str(out, name);
        rg_buf_add_c(out, "\":");
        rg_buf_add_str(out, value.text);
        rg_buf_add_char(out, ',');
    }
}

static struct rg_str agent_of(const struct rg_appearance *appearance)
{
    return appearance->device != NULL ? appearance->device->agent : RG_STR("");
}

/* Both texts are ours and need no escapes. */
static void add_kind(const struct rg_appearance *appearance, struct rg_buf *out)
{
    struct rg_str agent = agent_of(appearance);

    rg_buf_addf(out, "\"device\":\"%s\",\"browser\":\"%s\"", rg_device_kind(agent),
                rg_device_browser(agent));
}

void rg_appearance_add_meta(const struct rg_appearance *appearance, struct rg_buf *out)
{
    const struct rg_device *device = appearance->device;

    rg_buf_add_char(out, '{');
    add_claims(appearance->claims, out);
    rg_buf_addf(out, "\"time\":%" PRId64 ",\"address\":", appearance->time_ms);
    rg_json_add_string(out, device != NULL ? device->address : RG_STR(""));
    rg_buf_add_char(out, ',');
    add_kind(appearance, out);
    rg_buf_add_c(out, ",\"user_agent\":");
    rg_json_add_string(out, agent_of(appearance));
    rg_buf_addf(out, ",\"transport\":\"%s\"}", transport_names[appearance->transport]);
}

static void add_data(const struct rg_appearance *appearance, const char *phx_ref,
                     struct rg_buf *out)
{
    const struct rg_identity *identity = appearance->identity;

    rg_buf_add_c(out, "{\"user\":");
    rg_json_add_string(out, identity->user);
    rg_buf_add_c(out, ",\"roles\":[");
    for (size_t i = 0; i < identity->roles_n; i++) {
        if (i > 0)
            rg_buf_add_char(out, ',');
        rg_json_add_string(out, identity->roles[i]);
    }
    rg_buf_addf(out, "],\"phx_ref\":\"%s\",\"time\":%" PRId64 ",\"transport\":\"%s\",", phx_ref,
                appearance->time_ms, transport_names[appearance->transport]);
    add_kind(appearance, out);
    rg_buf_add_char(out, '}');
}

void rg_appearance_add_event(const struct rg_appearance *appearance, const char *type,
                             const char *phx_ref, struct rg_buf *out)
{
    char id[RG_UUID_LEN + 1], time[RG_RFC3339_SIZE];

    rg_random_uuid(id);
    rg_clock_rfc3339(time, rg_clock_wall_us());
    rg_buf_addf(out,
                "{\"specversion\":\"1.0\",\"type\":\"%s\",\"source\":\"rig\",\"id\":\"%s\","
                "\"time\":\"%s\",\"datacontenttype\":\"application/json\",\"data\":",
                type, id, time);
    add_data(appearance, phx_ref, out);
    rg_buf_add_char(out, '}');
}
