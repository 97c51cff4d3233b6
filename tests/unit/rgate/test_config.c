#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../net/credentials.h"
#include "base/alloc.h"
#include "net/networks.h"
#include "proxy/outgoing.h"
#include "rgate/config.h"

/* NAME, value, NAME, value, ..., NULL */
static const char *const *environment;

static const char *env(const char *name)
{
    for (const char *const *p = environment; *p != NULL; p += 2) {
        if (strcmp(p[0], name) == 0)
            return p[1];
    }
    return NULL;
}

#define VARIABLES(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void assert_contains(const struct rg_buf *text, const char *part)
{
    if (text->n == 0 || memmem(text->p, text->n, part, strlen(part)) == NULL)
        fail_msg("\"%s\" is not in:\n%.*s", part, (int)text->n, text->p);
}

static void assert_lacks(const struct rg_buf *text, const char *part)
{
    if (text->n > 0 && memmem(text->p, text->n, part, strlen(part)) != NULL)
        fail_msg("\"%s\" is in:\n%.*s", part, (int)text->n, text->p);
}

static struct rg_config *load(const char *const *variables)
{
    struct rg_problems problems = {0};

    environment = variables;
    struct rg_config *config = rg_config_load(env, &problems);
    if (config == NULL)
        fail_msg("%.*s", (int)problems.lines.n, problems.lines.p);
    rg_problems_done(&problems);
    return config;
}

/* The start fails with one line for each name, and nothing else. */
static void assert_fails_naming(const char *const *variables, const char *const *names)
{
    RG_CLEANUP(rg_problems_done) struct rg_problems problems = {0};
    size_t n = 0;

    environment = variables;
    assert_null(rg_config_load(env, &problems));
    for (; names[n] != NULL; n++) {
        char part[80];
        snprintf(part, sizeof(part), "rgate: configuration error: %s: ", names[n]);
        assert_contains(&problems.lines, part);
    }
    assert_int_equal(problems.n, n);
}

static void nothing_set_gives_the_documented_defaults(void **state)
{
    RG_CLEANUP(rg_config_free) struct rg_config *config = load(VARIABLES());

    (void)state;
    assert_int_equal(config->inbound_port, 4000);
    assert_null(config->inbound_host);
    assert_int_equal(config->api_http_port, 4010);
    assert_string_equal(config->api_http_host, "127.0.0.1");
    assert_string_equal(config->cors, "*");
    assert_int_equal(config->log_level, RG_LOG_WARN);
    assert_int_equal(config->log_format, RG_LOG_TEXT);
    assert_int_equal(config->heartbeat_ms, 15000);
    assert_int_equal(config->max_event_bytes, 8 << 20);
    assert_true(config->metrics_enabled);
    assert_false(rg_kafka_is_on(&config->kafka));
    assert_non_null(config->extractors);
    assert_int_equal(rg_extractors_count(config->extractors), 0);
    assert_int_equal(config->max_connections_per_minute, 5000);
    assert_string_equal(config->jwt_alg, "HS256");
    assert_false(config->jwt_expiry_closes);
}

static void ports_are_taken_as_given_and_zero_is_one(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config = load(VARIABLES("INBOUND_PORT", "5000", "API_HTTP_PORT", "5010"));
    RG_CLEANUP(rg_config_free)
    struct rg_config *free_ones = load(VARIABLES("INBOUND_PORT", "0", "API_HTTP_PORT", "0"));
    RG_CLEANUP(rg_config_free)
    struct rg_config *blank = load(VARIABLES("INBOUND_PORT", ""));

    (void)state;
    assert_int_equal(config->inbound_port, 5000);
    assert_int_equal(config->api_http_port, 5010);
    assert_int_equal(free_ones->inbound_port, 0);
    assert_int_equal(blank->inbound_port, 4000);
}

static void wrong_ports_fail_naming_the_variable(void **state)
{
    (void)state;
    assert_fails_naming(VARIABLES("INBOUND_PORT", "abc"), VARIABLES("INBOUND_PORT"));
    assert_fails_naming(VARIABLES("INBOUND_PORT", "70000"), VARIABLES("INBOUND_PORT"));
    assert_fails_naming(VARIABLES("INBOUND_PORT", "40 00"), VARIABLES("INBOUND_PORT"));
    assert_fails_naming(VARIABLES("INBOUND_PORT", "-1"), VARIABLES("INBOUND_PORT"));
    assert_fails_naming(VARIABLES("PORT", "abc"), VARIABLES("PORT"));
}

