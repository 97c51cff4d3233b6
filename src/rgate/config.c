#include "rgate/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/policy.h"
#include "base/alloc.h"
#include "event/projection.h"
#include "http/client.h"
#include "proxy/route_list.h"
#include "rgate/cmd.h"
#include "rgate/https.h"

#define MAX_FILE_BYTES (16 << 20)

#define AT(field) offsetof(struct rg_config, field)
#define MIB       (INT64_C(1) << 20)

#define LISTENERS  "Listeners"
#define ENGINE     "Engine"
#define HTTP       "HTTP"
#define CLIENT_API "Client API"
#define CHANNELS   "Channels and presence"
#define PROXY      "Proxy"
#define TOKENS     "Tokens and checks"
#define LOGS       "Logs and metrics"

static const struct rg_option rows[] = {
    {.name = "INBOUND_PORT",
     .type = RG_OPT_INT,
     .def = "4000",
     .min = 0,
     .max = 65535,
     .offset = AT(inbound_port),
     .section = LISTENERS,
     .help = "Public HTTP port, the one that browsers connect to; 0 takes a free one."},
    {.name = "INBOUND_HOST",
     .type = RG_OPT_STRING,
     .offset = AT(inbound_host),
     .section = LISTENERS,
     .help = "Address the public port listens on; unset means all, IPv4 and IPv6."},
    {.name = "API_HTTP_PORT",
     .type = RG_OPT_INT,
     .def = "4010",
     .min = 0,
     .max = 65535,
     .offset = AT(api_http_port),
     .section = LISTENERS,
     .help = "Internal HTTP port for operators and services; 0 takes a free one."},
    {.name = "API_HTTP_HOST",
     .type = RG_OPT_STRING,
     .def = "127.0.0.1",
     .offset = AT(api_http_host),
     .section = LISTENERS,
     .help = "Address the internal port listens on. It asks nobody for a password: open it to "
             "other machines (0.0.0.0 or ::) only inside a trusted network."},
    {.name = "INBOUND_HTTPS_PORT",
     .type = RG_OPT_INT,
     .def = "4001",
     .min = 0,
     .max = 65535,
     .offset = AT(inbound_https_port),
     .section = LISTENERS,
     .help = "Public HTTPS port, open where a certificate is set; 0 takes a free one."},
    {.name = "API_HTTPS_PORT",
     .type = RG_OPT_INT,
     .def = "4011",
     .min = 0,
     .max = 65535,
     .offset = AT(api_https_port),
     .section = LISTENERS,
     .help = "Internal HTTPS port, open where a certificate is set; 0 takes a free one. Its "
             "address is API_HTTP_HOST."},
    {.name = "HTTPS_CERTFILE",
     .type = RG_OPT_STRING,
     .offset = AT(https_certfile),
     .section = LISTENERS,
     .help = "PEM file with the server's certificate and those that lead from it to a trusted "
             "one; opens both HTTPS ports. SIGHUP reads certificate and key again."},
    {.name = "HTTPS_KEYFILE",
     .type = RG_OPT_STRING,
     .offset = AT(https_keyfile),
     .section = LISTENERS,
     .help = "PEM file with the certificate's private key."},
    {.name = "HTTPS_KEYFILE_PASS",
     .type = RG_OPT_STRING,
     .flags = RG_OPT_SECRET,
     .offset = AT(https_keyfile_pass),
     .section = LISTENERS,
     .help = "Pass phrase of that key, if it is encrypted."},
    {.name = "CORS",
     .type = RG_OPT_STRING,
     .def = "*",
     .offset = AT(cors),
     .section = LISTENERS,
     .help = "Value of the access-control-allow-origin header, copied literally."},
    {.name = "WELCOME_PAGE",
     .type = RG_OPT_BOOL,
     .def = "true",
     .offset = AT(welcome_page),
     .section = LISTENERS,
     .help = "Whether / answers with a page that shows how to start."},

    {.name = "REACTORS",
     .type = RG_OPT_INT,
     .def = "0",
     .min = 0,
     .max = 64,
     .offset = AT(reactors),
     .section = ENGINE,
     .help =
         "Number of event loops that serve clients; 0 means one per processor core, at most 64."},
    {.name = "CLIENT_QUEUE_BYTES",
     .type = RG_OPT_BYTES,
     .def = "1048576",
     .min = 4096,
     .max = 1024 * MIB,
     .offset = AT(client_queue_bytes),
     .section = ENGINE,
     .help = "What may wait for one client; a client that falls further behind is closed."},
    {.name = "INBOX_BYTES",
     .type = RG_OPT_BYTES,
     .def = "33554432",
     .min = 65536,
     .max = 65536 * MIB,
     .offset = AT(inbox_bytes),
     .section = ENGINE,
     .help = "What may wait for one event loop before consuming from Kafka pauses."},
    {.name = "SHUTDOWN_TIMEOUT",
     .type = RG_OPT_MS,
     .def = "10000",
     .min = 0,
     .max = INT32_MAX,
     .offset = AT(shutdown_timeout_ms),
     .section = ENGINE,
     .help = "How long a requested stop waits for clients and Kafka."},

    {.name = "HTTP_IDLE_TIMEOUT",
     .type = RG_OPT_MS,
     .def = "60000",
     .min = 1,
     .max = INT32_MAX,
     .offset = AT(http_idle_timeout_ms),
     .section = HTTP,
     .help = "How long a connection without a request stays open."},
    {.name = "HTTP_HEADER_TIMEOUT",
     .type = RG_OPT_MS,
     .def = "10000",
     .min = 1,
     .max = INT32_MAX,
     .offset = AT(http_header_timeout_ms),
     .section = HTTP,
     .help = "How long a client may take to send the complete head of a request."},
    {.name = "HTTP_WRITE_TIMEOUT",
     .type = RG_OPT_MS,
     .def = "10000",
     .min = 1,
     .max = INT32_MAX,
     .offset = AT(http_write_timeout_ms),
     .section = HTTP,
     .help = "How long a client may take nothing while bytes are waiting for it."},
    {.name = "HTTP_BODY_MIN_RATE",
     .type = RG_OPT_BYTES,
     .def = "1024",
     .min = 0,
     .max = 1024 * MIB,
     .offset = AT(http_body_min_rate),
     .section = HTTP,
     .help = "Bytes per second, over 10 seconds, below which the sender of a request body is "
             "closed; 0 means never."},
    {.name = "MAX_EVENT_BYTES",
     .type = RG_OPT_BYTES,
     .def = "8388608",
     .min = 1024,
     .max = 1024 * MIB,
     .offset = AT(max_event_bytes),
     .section = HTTP,
     .help = "Longest body of a published event."},
    {.name = "HTTP2",
     .type = RG_OPT_BOOL,
     .def = "true",
     .offset = AT(http2),
     .section = HTTP,
     .help = "Whether clients may speak HTTP/2, over TLS and, with prior knowledge, without."},
    {.name = "HTTP2_MAX_STREAMS",
     .type = RG_OPT_INT,
     .def = "100",
     .min = 1,
     .max = 100000,
     .offset = AT(http2_max_streams),
     .section = HTTP,
     .help = "Most requests and event streams at once on one HTTP/2 connection."},

    {.name = "HEARTBEAT_INTERVAL",
     .type = RG_OPT_MS,
     .def = "15000",
     .min = 1,
     .max = INT32_MAX,
     .offset = AT(heartbeat_ms),
     .section = CLIENT_API,
     .help = "Time between two heartbeats on an SSE or WebSocket connection."},
    {.name = "LONGPOLL_TIMEOUT",
     .type = RG_OPT_MS,
     .def = "5000",
     .min = 0,
     .max = INT32_MAX,
     .offset = AT(longpoll_wait_ms),
     .section = CLIENT_API,
     .help = "How long a long-polling request without events waits for the first."},
    {.name = "LONGPOLL_IDLE_TIMEOUT",
     .type = RG_OPT_MS,
     .def = "3600000",
     .min = 1,
     .max = INT32_MAX,
     .offset = AT(longpoll_idle_ms),
     .section = CLIENT_API,
     .help = "How long a long-polling client is remembered between its requests."},
    {.name = "MAX_SUBSCRIPTIONS",
     .type = RG_OPT_INT,
     .def = "1000",
     .min = 1,
     .max = 1000000,
     .offset = AT(max_subscriptions),
     .section = CLIENT_API,
     .help = "Most subscriptions of one client, constraints counted."},
    {.name = "MAX_CONNECTIONS_PER_MINUTE",
     .type = RG_OPT_INT,
     .def = "5000",
     .min = 0,
     .max = INT64_C(1000000000),
     .offset = AT(max_connections_per_minute),
     .section = CLIENT_API,
     .help = "Most new SSE, WebSocket and long-polling connections in a minute of the clock; more "
             "are refused with 429."},
    {.name = "MAX_CONNECTIONS_PER_ADDRESS",
     .type = RG_OPT_INT,
     .def = "0",
     .min = 0,
     .max = INT32_MAX,
     .offset = AT(max_connections_per_address),
     .section = CLIENT_API,
     .help = "Most open SSE, WebSocket and long-polling connections of one address; 0 means no "
             "limit, as behind a proxy, where all have the proxy's address."},
    {.name = "MAX_CLIENTS",
     .type = RG_OPT_INT,
     .def = "0",
     .min = 0,
     .max = INT32_MAX,
     .offset = AT(max_clients),
     .section = CLIENT_API,
     .help = "Most open SSE, WebSocket and long-polling connections altogether; 0 means no limit "
             "but that of the descriptors."},
    {.name = "COMPRESSION",
     .type = RG_OPT_BOOL,
     .def = "true",
     .offset = AT(compression),
     .section = CLIENT_API,
     .help =
         "Whether events are sent compressed to clients that accept it: gzip for SSE, "
         "permessage-deflate for WebSocket. An event is compressed for all of them together: at most "
         "once per event loop, however many they are."},
    {.name = "COMPRESSION_MIN_BYTES",
     .type = RG_OPT_BYTES,
     .def = "1024",
     .min = 0,
     .max = 1024 * MIB,
     .offset = AT(compression_min_bytes),
     .section = CLIENT_API,
     .help = "Events shorter than this are never compressed."},
    {.name = "ORIGINS",
     .type = RG_OPT_STRING,
     .def = "*",
     .offset = AT(origins),
     .section = CLIENT_API,
     .help = "Origins whose pages may open WebSockets, and use a cookie as token, separated by "
             "commas; * means any."},
    {.name = "EXTRACTORS",
     .type = RG_OPT_STRING,
     .offset = AT(extractors_value),
     .section = CLIENT_API,
     .help = "Which fields of which event types subscriptions may ask for: JSON, or the path of "
             "a JSON file."},
    {.name = "NODE_COOKIE",
     .type = RG_OPT_STRING,
     .flags = RG_OPT_SECRET,
     .offset = AT(node_cookie),
     .section = CLIENT_API,
     .help = "Key of the connection tokens; unset means a random one per start."},

    {.name = "CHANNELS",
     .type = RG_OPT_BOOL,
     .def = "true",
     .offset = AT(channels),
     .section = CHANNELS,
     .help = "Whether /socket and /rg answer: channel sockets (Phoenix Channels) and the API for "
             "their sessions."},
    {.name = "JWT_USER_FIELD",
     .type = RG_OPT_STRING,
     .def = "/username",
     .offset = AT(jwt_user_field),
     .section = CHANNELS,
     .help = "JSON pointer to the claim that names the user, or just the claim's name."},
    {.name = "JWT_ROLES_FIELD",
     .type = RG_OPT_STRING,
     .def = "/role",
     .offset = AT(jwt_roles_field),
     .section = CHANNELS,
     .help = "JSON pointer to the claim that lists the user's roles (a list of strings, or one "
             "string), or just the claim's name."},
    {.name = "CHANNEL_ROLES",
     .type = RG_OPT_LIST,
     .def = "support",
     .offset = AT(channel_roles),
     .section = CHANNELS,
     .help = "Roles whose users may join the channel of any user and of any role, separated by "
             "commas."},
    {.name = "SESSION_ROLE",
     .type = RG_OPT_STRING,
     .def = "customer",
     .offset = AT(session_role),
     .section = CHANNELS,
     .help = "Role whose present users /rg/sessions lists."},
    {.name = "MAX_CHANNELS",
     .type = RG_OPT_INT,
     .def = "100",
     .min = 1,
     .max = 10000,
     .offset = AT(max_channels),
     .section = CHANNELS,
     .help = "Most channels that one socket may have joined at a time."},
    {.name = "CHANNEL_MESSAGE_BYTES",
     .type = RG_OPT_BYTES,
     .def = "65536",
     .min = 1024,
     .max = 64 * MIB,
     .offset = AT(channel_message_bytes),
     .section = CHANNELS,
     .help = "Longest message that a channel socket may send; a longer one ends the socket."},
    {.name = "CHANNEL_IDLE_TIMEOUT",
     .type = RG_OPT_MS,
     .def = "60000",
     .min = 100,
     .max = INT32_MAX,
     .offset = AT(channel_idle_ms),
     .section = CHANNELS,
     .help = "How long a channel WebSocket may send nothing before it is closed; phoenix.js sends "
             "a heartbeat every 30 seconds."},
    {.name = "CHANNEL_HEARTBEAT_INTERVAL",
     .type = RG_OPT_MS,
     .def = "10000",
     .min = 100,
     .max = INT32_MAX,
     .offset = AT(channel_heartbeat_ms),
     .section = CHANNELS,
     .help = "Time between two heartbeats on an SSE stream of /socket/sse."},
    {.name = "CHANNEL_LONGPOLL_TIMEOUT",
     .type = RG_OPT_MS,
     .def = "10000",
     .min = 0,
     .max = INT32_MAX,
     .offset = AT(channel_longpoll_wait_ms),
     .section = CHANNELS,
     .help = "How long a request to /socket/longpoll waits for the first message."},
    {.name = "CHANNEL_LONGPOLL_IDLE_TIMEOUT",
     .type = RG_OPT_MS,
     .def = "20000",
     .min = 100,
     .max = INT32_MAX,
     .offset = AT(channel_longpoll_idle_ms),
     .section = CHANNELS,
     .help = "How long after its last request a long-polling channel socket is ended."},
    {.name = "CHANNEL_EXPIRY_CLOSES",
     .type = RG_OPT_BOOL,
     .def = "true",
     .offset = AT(channel_expiry_closes),
     .section = CHANNELS,
     .help = "Whether a channel socket ends when its token expires; its channels see an error that "
             "says so first."},
    {.name = "PRESENCE_INTERVAL",
     .type = RG_OPT_MS,
     .def = "50",
     .min = 0,
     .max = 60000,
     .offset = AT(presence_interval_ms),
     .section = CHANNELS,
     .help = "Least time between two presence_diff messages on one channel: the first change is "
             "told at once, those that follow within this time together."},

    {.name = "PROXY_CONFIG_FILE",
     .type = RG_OPT_STRING,
     .offset = AT(proxy_config_file),
     .section = PROXY,
     .help = "Routes to services behind the gateway, a path or JSON: a list of objects with host "
             "(the name of the variable that has it; localhost where that is unset), port, path "
             "(in which {id} stands for any segment), method and auth (whether a token is "
             "needed). The first that matches counts."},
    {.name = "PROXY_RECV_TIMEOUT",
     .type = RG_OPT_MS,
     .def = "5000",
     .min = 1,
     .max = INT32_MAX,
     .offset = AT(proxy_recv_timeout_ms),
     .section = PROXY,
     .help = "How long a service may take to begin its answer, and to go on with it."},
    {.name = "PROXY_BODY_BYTES",
     .type = RG_OPT_BYTES,
     .def = "8388608",
     .min = 0,
     .max = 1024 * MIB,
     .offset = AT(proxy_body_bytes),
     .section = PROXY,
     .help = "Longest body of a request to a service."},

    {.name = "JWT_ALG",
     .type = RG_OPT_STRING,
     .def = "HS256",
     .offset = AT(jwt_alg),
     .section = TOKENS,
     .help = "Algorithm of JWT_SECRET_KEY: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, "
             "PS512, ES256, ES384, ES512 or EdDSA. A token with another one is refused."},
    {.name = "JWT_SECRET_KEY",
     .type = RG_OPT_STRING,
     .flags = RG_OPT_SECRET,
     .offset = AT(jwt_secret_key),
     .section = TOKENS,
     .help = "Key that verifies tokens: the secret of an HS algorithm; otherwise a public key or "
             "certificate as PEM, or the path of one. file: in front of a path reads any of them "
             "from a file. Without it and without JWT_JWKS no token is valid."},
    {.name = "JWT_JWKS",
     .type = RG_OPT_STRING,
     .offset = AT(jwt_jwks),
     .section = TOKENS,
     .help = "Key set (RFC 7517) from which a token's kid selects the key: the path of a file, or "
             "an http or https URL."},
    {.name = "JWT_JWKS_INTERVAL",
     .type = RG_OPT_MS,
     .def = "300000",
     .min = 1000,
     .max = INT32_MAX,
     .offset = AT(jwt_jwks_interval_ms),
     .section = TOKENS,
     .help = "Time between two refreshes of JWT_JWKS; an unknown kid asks for one earlier."},
    {.name = "JWT_ISSUER",
     .type = RG_OPT_STRING,
     .offset = AT(jwt_issuer),
     .section = TOKENS,
     .help = "Value that the claim iss of a token must have; unset means any."},
    {.name = "JWT_AUDIENCE",
     .type = RG_OPT_STRING,
     .offset = AT(jwt_audience),
     .section = TOKENS,
     .help = "Value that the claim aud of a token must be or contain; unset means any."},
    {.name = "JWT_LEEWAY",
     .type = RG_OPT_INT,
     .def = "0",
     .min = 0,
     .max = 3600,
     .offset = AT(jwt_leeway_s),
     .section = TOKENS,
     .help = "Seconds by which the clock of who makes tokens may differ from ours."},
    {.name = "JWT_SESSION_FIELD",
     .type = RG_OPT_STRING,
     .def = "/jti",
     .offset = AT(jwt_session_field),
     .section = TOKENS,
     .help = "JSON pointer to the claim that names the session, for the session blacklist."},
    {.name = "JWT_CACHE_ENTRIES",
     .type = RG_OPT_INT,
     .def = "10000",
     .min = 0,
     .max = 10000000,
     .offset = AT(jwt_cache_entries),
     .section = TOKENS,
     .help = "How many verified tokens are remembered, so that a signature is checked once."},
    {.name = "JWT_COOKIE",
     .type = RG_OPT_STRING,
     .offset = AT(jwt_cookie),
     .section = TOKENS,
     .help = "Name of a cookie that may carry the token of a connection; unset means none. Set "
             "ORIGINS with it: browsers send cookies for every page."},
    {.name = "JWT_EXPIRY_CLOSES",
     .type = RG_OPT_BOOL,
     .def = "false",
     .offset = AT(jwt_expiry_closes),
     .section = TOKENS,
     .help = "Whether a connection ends when its token expires. Recommended; off because clients "
             "of the Reactive Interaction Gateway do not expect it."},
    {.name = "JWT_EXPIRY_WARNING",
     .type = RG_OPT_MS,
     .def = "60000",
     .min = 0,
     .max = INT32_MAX,
     .offset = AT(jwt_expiry_warning_ms),
     .section = TOKENS,
     .help = "How long before that end the client is told, to renew its token."},
    {.name = "TICKET_LIFETIME",
     .type = RG_OPT_MS,
     .def = "30000",
     .min = 1000,
     .max = 3600000,
     .offset = AT(ticket_lifetime_ms),
     .section = TOKENS,
     .help = "How long a one-time ticket from /_rig/v1/tickets can be used."},
    {.name = "SUBSCRIPTION_CHECK",
     .type = RG_OPT_STRING,
     .def = "no_check",
     .offset = AT(subscription_check),
     .section = TOKENS,
     .help = "Who may subscribe: no_check (everybody), jwt_validation (who has a valid token), or "
             "the URL of a service that decides."},
    {.name = "SUBMISSION_CHECK",
     .type = RG_OPT_STRING,
     .def = "no_check",
     .offset = AT(submission_check),
     .section = TOKENS,
     .help = "Who may publish events: the same choices."},

    {.name = "LOG_LEVEL",
     .type = RG_OPT_CHOICE,
     .def = "warn",
     .choices = "debug|info|warn,warning|error",
     .offset = AT(log_level),
     .section = LOGS,
     .help = "The least important lines that are written."},
    {.name = "LOG_FMT",
     .type = RG_OPT_CHOICE,
     .def = "erlang",
     .choices = "erlang,text|json|gcl",
     .offset = AT(log_format),
     .section = LOGS,
     .help = "Form of the log lines: text (erlang), JSON, or the JSON of Google Cloud Logging."},
    {.name = "PROMETHEUS_METRICS_ENABLED",
     .type = RG_OPT_BOOL,
     .def = "true",
     .offset = AT(metrics_enabled),
     .section = LOGS,
     .help = "Whether /metrics of the internal port answers."},
};

