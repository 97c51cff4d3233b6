/*
 * definition.h - reads API definitions, and checks all of them (api-gateway.md sections 2 and 3).
 *
 * Beyond what the Reactive Interaction Gateway knows a definition may have, all of it optional and
 * checked (docs/gateway.md):
 *
 *   proxy.targets            ["10.0.0.7:8080", "10.0.0.8"]: the addresses of the service, in place
 * of target_url (port: proxy.port where left out) proxy.tls                {"ca_file", "cert_file",
 * "key_file", "server_name", "verify"} proxy.connect_timeout_ms, .response_timeout_ms,
 * .idle_timeout_ms, .max_body_bytes, .max_header_bytes, .max_connections, .retry auth.claim_headers
 * {"x-user": "/sub"} endpoint.rate_limit      {"requests": 100, "seconds": 60, "burst": 20, "by":
 * "address"} endpoint.upgrade, endpoint.encoded_slashes
 *
 * Members that are not known are kept and have no effect.
 *
 * Thread: any; no state.
 */
#pragma once

#include <jansson.h>

#include "base/option.h"
#include "proxy/api.h"
#include "proxy/faults.h"

/* The variable that problems of the file are told of. */
#define RG_DEFINITIONS_VARIABLE "PROXY_CONFIG_FILE"

enum rg_definition_source {
    RG_DEFINITION_NEW,   /* the file, or POST: defaults are filled in (2.1, 2.2) */
    RG_DEFINITION_PUT,   /* stored as given */
    RG_DEFINITION_MERGED /* what PUT makes of a stored definition and a valid one: as given; the
                            stored auth need not fit the new auth_type, which decides */
};

/* Longest of what goes into logs, answers and metrics. */
#define RG_DEFINITION_MAX_ID          1024
/* Members of add_headers, and of claim_headers; and the longest value. */
#define RG_DEFINITION_MAX_FIELDS      64
#define RG_DEFINITION_MAX_FIELD_BYTES 8192

/*
 * One definition. json is borrowed (nested no deeper than RG_JSON_MAX_DEPTH), and what it says of
 * ref_number, timestamp, node_name and phx_ref is ignored. The API has one reference, ref_number 0
 * and the time of now; variables that name hosts are looked up with env. Reads the files that
 * proxy.tls names. NULL with every fault in faults, whose pointers begin with prefix.
 */
struct rg_api *rg_definition_read(const json_t *json, enum rg_definition_source source,
                                  rg_getenv_fn *env, const char *prefix, struct rg_faults *faults);

/*
 * The text of PROXY_CONFIG_FILE: a list of definitions or, told by its shape, the route list of
 * 2017 (which is one API). Writes the APIs (references) to *ret, which is allocated, and *ret_n. 0,
 * or RG_EINVAL with every mistake in problems, by JSON pointer and with ids. Lines about what is
 * allowed but never used go to warnings.
 */
int rg_definitions_read(struct rg_str text, rg_getenv_fn *env, struct rg_problems *problems,
                        struct rg_buf *warnings, struct rg_api ***ret, size_t *ret_n);