static void equal_ports_fail_once(void **state)
{
    (void)state;
    assert_fails_naming(VARIABLES("INBOUND_PORT", "4010"), VARIABLES("INBOUND_PORT"));
    assert_fails_naming(VARIABLES("API_HTTP_PORT", "4000"), VARIABLES("INBOUND_PORT"));
    assert_fails_naming(VARIABLES("PORT", "4010"), VARIABLES("PORT"));
    /* 4000 is only what a wrong INBOUND_PORT falls back to. */
    assert_fails_naming(VARIABLES("INBOUND_PORT", "x", "API_HTTP_PORT", "4000"),
                        VARIABLES("INBOUND_PORT"));
}

static void all_problems_are_reported_at_once(void **state)
{
    (void)state;
    assert_fails_naming(VARIABLES("INBOUND_PORT", "x", "LOG_LEVEL", "loud", "LOG_FMT", "yaml",
                                  "PROMETHEUS_METRICS_ENABLED", "maybe", "KAFKA_BROKERS",
                                  "localhost:xyz"),
                        VARIABLES("INBOUND_PORT", "LOG_LEVEL", "LOG_FMT",
                                  "PROMETHEUS_METRICS_ENABLED", "KAFKA_BROKERS"));
}

static void log_settings_are_read_in_any_case(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config = load(VARIABLES("LOG_LEVEL", "Warning", "LOG_FMT", "JSON"));
    RG_CLEANUP(rg_config_free)
    struct rg_config *other = load(
        VARIABLES("LOG_LEVEL", "DEBUG", "LOG_FMT", "gcl", "PROMETHEUS_METRICS_ENABLED", "FALSE"));

    (void)state;
    assert_int_equal(config->log_level, RG_LOG_WARN);
    assert_int_equal(config->log_format, RG_LOG_JSON);
    assert_int_equal(other->log_level, RG_LOG_DEBUG);
    assert_int_equal(other->log_format, RG_LOG_GCL);
    assert_false(other->metrics_enabled);
}

static void cors_with_a_line_end_is_refused(void **state)
{
    (void)state;
    assert_fails_naming(VARIABLES("CORS", "https://a.example\r\nx: y"), VARIABLES("CORS"));
    assert_fails_naming(VARIABLES("ORIGIN", "https://a.example\nx"), VARIABLES("ORIGIN"));
}

static void seed_names_work_where_the_successor_is_unset(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config =
        load(VARIABLES("PORT", "6060", "ORIGIN", "https://a.example", "INBOUND_PORT", " "));

    (void)state;
    assert_int_equal(config->inbound_port, 6060);
    assert_string_equal(config->cors, "https://a.example");
    assert_contains(&config->warnings, "PORT is deprecated: use INBOUND_PORT\n");
    assert_contains(&config->warnings, "ORIGIN is deprecated: use CORS\n");
}

static void the_successor_wins_and_one_warning_names_both(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config =
        load(VARIABLES("PORT", "6060", "INBOUND_PORT", "5000", "ORIGIN", "a", "CORS", "a"));

    (void)state;
    assert_int_equal(config->inbound_port, 5000);
    assert_contains(&config->warnings, "PORT and INBOUND_PORT differ: ");
    assert_lacks(&config->warnings, "PORT is deprecated");
    assert_lacks(&config->warnings, "CORS differ");
}

static void a_seed_name_that_is_not_used_is_not_checked(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config = load(VARIABLES("PORT", "none", "INBOUND_PORT", "5000"));

    (void)state;
    assert_int_equal(config->inbound_port, 5000);
}

static void kafka_hosts_stand_in_for_brokers(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config = load(VARIABLES("KAFKA_HOSTS", "127.0.0.1:9092"));

    (void)state;
    assert_int_equal(config->kafka.brokers.n, 1);
    assert_string_equal(config->kafka.brokers.items[0], "127.0.0.1:9092");
}

static void retired_names_have_no_effect_and_one_warning_each(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config =
        load(VARIABLES("API_PORT", "4444", "KAFKA_USER_FIELD", "name", "KAFKA_ENABLED", ""));

    (void)state;
    assert_int_equal(config->api_http_port, 4010);
    assert_contains(&config->warnings, "API_PORT has no effect any more: use API_HTTP_PORT\n");
    assert_contains(&config->warnings, "KAFKA_USER_FIELD has no effect");
    assert_lacks(&config->warnings, "KAFKA_ENABLED");
}

