#include "rgate/access.h"

#include "http/client.h"

#define MAX_TICKETS 100000 /* outstanding at once; each is worth seconds */

void rg_access_init(struct rg_access *access, const struct rg_config *config)
{
    const struct rg_limits_settings limits = {
        .per_minute = config->max_connections_per_minute,
        .per_address = (size_t)config->max_connections_per_address,
        .clients = (size_t)config->max_clients,
    };
    struct rg_verifier_settings verifier = rg_config_verifier(config);
    struct rg_why why = {0};

    *access = (struct rg_access){
        .http = rg_http_client_new(&rg_http_client_default_settings),
        .blacklist = rg_blacklist_new(),
        .tickets = rg_tickets_new((uint64_t)config->ticket_lifetime_ms, MAX_TICKETS),
        .limits = rg_limits_new(&limits),
    };
    verifier.blacklist = access->blacklist;
    verifier.http = access->http;
    access->verifier = rg_verifier_new(&verifier, &why);
    if (access->verifier == NULL)
        rg_log_error("no token is valid", RG_FS("variable", why.place), RG_FS("reason", why.text));
    rg_policy_init(&access->subscription_check, "SUBSCRIPTION_CHECK", config->subscription_check,
                   access->http, NULL);
    rg_policy_init(&access->submission_check, "SUBMISSION_CHECK", config->submission_check,
                   access->http, NULL);
}

void rg_access_apply(const struct rg_access *access, struct rg_push_settings *settings)
{
    settings->verifier = access->verifier;
    settings->blacklist = access->blacklist;
    settings->tickets = access->tickets;
    settings->limits = access->limits;
    settings->subscription_check = access->subscription_check;
    settings->submission_check = access->submission_check;
}

void rg_access_stop(struct rg_access *access)
{
    rg_http_client_free(&access->http);
}

void rg_access_done(struct rg_access *access)
{
    rg_http_client_free(&access->http);
    rg_verifier_free(&access->verifier);
    rg_tickets_free(&access->tickets);
    rg_limits_free(&access->limits);
    rg_blacklist_free(&access->blacklist);
}

void rg_access_expose(const struct rg_access *access, struct rg_buf *out)
{
    if (access->verifier != NULL)
        rg_verifier_expose(access->verifier, out);
    rg_blacklist_expose(access->blacklist, out);
    rg_tickets_expose(access->tickets, out);
    rg_limits_expose(access->limits, out);
    rg_policy_expose(out);
}