/* Names of 2017: used where the successor is unset. KAFKA_HOSTS is a row of kafka/settings.c. */
static const struct seed_name {
    const char *successor;
    struct rg_option row;
} seed_names[] = {
    {"INBOUND_PORT",
     {.name = "PORT",
      .type = RG_OPT_INT,
      .def = "4000",
      .min = 0,
      .max = 65535,
      .offset = AT(inbound_port)}},
    {"CORS", {.name = "ORIGIN", .type = RG_OPT_STRING, .def = "*", .offset = AT(cors)}},
};

#define NOTHING "nothing replaces it"
#define FIELDS  "use EXTRACTORS"

static const struct {
    const char *name;
    const char *instead;
} retired_names[] = {
    {"API_PORT", "use API_HTTP_PORT"},
    {"KAFKA_ENABLED", "Kafka is on when KAFKA_BROKERS is set"},
    {"KAFKA_CONSUMER_GROUP", "use KAFKATOFILTER_KAFKA_GROUP_ID"},
    {"KAFKA_GROUP_ID", "use KAFKATOFILTER_KAFKA_GROUP_ID"},
    {"KAFKATOHTTP_KAFKA_GROUP_ID", NOTHING},
    {"FIREHOSE_KAFKA_HTTP_TARGETS", NOTHING},
    {"FIREHOSE_KAFKA_SOURCE_TOPICS", NOTHING},
    {"PROXY_KAFKA_REQUEST_TOPIC", "the endpoint names its topic"},
    {"PROXY_KAFKA_REQUEST_AVRO", "the endpoint names its schema"},
    {"PROXY_KINESIS_REQUEST_STREAM", "the endpoint names its topic"},
    {"RATE_LIMIT_ENABLED", NOTHING},
    {"RATE_LIMIT_PER_IP", NOTHING},
    {"RATE_LIMIT_AVG_RATE_PER_SEC", NOTHING},
    {"RATE_LIMIT_BURST_SIZE", NOTHING},
    {"RATE_LIMIT_SWEEP_INTERVAL_MS", NOTHING},
    {"KAFKA_USER_FIELD", FIELDS},
    {"MESSAGE_USER_FIELD", FIELDS},
    {"PRIVILEGED_ROLES", "use CHANNEL_ROLES"},
    {"JWT_BLACKLIST_DEFAULT_EXPIRY_HOURS", "give validityInSeconds with each entry"},
};

