#include "push/token.h"

#include "base/alloc.h"

/* What is sealed; laid out without padding so that no stray byte gets in. */
struct payload {
    uint32_t reactor;
    uint32_t slot;
    uint32_t generation;
    uint32_t instance_high;
    uint32_t instance_low;
};

static void seal_handle(const struct rg_push *push, const struct rg_seal *seal,
                        struct rg_client_handle handle, struct rg_buf *out)
{
    struct payload payload = {handle.reactor, handle.slot, handle.generation,
                              (uint32_t)(push->instance >> 32), (uint32_t)push->instance};
    rg_seal_add(seal, &payload, sizeof(payload), out);
}

static int unseal(const struct rg_push *push, const struct rg_seal *seal, struct rg_str token,
                  struct rg_client_handle *ret)
{
    struct payload payload;
    int err = rg_seal_open(seal, token, &payload, sizeof(payload));

    if (err < 0)
        return err;
    uint64_t instance = (uint64_t)payload.instance_high << 32 | payload.instance_low;
    if (instance != push->instance || payload.reactor >= push->hubs_n)
        return RG_EGONE;
    *ret = (struct rg_client_handle){payload.reactor, payload.slot, payload.generation};
    return 0;
}

void rg_token_add(const struct rg_push *push, struct rg_client_handle handle, struct rg_buf *out)
{
    seal_handle(push, push->connection_seal, handle, out);
}

int rg_token_read(const struct rg_push *push, struct rg_str token, struct rg_client_handle *ret)
{
    return unseal(push, push->connection_seal, token, ret);
}

void rg_token_add_poll_id(const struct rg_push *push, struct rg_client_handle handle,
                          struct rg_buf *out)
{
    seal_handle(push, push->poll_seal, handle, out);
}

int rg_token_read_poll_id(const struct rg_push *push, struct rg_str id,
                          struct rg_client_handle *ret)
{
    return unseal(push, push->poll_seal, id, ret);
}
