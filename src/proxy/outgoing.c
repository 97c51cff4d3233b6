#include "proxy/outgoing.h"

#include <stdio.h>

#include "proxy/fields.h"

size_t rg_outgoing_fields(const struct rg_outgoing_settings *settings,
                          const struct rg_endpoint *endpoint,
                          const struct rg_outgoing_client *client, bool keeps_upgrade,
                          struct rg_buf *scratch, struct rg_http_field ret[RG_OUTGOING_MAX])
{
    (void)settings;
    (void)endpoint;
    (void)keeps_upgrade;
    (void)scratch;
    return rg_fields_to_forward(client->req, ret);
}

void rg_client_address(const struct rg_outgoing_settings *settings, const struct rg_request *req,
                       const char *peer, char out[RG_PEER_SIZE])
{
    (void)settings;
    (void)req;
    snprintf(out, RG_PEER_SIZE, "%s", peer);
}