/* ----------------------------------------------------------- seed and retired */

static bool is_given(const char *value)
{
    return value != NULL && value[strspn(value, " \t\r\n\v\f")] != '\0';
}

static void apply_seed_name(const struct seed_name *seed, rg_getenv_fn *env,
                            struct rg_config *config, struct rg_problems *problems)
{
    const char *old = env(seed->row.name);
    const char *successor = env(seed->successor);

    if (!is_given(old))
        return;
    if (!is_given(successor)) {
        rg_options_done(&seed->row, 1, config);
        rg_options_parse(&seed->row, 1, env, config, problems);
    } else if (strcmp(old, successor) != 0) {
        rg_buf_addf(&config->warnings, "%s and %s differ: %s is used, %s is ignored\n",
                    seed->row.name, seed->successor, seed->successor, seed->row.name);
        return;
    }
    rg_buf_addf(&config->warnings, "%s is deprecated: use %s\n", seed->row.name, seed->successor);
}

static void warn_of_retired_names(rg_getenv_fn *env, struct rg_config *config)
{
    for (size_t i = 0; i < RG_COUNT_OF(retired_names); i++) {
        if (is_given(env(retired_names[i].name)))
            rg_buf_addf(&config->warnings, "%s has no effect any more: %s\n", retired_names[i].name,
                        retired_names[i].instead);
    }
}

