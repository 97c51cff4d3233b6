#include "push/announce.h"

#include "push/dispatch.h"

bool rg_announce_is_watched(void *arg, struct rg_str topic)
{
    const struct rg_push *push = arg;

    return rg_interest_get(push->interest, rg_match_key_of_channel(topic)) != 0;
}

void rg_announce_diff(void *arg, const struct rg_roster_diff *diff)
{
    const struct rg_channel_message message = {diff->topic, RG_STR("presence_diff"), diff->json};
    const struct rg_origin origin = {RG_SOURCE_GATEWAY, 0, -1, (int64_t)diff->version, -1};

    rg_dispatch_to_channel(arg, RG_EVENT_PRESENCE, &message, &origin);
}

void rg_announce_wait(void *arg, uint64_t due_ms)
{
    (void)arg;
    (void)due_ms;
}