#define SECRET "a secret that nobody guesses, of 40 bytes"

static void a_check_is_a_word_or_a_url(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config =
        load(VARIABLES("SUBSCRIPTION_CHECK", "JWT_Validation", "SUBMISSION_CHECK",
                       "https://check.example/Path", "JWT_SECRET_KEY", SECRET));

    (void)state;
    assert_int_equal(config->warnings.n, 0);
    assert_fails_naming(VARIABLES("SUBSCRIPTION_CHECK", "jwt"), VARIABLES("SUBSCRIPTION_CHECK"));
    assert_fails_naming(VARIABLES("SUBMISSION_CHECK", "ftp://check/"),
                        VARIABLES("SUBMISSION_CHECK"));
}

static void a_check_of_tokens_needs_a_key(void **state)
{
    (void)state;
    assert_fails_naming(
        VARIABLES("SUBSCRIPTION_CHECK", "jwt_validation", "SUBMISSION_CHECK", "jwt_validation"),
        VARIABLES("SUBSCRIPTION_CHECK", "SUBMISSION_CHECK"));
}

static void without_a_key_a_warning_says_that_no_token_is_valid(void **state)
{
    RG_CLEANUP(rg_config_free) struct rg_config *config = load(VARIABLES("JWT_SECRET_KEY", ""));

    (void)state;
    assert_contains(&config->warnings, "no token is valid: neither JWT_SECRET_KEY nor JWT_JWKS");
}

static void a_cookie_as_token_warns_without_origins(void **state)
{
    const char *const *with =
        VARIABLES("JWT_SECRET_KEY", SECRET, "JWT_COOKIE", "token", "ORIGINS", "https://a.example");
    RG_CLEANUP(rg_config_free)
    struct rg_config *config = load(VARIABLES("JWT_SECRET_KEY", SECRET, "JWT_COOKIE", "token"));
    RG_CLEANUP(rg_config_free) struct rg_config *safe = load(with);

    (void)state;
    assert_contains(&config->warnings, "JWT_COOKIE is set and ORIGINS is not");
    assert_int_equal(safe->warnings.n, 0);
}

static void keys_and_algorithms_that_do_not_fit_fail(void **state)
{
    (void)state;
    assert_fails_naming(VARIABLES("JWT_ALG", "none", "JWT_SECRET_KEY", SECRET),
                        VARIABLES("JWT_ALG"));
    assert_fails_naming(VARIABLES("JWT_ALG", "RS256", "JWT_SECRET_KEY", "hello"),
                        VARIABLES("JWT_SECRET_KEY"));
    assert_fails_naming(VARIABLES("JWT_ALG", "ES256"), VARIABLES("JWT_ALG"));
    assert_fails_naming(VARIABLES("JWT_JWKS", "/no/such/keys.json"), VARIABLES("JWT_JWKS"));
    assert_fails_naming(VARIABLES("JWT_SECRET_KEY", "file:/no/such/key"),
                        VARIABLES("JWT_SECRET_KEY"));
    assert_fails_naming(VARIABLES("JWT_SESSION_FIELD", "jti"), VARIABLES("JWT_SESSION_FIELD"));
}

static void who_a_token_is_of_stands_at_a_pointer_or_a_name(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config =
        load(VARIABLES("JWT_USER_FIELD", "https://id.example/~name", "JWT_ROLES_FIELD", "/a/b~1c"));

    (void)state;
    assert_string_equal(config->jwt_user_field, "https://id.example/~name");
    assert_string_equal(config->jwt_roles_field, "/a/b~1c");
    assert_fails_naming(VARIABLES("JWT_USER_FIELD", "/a~2"), VARIABLES("JWT_USER_FIELD"));
    assert_fails_naming(VARIABLES("JWT_ROLES_FIELD", "/~"), VARIABLES("JWT_ROLES_FIELD"));
}

static void a_secret_may_come_from_a_file(void **state)
{
    char path[] = "/tmp/test_config_key_XXXXXX";
    char value[64];
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, SECRET "\n", sizeof(SECRET)), sizeof(SECRET));
    close(fd);
    snprintf(value, sizeof(value), "file:%s", path);
    RG_CLEANUP(rg_config_free) struct rg_config *config = load(VARIABLES("JWT_SECRET_KEY", value));
    unlink(path);
    assert_int_equal(config->jwt_key.n, sizeof(SECRET) - 1);
    assert_memory_equal(config->jwt_key.p, SECRET, sizeof(SECRET) - 1);
}