/* --------------------------------------------------------------- path or JSON */

static int read_all(int fd, size_t n, struct rg_buf *out)
{
    char *p = rg_buf_reserve(out, n);

    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, p + at, n - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break; /* shorter than it was a moment ago */
        at += (size_t)got;
        out->n += (size_t)got;
    }
    return 0;
}

static int read_file(const char *path, struct rg_buf *out, struct rg_why *why)
{
    struct stat st;
    int err;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        err = -errno;
        return rg_why_set(why, err, "", "the file %s cannot be read: %s", path, rg_strerror(err));
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        err = rg_why_set(why, RG_EINVAL, "", "%s is not a regular file", path);
    else if (st.st_size > MAX_FILE_BYTES)
        err = rg_why_set(why, RG_EINVAL, "", "the file %s is longer than %d MiB", path,
                         MAX_FILE_BYTES >> 20);
    else if ((err = read_all(fd, (size_t)st.st_size, out)) < 0)
        rg_why_set(why, err, "", "the file %s cannot be read: %s", path, rg_strerror(err));
    close(fd);
    return err;
}

/* Writes <directory of the program>/priv/<value>; false if that is not known or too long. */
static bool beside_program(const char *value, char path[PATH_MAX])
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

    if (n <= 0)
        return false;
    program[n] = '\0';
    *strrchr(program, '/') = '\0';
    return snprintf(path, PATH_MAX, "%s/priv/%s", program, value) < PATH_MAX;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool rg_config_find_file(const char *value, char *path)
{
    if (exists(value) || value[0] == '/') {
        snprintf(path, PATH_MAX, "%s", value);
        return exists(value);
    }
    if (snprintf(path, PATH_MAX, "priv/%s", value) < PATH_MAX && exists(path))
        return true;
    if (beside_program(value, path) && exists(path))
        return true;
    snprintf(path, PATH_MAX, "%s", value);
    return false;
}

