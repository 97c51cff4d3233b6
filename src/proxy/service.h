/*
 * service.h - where a service is, as definitions and variables name it (api-gateway.md 8.1).
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define RG_SERVICE_MAX_HOST 255

struct rg_service_url {
    bool has_scheme; /* without one it is http */
    bool is_https;
    char host[RG_SERVICE_MAX_HOST + 1]; /* a name or an address, IPv6 without brackets */
    unsigned port;                      /* 0: it has none */
    bool has_more;                      /* user, path, query or fragment, which nobody needs */
};

/*
 * "host", "host:80", "[::1]:80", "::1", or one of them behind http:// or https://. RG_EINVAL with
 * why->text, which follows the name of a field: "must be …".
 */
int rg_service_url_parse(struct rg_str text, struct rg_service_url *ret, struct rg_why *why);

/* Appends host and port as the field host has them: "127.0.0.1:9100", "[::1]:80". */
void rg_service_add_host(struct rg_buf *out, const char *host, unsigned port);
