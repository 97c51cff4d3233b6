/*
 * config.h - everything the environment may say, checked before anything runs.
 *
 * One immutable snapshot. The rows (config_rows.c for the program, kafka/settings.c for Kafka) are
 * the only place where a variable's name, default, bounds and meaning stand: parsing, `rgate help
 * variables`, the man page, docs/config.md and `rgate check` read them.
 *
 * Thread: made at start-up; read by all.
 */
#pragma once

#include "auth/verifier.h"
#include "base/log.h"
#include "base/option.h"
#include "event/extractor.h"
#include "kafka/settings.h"
#include "proxy/api.h"

struct rg_tls;

struct rg_config {
    /* listeners */
    int64_t inbound_port;       /* INBOUND_PORT, 4000 (0: a free one); PORT is its 2017 name */
    char *inbound_host;         /* INBOUND_HOST; NULL: all addresses */
    int64_t api_http_port;      /* API_HTTP_PORT, 4010 (0: a free one) */
    char *api_http_host;        /* API_HTTP_HOST, 127.0.0.1 */
    int64_t inbound_https_port; /* INBOUND_HTTPS_PORT, 4001 (0: a free one) */
    int64_t api_https_port;     /* API_HTTPS_PORT, 4011 (0: a free one) */
    char *https_certfile;       /* HTTPS_CERTFILE; NULL: HTTPS is off */
    char *https_keyfile;        /* HTTPS_KEYFILE */
    char *https_keyfile_pass;   /* HTTPS_KEYFILE_PASS: secret */
    char *cors;                 /* CORS, *; ORIGIN is its 2017 name */
    bool welcome_page;          /* WELCOME_PAGE, true */

    /* engine */
    int64_t reactors;            /* REACTORS; 0: one per core */
    int64_t client_queue_bytes;  /* CLIENT_QUEUE_BYTES, 1 MiB */
    int64_t inbox_bytes;         /* INBOX_BYTES, 32 MiB: events waiting for one reactor */
    int64_t shutdown_timeout_ms; /* SHUTDOWN_TIMEOUT, 10000 */

    /* HTTP */
    int64_t http_idle_timeout_ms;   /* HTTP_IDLE_TIMEOUT, 60000 */
    int64_t http_header_timeout_ms; /* HTTP_HEADER_TIMEOUT, 10000 */
    int64_t http_write_timeout_ms;  /* HTTP_WRITE_TIMEOUT, 10000 */
    int64_t http_body_min_rate;     /* HTTP_BODY_MIN_RATE, 1024 bytes/s over 10 s */
    int64_t max_event_bytes;        /* MAX_EVENT_BYTES, 8 MiB: body of a published event */
    bool http2;                     /* HTTP2, true */
    int64_t http2_max_streams;      /* HTTP2_MAX_STREAMS, 100 a connection */

    /* client API */
    int64_t heartbeat_ms;                /* HEARTBEAT_INTERVAL, 15000 */
    int64_t longpoll_wait_ms;            /* LONGPOLL_TIMEOUT, 5000 */
    int64_t longpoll_idle_ms;            /* LONGPOLL_IDLE_TIMEOUT, 3600000 */
    int64_t max_subscriptions;           /* MAX_SUBSCRIPTIONS, 1000 a client, constraints counted */
    int64_t max_connections_per_minute;  /* MAX_CONNECTIONS_PER_MINUTE, 5000 */
    int64_t max_connections_per_address; /* MAX_CONNECTIONS_PER_ADDRESS; 0: no limit */
    int64_t max_clients;                 /* MAX_CLIENTS; 0: no limit */
    bool compression;                    /* COMPRESSION, true */
    int64_t compression_min_bytes;       /* COMPRESSION_MIN_BYTES, 1024 */
    char *origins;                       /* ORIGINS, * */
    char *extractors_value;              /* EXTRACTORS: a path or JSON */
    char *node_cookie; /* NODE_COOKIE: secret, key of connection tokens; NULL: random per start */

    /* channels and presence */
    bool channels;                       /* CHANNELS, true */
    char *jwt_user_field;                /* JWT_USER_FIELD, /username */
    char *jwt_roles_field;               /* JWT_ROLES_FIELD, /role */
    struct rg_option_list channel_roles; /* CHANNEL_ROLES, support */
    char *session_role;                  /* SESSION_ROLE, customer */
    int64_t max_channels;                /* MAX_CHANNELS, 100 a socket */
    int64_t channel_message_bytes;       /* CHANNEL_MESSAGE_BYTES, 64 KiB */
    int64_t channel_idle_ms;             /* CHANNEL_IDLE_TIMEOUT, 60000 */
    int64_t channel_heartbeat_ms;        /* CHANNEL_HEARTBEAT_INTERVAL, 10000 */
    int64_t channel_longpoll_wait_ms;    /* CHANNEL_LONGPOLL_TIMEOUT, 10000 */
    int64_t channel_longpoll_idle_ms;    /* CHANNEL_LONGPOLL_IDLE_TIMEOUT, 20000 */
    bool channel_expiry_closes;          /* CHANNEL_EXPIRY_CLOSES, true */
    int64_t presence_interval_ms;        /* PRESENCE_INTERVAL, 50 */