int rg_config_path_or_json(const char *value, struct rg_buf *out, struct rg_why *why)
{
    char path[PATH_MAX];
    const char *start = value + strspn(value, " \t\r\n\v\f");

    if (*start == '[' || *start == '{') {
        rg_buf_add_c(out, value);
        return 0;
    }
    if (!rg_config_find_file(value, path))
        return rg_why_set(why, RG_ENOTFOUND, "",
                          "is not JSON (does not start with [ or {), and there is no such file");
    return read_file(path, out, why) == 0 ? 0 : RG_ENOTFOUND;
}

/* -------------------------------------------------------------------- loading */

/* A variable with a wrong value has its default, which says nothing about the others. */
static bool has_problem(const struct rg_problems *problems, const char *name)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf part = {0};

    rg_buf_addf(&part, " error: %s: ", name);
    return problems->n > 0 && memmem(problems->lines.p, problems->lines.n, part.p, part.n) != NULL;
}

static void check_ports(const struct rg_config *config, rg_getenv_fn *env,
                        struct rg_problems *problems)
{
    const bool is_seed = !is_given(env("INBOUND_PORT")) && is_given(env("PORT"));
    const struct {
        const char *name;
        int64_t port;
    } ports[] = {{is_seed ? "PORT" : "INBOUND_PORT", config->inbound_port},
                 {"API_HTTP_PORT", config->api_http_port},
                 {"INBOUND_HTTPS_PORT", config->inbound_https_port},
                 {"API_HTTPS_PORT", config->api_https_port}};
    const size_t n = config->https_certfile != NULL ? 4 : 2; /* without, HTTPS opens no port */
    char value[24];

    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n; k++) {
            if (ports[i].port == 0 || ports[i].port != ports[k].port ||
                has_problem(problems, ports[i].name) || has_problem(problems, ports[k].name))
                continue;
            snprintf(value, sizeof(value), "%lld", (long long)ports[i].port);
            rg_problem_add(problems, ports[i].name, value, "must differ from %s", ports[k].name);
        }
    }
}