/* A certificate for a variable, and what must be beside it. */
#define HTTPS(cert, key)                                                                           \
    "HTTPS_CERTFILE", credentials_path(cert), "HTTPS_KEYFILE", credentials_path(key)

static void https_is_off_unless_a_certificate_is_named(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config = load(VARIABLES("INBOUND_PORT", "4001", "HTTPS_CERTFILE", " "));

    (void)state;
    assert_null(config->tls);
    assert_int_equal(config->inbound_https_port, 4001);
    assert_int_equal(config->api_https_port, 4011);
}

static void a_certificate_needs_its_key_and_a_pass_phrase_both(void **state)
{
    (void)state;
    assert_fails_naming(VARIABLES("HTTPS_CERTFILE", "a"), VARIABLES("HTTPS_KEYFILE"));
    assert_fails_naming(VARIABLES("HTTPS_KEYFILE", "a"), VARIABLES("HTTPS_CERTFILE"));
    assert_fails_naming(VARIABLES("HTTPS_KEYFILE_PASS", "a"),
                        VARIABLES("HTTPS_CERTFILE", "HTTPS_KEYFILE"));
}

static void a_certificate_with_its_key_turns_https_on(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config = load(VARIABLES(HTTPS("cert.pem", "key.pem"), "API_HTTPS_PORT", "0"));

    (void)state;
    assert_non_null(config->tls);
    assert_int_equal(config->api_https_port, 0);
}

static void a_bad_certificate_or_key_fails_naming_the_variable(void **state)
{
    struct rg_problems problems = {0};

    (void)state;
    assert_fails_naming(VARIABLES(HTTPS("none.pem", "key.pem")), VARIABLES("HTTPS_CERTFILE"));
    assert_fails_naming(VARIABLES(HTTPS("cert.pem", "none.pem")), VARIABLES("HTTPS_KEYFILE"));
    assert_fails_naming(VARIABLES(HTTPS("cert.pem", "other-key.pem")), VARIABLES("HTTPS_KEYFILE"));
    assert_fails_naming(VARIABLES(HTTPS("cert.pem", "locked.pem")),
                        VARIABLES("HTTPS_KEYFILE_PASS"));

    environment = VARIABLES(HTTPS("cert.pem", "locked.pem"), "HTTPS_KEYFILE_PASS", "not that");
    assert_null(rg_config_load(env, &problems));
    assert_contains(&problems.lines, "HTTPS_KEYFILE_PASS: ");
    assert_contains(&problems.lines, credentials_path("locked.pem"));
    assert_lacks(&problems.lines, "not that");
    rg_problems_done(&problems);
}

static void https_ports_must_differ_where_they_are_open(void **state)
{
    (void)state;
    assert_fails_naming(VARIABLES(HTTPS("cert.pem", "key.pem"), "INBOUND_HTTPS_PORT", "4000"),
                        VARIABLES("INBOUND_PORT"));
    assert_fails_naming(VARIABLES(HTTPS("cert.pem", "key.pem"), "API_HTTPS_PORT", "4001"),
                        VARIABLES("INBOUND_HTTPS_PORT"));
}

static void make_credentials(void)
{
    EVP_PKEY *key = credentials_key();

    credentials_make("cert.pem", "key.pem", "config.example", 1);
    credentials_write_key("other-key.pem", key, CREDENTIALS_PKCS8, NULL);
    credentials_write_key("locked.pem", key, CREDENTIALS_PKCS8, "open sesame");
    EVP_PKEY_free(key);
}

#define GREETING                                                                                   \
    "{\"greeting\":{\"name\":{\"stable_field_index\":0,"                                           \
    "\"event\":{\"json_pointer\":\"/data/name\"}}}}"

static void extractors_may_be_json(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config = load(VARIABLES("EXTRACTORS", " \n" GREETING));

    (void)state;
    assert_int_equal(rg_extractors_count(config->extractors), 1);
}

