/*
 * trust.h - which gateway the commands for a terminal believe when they are told https://.
 *
 * Thread: main.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

/* What --cacert and --insecure said; zeroed: the certificates that this system trusts. */
struct rg_trust {
    const char *ca_file; /* PEM; trusted instead */
    bool is_blind;       /* anybody is believed */
};

void rg_trust_apply(const struct rg_trust *trust, CURL *curl);

/* RG_EINVAL if connecting again would fail the same way, else RG_EAGAIN. code is not CURLE_OK. */
int rg_trust_outcome(CURLcode code);