static void check_cors(const struct rg_config *config, rg_getenv_fn *env,
                       struct rg_problems *problems)
{
    const char *name = is_given(env("CORS")) || !is_given(env("ORIGIN")) ? "CORS" : "ORIGIN";

    for (const char *p = config->cors; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            rg_problem_add(problems, name, config->cors,
                           "must not contain line ends or other control characters");
            return;
        }
    }
}

static void load_extractors(struct rg_config *config, struct rg_problems *problems)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf json = {0};
    struct rg_why why;

    if (config->extractors_value == NULL) {
        config->extractors = rg_extractors_new(rg_str_c(NULL), problems);
        return;
    }
    if (rg_config_path_or_json(config->extractors_value, &json, &why) < 0) {
        rg_problem_add(problems, "EXTRACTORS", config->extractors_value, "%s", why.text);
        return;
    }
    rg_buf_reserve(&json, 1); /* an empty file is not the same as no extractors */
    config->extractors = rg_extractors_new(rg_buf_str(&json), problems);
}

/* ---- tokens ---- */

/* PEM text begins so; what does not is a path. */
static bool is_pem(const char *value)
{
    return strncmp(value, "-----BEGIN", 10) == 0;
}

/*
 * The key that JWT_SECRET_KEY stands for. A secret is taken as it is; "file:" reads a file whatever
 * the algorithm, and a key pair's public half may be given as a bare path.
 */
static int read_key(struct rg_config *config, struct rg_why *why)
{
    const char *value = config->jwt_secret_key;
    bool is_secret = strncmp(config->jwt_alg, "HS", 2) == 0;

    if (value == NULL)
        return 0;
    if (strncmp(value, "file:", 5) == 0) {
        int err = read_file(value + 5, &config->jwt_key, why);
        /* Editors end a file with a line end; nobody means it to be part of a secret. */
        while (err == 0 && is_secret && config->jwt_key.n > 0 &&
               config->jwt_key.p[config->jwt_key.n - 1] == '\n')
            config->jwt_key.n--;
        return err;
    }
    if (!is_secret && !is_pem(value) && strlen(value) < PATH_MAX && access(value, F_OK) == 0)
        return read_file(value, &config->jwt_key, why);
    rg_buf_add_c(&config->jwt_key, value);
    return 0;
}

static const char *value_of(const struct rg_config *config, const char *variable)
{
    if (strcmp(variable, "JWT_ALG") == 0)
        return config->jwt_alg;
    if (strcmp(variable, "JWT_JWKS") == 0)
        return config->jwt_jwks;
    return NULL; /* a secret is never shown */
}

