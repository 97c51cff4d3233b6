#include "rgate/config.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/policy.h"
#include "base/alloc.h"
#include "base/file.h"
#include "event/projection.h"
#include "http/client.h"
#include "net/networks.h"
#include "proxy/definition.h"
#include "rgate/cmd.h"
#include "rgate/config_priv.h"
#include "rgate/https.h"

#define MAX_FILE_BYTES (16 << 20)

/* ----------------------------------------------------------- seed and retired */

static bool is_given(const char *value)
{
    return value != NULL && value[strspn(value, " \t\r\n\v\f")] != '\0';
}

static void apply_seed_name(const struct rg_seed_name *seed, rg_getenv_fn *env,
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
    for (size_t i = 0; i < rg_retired_names_n; i++) {
        if (is_given(env(rg_retired_names[i].name)))
            rg_buf_addf(&config->warnings, "%s has no effect any more: %s\n",
                        rg_retired_names[i].name, rg_retired_names[i].instead);
    }
}

/* --------------------------------------------------------------- path or JSON */

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
    return rg_file_read(path, MAX_FILE_BYTES, out, why) == 0 ? 0 : RG_ENOTFOUND;
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
        int err = rg_file_read(value + 5, MAX_FILE_BYTES, &config->jwt_key, why);
        /* Editors end a file with a line end; nobody means it to be part of a secret. */
        while (err == 0 && is_secret && config->jwt_key.n > 0 &&
               config->jwt_key.p[config->jwt_key.n - 1] == '\n')
            config->jwt_key.n--;
        return err;
    }
    if (!is_secret && !is_pem(value) && strlen(value) < PATH_MAX && access(value, F_OK) == 0)
        return rg_file_read(value, MAX_FILE_BYTES, &config->jwt_key, why);
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

/* ---- APIs ---- */

bool rg_config_is_2017(const struct rg_config *config)
{
    return config->apis_n > 0 && config->apis[0]->dialect == RG_DIALECT_2017;
}

bool rg_config_records_2017(const struct rg_config *config)
{
    if (!rg_config_is_2017(config))
        return false;
    for (size_t i = 0; i < config->apis[0]->endpoints_n; i++) {
        if (config->apis[0]->endpoints[i].is_secured)
            return true;
    }
    return false;
}

static void load_apis(struct rg_config *config, rg_getenv_fn *env, struct rg_problems *problems)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf json = {0};
    const char *value = config->proxy_config_file;
    struct rg_why why = {0};

    if (value == NULL)
        return;
    if (rg_config_path_or_json(value, &json, &why) < 0) {
        rg_problem_add(problems, RG_DEFINITIONS_VARIABLE, value, "%s", why.text);
        return;
    }
    if (rg_definitions_read(rg_buf_str(&json), env, problems, &config->warnings, &config->apis,
                            &config->apis_n) < 0 ||
        config->apis_n == 0)
        return;
    if (rg_config_records_2017(config) && config->jwt_secret_key == NULL &&
        config->jwt_jwks == NULL)
        rg_problem_add(problems, RG_DEFINITIONS_VARIABLE, NULL,
                       "routes with auth need a key to check tokens with: set JWT_SECRET_KEY or "
                       "JWT_JWKS");
}

/* ---- what services are told of clients ---- */

static void load_trusted(struct rg_config *config, struct rg_problems *problems)
{
    const struct rg_option_list *list = &config->trusted_proxies_list;
    struct rg_why why = {0};

    if (list->n > 0)
        config->trusted_proxies = rg_networks_new();
    for (size_t i = 0; i < list->n; i++) {
        if (rg_networks_add(config->trusted_proxies, rg_str_c(list->items[i]), &why) < 0)
            rg_problem_add(problems, "TRUSTED_PROXIES", list->items[i], "%s", why.text);
    }
}

static void load_forwarded(struct rg_config *config, struct rg_problems *problems)
{
    static const char *const names[] = {"forwarded", "x-forwarded", "via", "x-request-id"};
    const struct rg_option_list *list = &config->forwarded_headers_list;

    for (size_t i = 0; i < list->n; i++) {
        size_t k = 0;
        while (k < RG_COUNT_OF(names) && strcasecmp(list->items[i], names[k]) != 0)
            k++;
        if (k < RG_COUNT_OF(names))
            config->forwarded_headers |= 1u << k;
        else
            rg_problem_add(problems, "FORWARDED_HEADERS", list->items[i],
                           "must be one of forwarded, x-forwarded, via, x-request-id");
    }
}

/* The address to show of those that a name has: IPv4, which is what the reference shows, if there
 * is one. */
static const struct addrinfo *preferred(const struct addrinfo *list)
{
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        if (a->ai_family == AF_INET)
            return a;
    }
    return list;
}

/* As a node of Forwarded: IPv6 in brackets. */
static char *node_of(const struct addrinfo *address)
{
    char text[INET6_ADDRSTRLEN], node[INET6_ADDRSTRLEN + 2];

    if (address->ai_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address->ai_addr;
        inet_ntop(AF_INET, &in->sin_addr, node, sizeof(node));
    } else {
        const struct sockaddr_in6 *in6 = (const void *)address->ai_addr;
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
        snprintf(node, sizeof(node), "[%s]", text);
    }
    return rg_strndup(node, strlen(node));
}