    /* proxy */
    char *proxy_config_file;          /* PROXY_CONFIG_FILE: a path or JSON; NULL: no routes */
    int64_t proxy_recv_timeout_ms;    /* PROXY_RECV_TIMEOUT, 5000 */
    int64_t proxy_body_bytes;         /* PROXY_BODY_BYTES; 0: no limit */
    char *host;                       /* HOST, localhost */
    bool proxy_protocol;              /* PROXY_PROTOCOL, false */
    int64_t proxy_connect_timeout_ms; /* PROXY_CONNECT_TIMEOUT, 8000 */
    int64_t proxy_kafka_response_timeout_ms;           /* PROXY_KAFKA_RESPONSE_TIMEOUT, 5000 */
    int64_t proxy_http_async_response_timeout_ms;      /* PROXY_HTTP_ASYNC_RESPONSE_TIMEOUT, 5000 */
    int64_t proxy_kinesis_response_timeout_ms;         /* PROXY_KINESIS_RESPONSE_TIMEOUT, 5000 */
    int64_t proxy_nats_response_timeout_ms;            /* PROXY_NATS_RESPONSE_TIMEOUT, 60000 */
    struct rg_option_list proxy_kafka_response_topics; /* rig-proxy-response */
    char *proxy_kafka_response_group_id;               /* rig-proxy-response */
    struct rg_option_list trusted_proxies_list;        /* TRUSTED_PROXIES */
    struct rg_option_list forwarded_headers_list;      /* FORWARDED_HEADERS, forwarded */
    struct rg_option_list request_log;                 /* REQUEST_LOG: console, kafka */
    int access_log;                                    /* ACCESS_LOG: enum rg_access_format */
    int64_t access_log_sample;                         /* ACCESS_LOG_SAMPLE, of a million */

    /* tokens and checks */
    char *jwt_alg;                 /* JWT_ALG, HS256 */
    char *jwt_secret_key;          /* JWT_SECRET_KEY as given: see jwt_key */
    char *jwt_jwks;                /* JWT_JWKS: path or URL; NULL: none */
    int64_t jwt_jwks_interval_ms;  /* JWT_JWKS_INTERVAL, 300000 */
    char *jwt_issuer;              /* JWT_ISSUER; NULL: any */
    char *jwt_audience;            /* JWT_AUDIENCE; NULL: any */
    int64_t jwt_leeway_s;          /* JWT_LEEWAY, 0 */
    char *jwt_session_field;       /* JWT_SESSION_FIELD, /jti */
    int64_t jwt_cache_entries;     /* JWT_CACHE_ENTRIES, 10000 */
    char *jwt_cookie;              /* JWT_COOKIE; NULL: none */
    bool jwt_expiry_closes;        /* JWT_EXPIRY_CLOSES, false */
    int64_t jwt_expiry_warning_ms; /* JWT_EXPIRY_WARNING, 60000 */
    int64_t ticket_lifetime_ms;    /* TICKET_LIFETIME, 30000 */
    char *subscription_check;      /* SUBSCRIPTION_CHECK, no_check */
    char *submission_check;        /* SUBMISSION_CHECK, no_check */

    /* logs and metrics */
    int log_level;        /* LOG_LEVEL: enum rg_log_level */
    int log_format;       /* LOG_FMT: enum rg_log_format */
    bool metrics_enabled; /* PROMETHEUS_METRICS_ENABLED */

    struct rg_kafka_settings kafka;

    /* derived */
    struct rg_tls *tls; /* what the HTTPS ports show; NULL: they are closed */
    struct rg_extractors *extractors;
    struct rg_api **apis; /* of PROXY_CONFIG_FILE, references */
    size_t apis_n;
    struct rg_networks *trusted_proxies; /* NULL: none */
    unsigned forwarded_headers;          /* RG_WRITES_* of proxy/outgoing.h */
    char *host_address;                  /* what HOST is: for by=; "unknown" if it has no address */
    struct rg_buf jwt_key;               /* what JWT_SECRET_KEY stands for: the secret, or PEM */
    struct rg_buf warnings;              /* deprecated and retired names in use, one line each */
};

/*
 * Reads and checks everything. Returns a snapshot owned by the caller, or NULL with every problem
 * in problems (end it with rg_problems_done() in both cases).
 */
struct rg_config *rg_config_load(rg_getenv_fn *env, struct rg_problems *problems);
void rg_config_free(struct rg_config **configp);

/* Appends all variables as text for a terminal or as the Markdown of docs/config.md. */
void rg_config_describe(bool is_markdown, struct rg_buf *out);

/* Appends "NAME=value" lines of what is in force; secrets as "***". For `rgate check`. */
void rg_config_dump(const struct rg_config *config, struct rg_buf *out);

/*
 * Finds a file that a variable names: as given, else below priv/ in the working directory, else
 * below priv/ beside the program. Writes its path, PATH_MAX bytes, to path; where there is no such
 * file, value (cut) and false.
 */
bool rg_config_find_file(const char *value, char *path);

/*
 * Reads a path-or-JSON value (configuration.md 2.9): literal JSON if the trimmed value starts with
 * [ or {, otherwise a file. Appends the JSON text to out; RG_ENOTFOUND with why otherwise.
 */
int rg_config_path_or_json(const char *value, struct rg_buf *out, struct rg_why *why);

/* Whether REQUEST_LOG has this logger: "console", "kafka". */
bool rg_config_logs_requests_to(const struct rg_config *config, const char *logger);

/* What the variables say about tokens; blacklist and http are the caller's to add. Borrows from
 * config. */
struct rg_verifier_settings rg_config_verifier(const struct rg_config *config);

/* Whether PROXY_CONFIG_FILE is a route list of 2017; and one with a route that needs a token. */
bool rg_config_is_2017(const struct rg_config *config);
bool rg_config_records_2017(const struct rg_config *config);