/* A key that does not work is found at the start, not by the first client. */
static void check_keys(const struct rg_config *config, struct rg_problems *problems)
{
    struct rg_verifier_settings settings = rg_config_verifier(config);
    struct rg_why why = {0};

    if (settings.jwks != NULL && rg_http_client_is_url(rg_str_c(settings.jwks)))
        settings.jwks = NULL; /* fetched later, and nothing waits for it */
    struct rg_verifier *verifier = rg_verifier_new(&settings, &why);
    if (verifier == NULL)
        rg_problem_add(problems, why.place, value_of(config, why.place), "%s", why.text);
    rg_verifier_free(&verifier);
}

static void check_policy(const struct rg_config *config, const char *name, const char *value,
                         struct rg_problems *problems)
{
    struct rg_policy policy;
    struct rg_why why = {0};

    if (rg_policy_init(&policy, name, value, NULL, &why) < 0)
        rg_problem_add(problems, name, value, "%s", why.text);
    else if (policy.kind == RG_POLICY_TOKEN && config->jwt_key.n == 0 && config->jwt_jwks == NULL)
        rg_problem_add(problems, name, value,
                       "needs a key to check tokens with: set JWT_SECRET_KEY or JWT_JWKS");
}

static bool is_algorithm(const char *alg)
{
    struct rg_str rest = rg_str_c(rg_verifier_algorithms);

    while (rest.p != NULL) {
        if (rg_str_eq(rg_str_split(&rest, ','), rg_str_c(alg)))
            return true;
    }
    return false;
}

/* What does not begin with / is the name of a claim. */
static void check_claim(const char *name, const char *field, struct rg_problems *problems)
{
    struct rg_projection *projection = rg_projection_new();

    if (field[0] == '/' && rg_projection_add(projection, rg_str_c(field)) < 0)
        rg_problem_add(problems, name, field,
                       "is not a JSON pointer: ~ must be followed by 0 or 1");
    rg_projection_free(&projection);
}

static void load_tokens(struct rg_config *config, struct rg_problems *problems)
{
    struct rg_why why = {0};

    if (config->jwt_session_field[0] != '/')
        rg_problem_add(problems, "JWT_SESSION_FIELD", config->jwt_session_field,
                       "must be a JSON pointer, which begins with /");
    check_claim("JWT_USER_FIELD", config->jwt_user_field, problems);
    check_claim("JWT_ROLES_FIELD", config->jwt_roles_field, problems);
    if (!is_algorithm(config->jwt_alg))
        rg_problem_add(problems, "JWT_ALG", config->jwt_alg, "must be one of %s",
                       rg_verifier_algorithms);
    else if (config->jwt_secret_key == NULL && config->jwt_jwks == NULL &&
             strncmp(config->jwt_alg, "HS", 2) != 0)
        rg_problem_add(problems, "JWT_ALG", config->jwt_alg,
                       "needs a public key or certificate in JWT_SECRET_KEY");
    else if (read_key(config, &why) < 0)
        rg_problem_add(problems, "JWT_SECRET_KEY", NULL, "%s", why.text);
    else if (!has_problem(problems, "JWT_SESSION_FIELD"))
        check_keys(config, problems);
    check_policy(config, "SUBSCRIPTION_CHECK", config->subscription_check, problems);
    check_policy(config, "SUBMISSION_CHECK", config->submission_check, problems);
    if (config->jwt_key.n == 0 && config->jwt_jwks == NULL)
        rg_buf_add_c(&config->warnings, "no token is valid: neither JWT_SECRET_KEY nor JWT_JWKS "
                                        "is set\n");
    if (config->jwt_cookie != NULL && strcmp(config->origins, "*") == 0)
        rg_buf_add_c(&config->warnings,
                     "JWT_COOKIE is set and ORIGINS is not: pages of any origin can use their "
                     "visitors' cookies\n");
}

/* ---- routes ---- */

static void load_routes(struct rg_config *config, rg_getenv_fn *env, struct rg_problems *problems)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf json = {0};
    const char *value = config->proxy_config_file;
    struct rg_why why = {0};

    if (value == NULL)
        return;
    if (rg_config_path_or_json(value, &json, &why) < 0) {
        rg_problem_add(problems, RG_ROUTE_LIST_VARIABLE, value, "%s", why.text);
        return;
    }
    config->routes = rg_route_list_read(rg_buf_str(&json), env, problems, &config->warnings);
    if (config->routes == NULL)
        return;
    if (rg_proxy_routes_count(config->routes) == 0)
        rg_proxy_routes_free(&config->routes);
    else if (rg_proxy_routes_need_tokens(config->routes) && config->jwt_secret_key == NULL &&
             config->jwt_jwks == NULL)
        rg_problem_add(problems, RG_ROUTE_LIST_VARIABLE, NULL,
                       "routes with auth need a key to check tokens with: set JWT_SECRET_KEY or "
                       "JWT_JWKS");
}

/* legacy-channels.md 11.7: records of users' requests are messages to them, as they were in 2017.
 */
static void complete_log_topic(struct rg_config *config)
{
    const char *topic = config->routes != NULL ? "message" : "rig-request-log";

    if (config->kafka.log_topic == NULL)
        config->kafka.log_topic = rg_strndup(topic, strlen(topic));
}