/* Looked up here, where waiting for an answer delays nobody's request. */
static void load_host_address(struct rg_config *config)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;

    if (getaddrinfo(config->host, NULL, &hints, &list) == 0 && list != NULL) {
        config->host_address = node_of(preferred(list));
    } else {
        config->host_address = rg_strndup("unknown", 7);
        rg_buf_addf(&config->warnings, "HOST has no address (%s): services are told by=unknown\n",
                    config->host);
    }
    if (list != NULL)
        freeaddrinfo(list);
}

/* legacy-channels.md 11.7: records of users' requests are messages to them, as they were in 2017.
 */
/* ---- records of requests ---- */

bool rg_config_logs_requests_to(const struct rg_config *config, const char *logger)
{
    for (size_t i = 0; i < config->request_log.n; i++) {
        if (rg_str_eq_nocase(rg_str_c(config->request_log.items[i]), rg_str_c(logger)))
            return true;
    }
    return false;
}

static void check_request_log(const struct rg_config *config, struct rg_problems *problems)
{
    static const char variable[] = "REQUEST_LOG";

    for (size_t i = 0; i < config->request_log.n; i++) {
        struct rg_str item = rg_str_c(config->request_log.items[i]);
        if (!rg_str_eq_nocase(item, RG_STR("console")) && !rg_str_eq_nocase(item, RG_STR("kafka")))
            rg_problem_add(problems, variable, config->request_log.items[i],
                           "only console and kafka are known");
    }
    if (rg_config_logs_requests_to(config, "kafka") && !rg_kafka_is_on(&config->kafka))
        rg_problem_add(problems, variable, "kafka", "needs KAFKA_BROKERS");
}

static void complete_log_topic(struct rg_config *config)
{
    const char *topic = rg_config_is_2017(config) ? "message" : "rig-request-log";

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

    rg_options_parse(rg_config_rows, rg_config_rows_n, env, config, problems);
    for (size_t i = 0; i < rg_seed_names_n; i++)
        apply_seed_name(&rg_seed_names[i], env, config, problems);
    warn_of_retired_names(env, config);
    check_ports(config, env, problems);
    check_cors(config, env, problems);
    load_extractors(config, problems);
    load_tokens(config, problems);
    rg_https_load(config, problems);

    rg_options_parse(rg_kafka_options, rg_kafka_options_n, env, &config->kafka, problems);
    rg_kafka_settings_check(&config->kafka, problems);
    load_apis(config, env, problems);
    load_trusted(config, problems);
    load_forwarded(config, problems);
    check_request_log(config, problems);
    rg_kafka_check_topics(&config->proxy_kafka_response_topics, "PROXY_KAFKA_RESPONSE_TOPICS",
                          problems);
    load_host_address(config);
    complete_log_topic(config);
    return problems->n == 0 ? RG_STEAL(config) : NULL;
}

void rg_config_free(struct rg_config **configp)
{
    struct rg_config *config = *configp;

    if (config == NULL)
        return;
    rg_options_done(rg_config_rows, rg_config_rows_n, config);
    rg_options_done(rg_kafka_options, rg_kafka_options_n, &config->kafka);
    rg_extractors_free(&config->extractors);
    for (size_t i = 0; i < config->apis_n; i++)
        rg_api_unref(&config->apis[i]);
    rg_free(config->apis);
    rg_networks_free(&config->trusted_proxies);
    rg_free(config->host_address);
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

    while (rest.n > 0) {
        /* Not inside of the line: what is not written is not evaluated either. */
        struct rg_str warning = rg_str_split(&rest, '\n');
        rg_log_warn("configuration warning", RG_FSTR("warning", warning));
    }
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
    rg_options_describe(rg_config_rows, rg_config_rows_n, true, out);
    rg_options_describe(rg_kafka_options, rg_kafka_options_n, true, out);
    rg_buf_add_c(out, "\n## Deprecated names\n\nThe names of 2017 still work; each in use logs one "
                      "line.\n\n| Old name | Use |\n| --- | --- |\n");
    for (size_t i = 0; i < rg_seed_names_n; i++)
        rg_buf_addf(out, "| `%s` | `%s` |\n", rg_seed_names[i].row.name,
                    rg_seed_names[i].successor);
    rg_buf_add_c(out, "| `KAFKA_HOSTS` | `KAFKA_BROKERS` |\n"
                      "\n## Retired names\n\nThese have no effect; each that is set logs one "
                      "line.\n\n| Name | Instead |\n| --- | --- |\n");
    for (size_t i = 0; i < rg_retired_names_n; i++)
        rg_buf_addf(out, "| `%s` | %s |\n", rg_retired_names[i].name, rg_retired_names[i].instead);
}

void rg_config_describe(bool is_markdown, struct rg_buf *out)
{
    if (is_markdown) {
        describe_markdown(out);
        return;
    }
    rg_buf_add_c(out, "Environment variables. Empty or blank is the same as unset.\n");
    rg_options_describe(rg_config_rows, rg_config_rows_n, false, out);
    rg_options_describe(rg_kafka_options, rg_kafka_options_n, false, out);
}

void rg_config_dump(const struct rg_config *config, struct rg_buf *out)
{
    rg_options_dump(rg_config_rows, rg_config_rows_n, config, out);
    rg_options_dump(rg_kafka_options, rg_kafka_options_n, &config->kafka, out);
}