static void wrong_extractors_fail_saying_what_is_missing(void **state)
{
    RG_CLEANUP(rg_problems_done) struct rg_problems problems = {0};

    (void)state;
    environment = VARIABLES(
        "EXTRACTORS", "{\"greeting\":{\"name\":{\"event\":{\"json_pointer\":\"/data/name\"}}}}");
    assert_null(rg_config_load(env, &problems));
    assert_contains(&problems.lines, "rgate: configuration error: EXTRACTORS: ");
    assert_contains(&problems.lines, "stable_field_index");
    assert_fails_naming(VARIABLES("EXTRACTORS", "[{"), VARIABLES("EXTRACTORS"));
    assert_fails_naming(VARIABLES("EXTRACTORS", "/no/such/file"), VARIABLES("EXTRACTORS"));
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void files_are_found_as_given_and_below_priv(void **state)
{
    char folder[] = "/tmp/rgate-test-config-XXXXXX";
    RG_CLEANUP(rg_buf_done) struct rg_buf given = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf below = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf none = {0};
    struct rg_why why;
    int here = open(".", O_RDONLY | O_DIRECTORY);

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("priv", 0700), 0);
    write_file("a.json", "[1]");
    write_file("priv/a.json", "[2]");
    write_file("priv/b.json", "[3]");
    assert_int_equal(rg_config_path_or_json("a.json", &given, &why), 0);
    assert_contains(&given, "[1]");
    assert_int_equal(rg_config_path_or_json("b.json", &below, &why), 0);
    assert_contains(&below, "[3]");
    assert_int_equal(rg_config_path_or_json("c.json", &none, &why), RG_ENOTFOUND);
    assert_non_null(strstr(why.text, "no such file"));
    assert_int_equal(rg_config_path_or_json("priv", &none, &why), RG_ENOTFOUND);
    assert_non_null(strstr(why.text, "not a regular file"));
    assert_int_equal(none.n, 0);

    unlink("a.json");
    unlink("priv/a.json");
    unlink("priv/b.json");
    rmdir("priv");
    assert_int_equal(fchdir(here), 0);
    rmdir(folder);
    close(here);
}

static void secrets_are_never_shown(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    RG_CLEANUP(rg_problems_done) struct rg_problems problems = {0};
    RG_CLEANUP(rg_config_free)
    struct rg_config *config =
        load(VARIABLES("NODE_COOKIE", "hidden1", "KAFKA_SASL", "plain:user:hidden2",
                       "KAFKA_SSL_KEYFILE_PASS", "hidden3", "KAFKA_BROKERS", "b:1"));

    (void)state;
    rg_config_dump(config, &out);
    assert_contains(&out, "NODE_COOKIE=***\n");
    assert_contains(&out, "KAFKA_SASL=***\n");
    assert_contains(&out, "KAFKA_BROKERS=b:1\n");
    assert_lacks(&out, "hidden");

    environment = VARIABLES("KAFKA_SASL", "hidden4:u", "NODE_COOKIE", "hidden5", "KAFKA_BROKERS",
                            "b:1", "INBOUND_PORT", "x");
    assert_null(rg_config_load(env, &problems));
    assert_contains(&problems.lines, "KAFKA_SASL");
    assert_lacks(&problems.lines, "hidden");
}

static void the_reference_lists_every_variable(void **state)
{
    static const char *const names[] = {"INBOUND_PORT",       "API_HTTP_PORT", "CORS",
                                        "CLIENT_QUEUE_BYTES", "EXTRACTORS",    "KAFKA_BROKERS",
                                        "NODE_COOKIE",        "LOG_FMT",       "KAFKA_SASL",
                                        "API_PORT",           "ORIGIN",        "KAFKA_HOSTS",
                                        "PRIVILEGED_ROLES"};
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};

    (void)state;
    rg_config_describe(true, &out);
    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        char cell[80];
        snprintf(cell, sizeof(cell), "\n| `%s` | ", names[i]);
        assert_contains(&out, cell);
    }
}

#define ROUTE(path, auth)                                                                          \
    "{\"host\":\"A_HOST\",\"port\":80,\"path\":\"" path "\",\"method\":\"GET\",\"auth\":" auth "}"

static void routes_are_read_from_json_or_a_file(void **state)
{
    char file[] = "/tmp/rgate-routes-XXXXXX";
    int fd = mkstemp(file);
    const char text[] = "[" ROUTE("/a", "false") "]";

    (void)state;
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    RG_CLEANUP(rg_config_free) struct rg_config *given = load(VARIABLES("PROXY_CONFIG_FILE", text));
    RG_CLEANUP(rg_config_free)
    struct rg_config *read = load(VARIABLES("PROXY_CONFIG_FILE", file, "A_HOST", "a.example"));
    unlink(file);
    assert_true(rg_config_is_2017(given));
    assert_string_equal(given->apis[0]->endpoints[0].host, "localhost:80");
    assert_string_equal(read->apis[0]->endpoints[0].host, "a.example:80");
}