struct rg_verifier_settings rg_config_verifier(const struct rg_config *config)
{
    return (struct rg_verifier_settings){
        .alg = config->jwt_alg,
        .key = rg_buf_str(&config->jwt_key),
        .jwks = config->jwt_jwks,
        .jwks_interval_ms = (uint64_t)config->jwt_jwks_interval_ms,
        .issuer = config->jwt_issuer,
        .audience = config->jwt_audience,
        .leeway_s = config->jwt_leeway_s,
        .session_field = config->jwt_session_field,
        .cache_entries = (size_t)config->jwt_cache_entries,
    };
}

struct rg_config *rg_config_load(rg_getenv_fn *env, struct rg_problems *problems)
{
    RG_CLEANUP(rg_config_free) struct rg_config *config = rg_zalloc(sizeof(*config));

    rg_options_parse(rows, RG_COUNT_OF(rows), env, config, problems);
    for (size_t i = 0; i < RG_COUNT_OF(seed_names); i++)
        apply_seed_name(&seed_names[i], env, config, problems);
    warn_of_retired_names(env, config);
    check_ports(config, env, problems);
    check_cors(config, env, problems);
    load_extractors(config, problems);
    load_tokens(config, problems);
    rg_https_load(config, problems);

    rg_options_parse(rg_kafka_options, rg_kafka_options_n, env, &config->kafka, problems);
    rg_kafka_settings_check(&config->kafka, problems);
    load_routes(config, env, problems);
    complete_log_topic(config);
    return problems->n == 0 ? RG_STEAL(config) : NULL;
}

void rg_config_free(struct rg_config **configp)
{
    struct rg_config *config = *configp;

    if (config == NULL)
        return;
    rg_options_done(rows, RG_COUNT_OF(rows), config);
    rg_options_done(rg_kafka_options, rg_kafka_options_n, &config->kafka);
    rg_extractors_free(&config->extractors);
    rg_proxy_routes_free(&config->routes);
    rg_buf_done(&config->jwt_key);
    rg_tls_free(&config->tls);
    rg_buf_done(&config->warnings);
    rg_free(config);
    *configp = NULL;
}

static const char *process_env(const char *name)
{
    return getenv(name);
}

static void log_warnings(const struct rg_config *config)
{
    struct rg_str rest = rg_buf_str(&config->warnings);

    while (rest.n > 0)
        rg_log_warn("configuration warning", RG_FSTR("warning", rg_str_split(&rest, '\n')));
    rg_kafka_settings_warn(&config->kafka);
    if (config->tls != NULL)
        rg_https_warn(config->tls);
}

struct rg_config *rg_cmd_load_config(void)
{
    struct rg_problems problems = {0};
    struct rg_config *config = rg_config_load(process_env, &problems);

    if (config != NULL) {
        rg_log_configure((enum rg_log_level)config->log_level,
                         (enum rg_log_format)config->log_format);
        log_warnings(config);
    } else {
        fflush(stdout);
        fwrite(problems.lines.p, 1, problems.lines.n, stderr);
    }
    rg_problems_done(&problems);
    return config;
}

/* -------------------------------------------------------------------- showing */

static void describe_markdown(struct rg_buf *out)
{
    rg_buf_add_c(out,
                 "# Variables\n\n"
                 "Generated by `rgate help variables --markdown`; `tools/lint` compares.\n\n"
                 "All configuration comes from environment variables, read once at start. An "
                 "empty or blank\nvariable is the same as an unset one, except where its row "
                 "says otherwise. `rgate check` tells what a\nset of variables means without "
                 "starting anything. A wrong value ends the start with status 1 and one\nline "
                 "for each problem:\n\n"
                 "    rgate: configuration error: INBOUND_PORT: must be a whole number between "
                 "0 and 65535 (got \"x\")\n");
    rg_options_describe(rows, RG_COUNT_OF(rows), true, out);
    rg_options_describe(rg_kafka_options, rg_kafka_options_n, true, out);
    rg_buf_add_c(out, "\n## Deprecated names\n\nThe names of 2017 still work; each in use logs one "
                      "line.\n\n| Old name | Use |\n| --- | --- |\n");
    for (size_t i = 0; i < RG_COUNT_OF(seed_names); i++)
        rg_buf_addf(out, "| `%s` | `%s` |\n", seed_names[i].row.name, seed_names[i].successor);
    rg_buf_add_c(out, "| `KAFKA_HOSTS` | `KAFKA_BROKERS` |\n"
                      "\n## Retired names\n\nThese have no effect; each that is set logs one "
                      "line.\n\n| Name | Instead |\n| --- | --- |\n");
    for (size_t i = 0; i < RG_COUNT_OF(retired_names); i++)
        rg_buf_addf(out, "| `%s` | %s |\n", retired_names[i].name, retired_names[i].instead);
}

void rg_config_describe(bool is_markdown, struct rg_buf *out)
{
    if (is_markdown) {
        describe_markdown(out);
        return;
    }
    rg_buf_add_c(out, "Environment variables. Empty or blank is the same as unset.\n");
    rg_options_describe(rows, RG_COUNT_OF(rows), false, out);
    rg_options_describe(rg_kafka_options, rg_kafka_options_n, false, out);
}

void rg_config_dump(const struct rg_config *config, struct rg_buf *out)
{
    rg_options_dump(rows, RG_COUNT_OF(rows), config, out);
    rg_options_dump(rg_kafka_options, rg_kafka_options_n, &config->kafka, out);
}
