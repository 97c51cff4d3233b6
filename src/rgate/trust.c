#include "rgate/trust.h"

#include "base/err.h"

void rg_trust_apply(const struct rg_trust *trust, CURL *curl)
{
    if (trust->ca_file != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, trust->ca_file);
    if (trust->is_blind) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

int rg_trust_outcome(CURLcode code)
{
    switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return RG_EINVAL;
    default:
        return RG_EAGAIN;
    }
}