static void without_a_list_or_with_an_empty_one_there_are_no_routes(void **state)
{
    RG_CLEANUP(rg_config_free) struct rg_config *none = load(VARIABLES());
    RG_CLEANUP(rg_config_free) struct rg_config *empty = load(VARIABLES("PROXY_CONFIG_FILE", "[]"));

    (void)state;
    assert_false(rg_config_is_2017(none));
    assert_false(rg_config_is_2017(empty));
    assert_int_equal(none->proxy_recv_timeout_ms, 5000);
    assert_int_equal(none->proxy_body_bytes, 0);
}

static void what_is_wrong_with_routes_is_told_with_everything_else(void **state)
{
    (void)state;
    assert_fails_naming(VARIABLES("PROXY_CONFIG_FILE", "{}"), VARIABLES("PROXY_CONFIG_FILE"));
    assert_fails_naming(VARIABLES("PROXY_CONFIG_FILE", "/no/such/file", "LOG_FMT", "yaml"),
                        VARIABLES("PROXY_CONFIG_FILE", "LOG_FMT"));
    assert_fails_naming(
        VARIABLES("PROXY_CONFIG_FILE", "[" ROUTE("/a", "false") "]", "A_HOST", "a:1"),
        VARIABLES("A_HOST"));
    assert_fails_naming(VARIABLES("PROXY_CONFIG_FILE", "[" ROUTE("/a", "5") "]"),
                        VARIABLES("PROXY_CONFIG_FILE"));
}

static void routes_that_need_tokens_need_a_key(void **state)
{
    const char *routes = "[" ROUTE("/a", "true") "]";
    RG_CLEANUP(rg_config_free)
    struct rg_config *config =
        load(VARIABLES("PROXY_CONFIG_FILE", routes, "JWT_SECRET_KEY", "a secret"));

    (void)state;
    assert_true(rg_config_records_2017(config));
    assert_fails_naming(VARIABLES("PROXY_CONFIG_FILE", routes), VARIABLES("PROXY_CONFIG_FILE"));
}

static void records_of_requests_have_a_topic_of_their_time(void **state)
{
    const char *routes = "[" ROUTE("/a", "false") "]";
    RG_CLEANUP(rg_config_free) struct rg_config *plain = load(VARIABLES());
    RG_CLEANUP(rg_config_free)
    struct rg_config *old = load(VARIABLES("PROXY_CONFIG_FILE", routes));
    RG_CLEANUP(rg_config_free)
    struct rg_config *named =
        load(VARIABLES("PROXY_CONFIG_FILE", routes, "KAFKA_LOG_TOPIC", "log"));

    (void)state;
    assert_string_equal(plain->kafka.log_topic, "rig-request-log");
    assert_string_equal(old->kafka.log_topic, "message");
    assert_string_equal(named->kafka.log_topic, "log");
    assert_fails_naming(VARIABLES("KAFKA_LOG_TOPIC", "a topic"), VARIABLES("KAFKA_LOG_TOPIC"));
}

static void a_route_that_is_never_used_is_warned_of(void **state)
{
    RG_CLEANUP(rg_config_free)
    struct rg_config *config =
        load(VARIABLES("PROXY_CONFIG_FILE", "[" ROUTE("/a", "false") "," ROUTE("/a", "false") "]"));

    (void)state;
    assert_contains(&config->warnings,
                    "PROXY_CONFIG_FILE: /1 is never used: /0 has the same method and path\n");
}

static void proxies_before_us_are_networks(void **state)
{
    (void)state;
    RG_CLEANUP(rg_config_free) struct rg_config *none = load(VARIABLES());
    assert_null(none->trusted_proxies);
    assert_int_equal(none->forwarded_headers, RG_WRITES_FORWARDED);
    RG_CLEANUP(rg_config_free)
    struct rg_config *some = load(VARIABLES("TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::1",
                                            "FORWARDED_HEADERS", "via,X-Forwarded"));
    assert_true(rg_networks_has(some->trusted_proxies, RG_STR("10.1.2.3")));
    assert_true(rg_networks_has(some->trusted_proxies, RG_STR("2001:db8::1")));
    assert_false(rg_networks_has(some->trusted_proxies, RG_STR("11.1.2.3")));
    assert_int_equal(some->forwarded_headers, RG_WRITES_VIA | RG_WRITES_X_FORWARDED);
    RG_CLEANUP(rg_config_free) struct rg_config *empty = load(VARIABLES("FORWARDED_HEADERS", ""));
    assert_int_equal(empty->forwarded_headers, 0);
    assert_fails_naming(VARIABLES("TRUSTED_PROXIES", "10.0.0.1/8", "FORWARDED_HEADERS", "x"),
                        VARIABLES("TRUSTED_PROXIES", "FORWARDED_HEADERS"));
}

