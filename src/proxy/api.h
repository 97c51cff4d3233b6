/*
 * api.h - an API definition, checked and ready for use: its endpoints, who may use them, and the
 * service behind them (api-gateway.md section 2; of the 2017 list legacy-channels.md section 14).
 *
 * Immutable and counted: a request that is under way keeps the definition it began with, however
 * often that is changed meanwhile. Texts end with NUL.
 *
 * Thread: building, one; then any.
 */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"
#include "http/upstream.h"
#include "proxy/pattern.h"
#include "proxy/quota.h"
#include "proxy/rewrite.h"

/* Whose manners an API has. */
enum rg_dialect {
    RG_DIALECT_APIS, /* api-gateway.md */
    RG_DIALECT_2017 /* legacy-channels.md 14: the whole list is one API, with one service a route */
};

enum rg_target {
    RG_TARGET_HTTP,
    RG_TARGET_KAFKA,
    RG_TARGET_KINESIS,
    RG_TARGET_NATS
};

enum rg_response_from {
    RG_FROM_HTTP,
    RG_FROM_KAFKA,
    RG_FROM_HTTP_ASYNC,
    RG_FROM_KINESIS,
    RG_FROM_NATS
};

/* As definitions and metrics write them: "http", "kafka", … "http_async". */
extern const char *const rg_target_names[];
extern const char *const rg_response_from_names[];

struct rg_api;

struct rg_endpoint {
    const struct rg_api *api;
    char *id;         /* 2017: method and path */
    char *method;     /* upper case */
    char *path_regex; /* as given; 2017: the path, with its leading slash */
    struct rg_pattern *pattern;
    struct rg_rewrite *rewrite; /* path_replacement; NULL: none */
    bool is_secured;            /* it needs a valid token */
    bool adds_headers;          /* transform_request_headers */
    bool takes_upgrades;        /* "upgrade": protocols may be switched (WebSocket) */
    bool takes_encoded_slashes; /* "encoded_slashes": %2F and %5C may stand in the path */
    enum rg_target target;
    enum rg_response_from response_from;
    char *topic;         /* NULL: none */
    char *schema;        /* NULL: none */
    struct rg_rate rate; /* "rate_limit"; .requests == 0: none */
    char *definition;    /* as it is recorded: the endpoint's JSON; 2017: 15.2's text */

    /* Where it leads; the API's own unless 2017. */
    struct rg_upstream_service *service;
    char *host;        /* for the field host, with the port: "127.0.0.1:9100", "[::1]:80" */
    char *target_text; /* target_url as given, for the log; 2017: the variable's name */
};

struct rg_api_field {
    char *name;  /* lower case */
    char *value; /* of add_headers the value; of claim_headers a JSON pointer into the claims */
};

struct rg_api {
    atomic_uint refs;
    enum rg_dialect dialect;
    char *id; /* 2017: "" */
    char *name;
    bool is_matched;   /* active, and not versioned */
    bool is_versioned; /* "versioned" */

    /* auth */
    bool checks_tokens; /* auth_type is "jwt" */
    bool use_header, use_query;
    char *header_name, *query_name;     /* "" where not used */
    struct rg_api_field *claim_headers; /* "claim_headers": claims that are sent on as fields, which
                                           nobody can bring along */
    size_t claim_headers_n;

    struct rg_api_field *add_headers; /* version_data.default.transform_request_headers */
    size_t add_headers_n;

    /* proxy */
    uint64_t connect_timeout_ms;  /* 0: the variable's */
    uint64_t response_timeout_ms; /* 0: the variable's */
    uint64_t idle_timeout_ms;     /* 0: as response_timeout_ms */
    uint64_t max_body_bytes;      /* of a request; 0: unlimited */
    size_t max_head_bytes;        /* of an answer; 0: the default */
    bool may_retry;

    struct rg_endpoint *endpoints; /* in list order */
    size_t endpoints_n;

    /* What the management API shows (management-api.md 2.2). */
    bool is_active;
    uint64_t ref_number;
    char timestamp[40];  /* ISO 8601 */
    struct rg_buf shown; /* the definition as JSON, with defaults, without what stands in this block
                            and without node_name */
};

struct rg_api *rg_api_ref(struct rg_api *api);
/* Gives up a reference and sets *apip to NULL (NULL is fine). The last one frees all of it. */
void rg_api_unref(struct rg_api **apip);
