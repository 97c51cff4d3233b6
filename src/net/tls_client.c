#include "net/tls_client.h"

struct rg_tls_client *rg_tls_client_new(const struct rg_tls_client_settings *settings,
                                        struct rg_why *why)
{
    (void)settings;
    rg_why_set(why, RG_EINVAL, "ca_file", "is not read yet");
    return NULL;
}

struct rg_tls_client *rg_tls_client_ref(struct rg_tls_client *client)
{
    return client;
}

void rg_tls_client_unref(struct rg_tls_client **clientp)
{
    *clientp = NULL;
}