static void assert_host_address(const char *host, const char *wanted)
{
    RG_CLEANUP(rg_config_free) struct rg_config *config = load(VARIABLES("HOST", host));

    assert_string_equal(config->host_address, wanted);
    if (strcmp(wanted, "unknown") == 0)
        assert_contains(&config->warnings, "HOST has no address (");
    else
        assert_lacks(&config->warnings, "HOST");
}

static void host_is_looked_up_once_at_the_start(void **state)
{
    (void)state;
    assert_host_address("", "127.0.0.1");
    assert_host_address("localhost", "127.0.0.1");
    assert_host_address("192.0.2.7", "192.0.2.7");
    assert_host_address("2001:DB8:0::7", "[2001:db8::7]");
    assert_host_address("not a name", "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_set_gives_the_documented_defaults),
        cmocka_unit_test(ports_are_taken_as_given_and_zero_is_one),
        cmocka_unit_test(wrong_ports_fail_naming_the_variable),
        cmocka_unit_test(equal_ports_fail_once),
        cmocka_unit_test(all_problems_are_reported_at_once),
        cmocka_unit_test(log_settings_are_read_in_any_case),
        cmocka_unit_test(cors_with_a_line_end_is_refused),
        cmocka_unit_test(seed_names_work_where_the_successor_is_unset),
        cmocka_unit_test(the_successor_wins_and_one_warning_names_both),
        cmocka_unit_test(a_seed_name_that_is_not_used_is_not_checked),
        cmocka_unit_test(kafka_hosts_stand_in_for_brokers),
        cmocka_unit_test(host_is_looked_up_once_at_the_start),
        cmocka_unit_test(proxies_before_us_are_networks),
        cmocka_unit_test(retired_names_have_no_effect_and_one_warning_each),
        cmocka_unit_test(a_check_is_a_word_or_a_url),
        cmocka_unit_test(a_check_of_tokens_needs_a_key),
        cmocka_unit_test(without_a_key_a_warning_says_that_no_token_is_valid),
        cmocka_unit_test(a_cookie_as_token_warns_without_origins),
        cmocka_unit_test(keys_and_algorithms_that_do_not_fit_fail),
        cmocka_unit_test(who_a_token_is_of_stands_at_a_pointer_or_a_name),
        cmocka_unit_test(a_secret_may_come_from_a_file),
        cmocka_unit_test(https_is_off_unless_a_certificate_is_named),
        cmocka_unit_test(a_certificate_needs_its_key_and_a_pass_phrase_both),
        cmocka_unit_test(a_certificate_with_its_key_turns_https_on),
        cmocka_unit_test(a_bad_certificate_or_key_fails_naming_the_variable),
        cmocka_unit_test(https_ports_must_differ_where_they_are_open),
        cmocka_unit_test(extractors_may_be_json),
        cmocka_unit_test(wrong_extractors_fail_saying_what_is_missing),
        cmocka_unit_test(files_are_found_as_given_and_below_priv),
        cmocka_unit_test(secrets_are_never_shown),
        cmocka_unit_test(the_reference_lists_every_variable),
        cmocka_unit_test(routes_are_read_from_json_or_a_file),
        cmocka_unit_test(without_a_list_or_with_an_empty_one_there_are_no_routes),
        cmocka_unit_test(what_is_wrong_with_routes_is_told_with_everything_else),
        cmocka_unit_test(routes_that_need_tokens_need_a_key),
        cmocka_unit_test(records_of_requests_have_a_topic_of_their_time),
        cmocka_unit_test(a_route_that_is_never_used_is_warned_of),
    };
    static const char *const files[] = {"cert.pem", "key.pem", "other-key.pem", "locked.pem", NULL};

    make_credentials();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    credentials_remove(files);
    return failed;
}
