/*
 * config.h - everything the environment may say, checked before anything runs.
 *
 * One immutable snapshot. The rows (config.c for the program, kafka/settings.c for Kafka) are the
 * only place where a variable's name, default, bounds and meaning stand: parsing, `rgate help
 * variables`, the man page, docs/config.md and `rgate check` read them.
 *
 * Thread: made at start-up; read by all.
 */
#pragma once

#include "base/log.h"
#include "base/option.h"
#include "event/extractor.h"
#include "kafka/settings.h"

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

    /* client API */
    int64_t heartbeat_ms;      /* HEARTBEAT_INTERVAL, 15000 */
    int64_t longpoll_wait_ms;  /* LONGPOLL_TIMEOUT, 5000 */
    int64_t longpoll_idle_ms;  /* LONGPOLL_IDLE_TIMEOUT, 3600000 */
    int64_t max_subscriptions; /* MAX_SUBSCRIPTIONS, 1000 a client, constraints counted */
    char *extractors_value;    /* EXTRACTORS: a path or JSON */
    char *node_cookie; /* NODE_COOKIE: secret, key of connection tokens; NULL: random per start */

    /* logs and metrics */
    int log_level;        /* LOG_LEVEL: enum rg_log_level */
    int log_format;       /* LOG_FMT: enum rg_log_format */
    bool metrics_enabled; /* PROMETHEUS_METRICS_ENABLED */

    struct rg_kafka_settings kafka;

    /* derived */
    struct rg_tls *tls; /* what the HTTPS ports show; NULL: they are closed */
    struct rg_extractors *extractors;
    struct rg_buf warnings; /* deprecated and retired names in use, one line each */
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
