/*
 * apis.h - /v2/apis and /v3/apis of the internal port: definitions are read, made, changed and
 * deleted at run time (management-api.md 2).
 *
 * What is wrong with a definition is told by field (api-gateway.md 3.4) or, to who accepts
 * application/problem+json, by JSON pointer (RFC 9457); the field "rgate-error-pointers" has the
 * pointers in both cases.
 *
 * Thread: the loop of the internal port, registered with rcu.h.
 */
#pragma once

#include "base/option.h"
#include "http/server.h"
#include "proxy/catalogue.h"

#define RG_APIS_ROUTES 10

struct rg_apis {
    struct rg_catalogue *catalogue;
    const char *node_name; /* "rig@127.0.0.1" */
    rg_getenv_fn *env;     /* for use_env */
};

/* Fills rows, of which none catches all; apis is borrowed. */
void rg_apis_routes(struct rg_apis *apis, struct rg_route rows[RG_APIS_ROUTES]);
