#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/random.h"
#include "event/matchkey.h"
#include "kafka/embedded.h"
#include "net/tls.h"
#include "rgate/args.h"
#include "rgate/banner.h"
#include "rgate/cmd.h"
#include "rgate/demo.h"
#include "rgate/wiring.h"

#define DEMO_PARTITIONS 4

/* Connections are bounded by descriptors alone; take all we may have (configuration.md 5). */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        rg_log_warn("descriptor limit could not be raised", RG_FU("wanted", limit.rlim_max));
}

static void prepare_process(void)
{
    raise_descriptor_limit();
    /* A peer that is gone is found by the write's error. */
    signal(SIGPIPE, SIG_IGN);
    rg_match_key_init();
}

static int print_problems(struct rg_problems *problems)
{
    fflush(stdout);
    fwrite(problems->lines.p, 1, problems->lines.n, stderr);
    rg_problems_done(problems);
    return 1;
}

/* banner NULL: serve mode. */
static int run(const struct rg_config *config, struct rg_demo *demo,
               const struct rg_dev_banner *banner)
{
    struct rg_dev_options dev = {demo};
    struct rg_problems problems = {0};
    struct rg_gateway *gateway = rg_gateway_new(config, &dev, &problems);

    if (gateway == NULL)
        return print_problems(&problems);
    const struct rg_ports *ports = rg_gateway_ports(gateway);
    if (demo != NULL)
        rg_demo_set_ports(demo, ports->client, ports->internal);
    rg_banner_print(config, ports, banner);
    int status = rg_gateway_run(gateway);
    rg_demo_stop(&demo);
    rg_gateway_free(&gateway);
    rg_problems_done(&problems);
    return status;
}

/* ---- serve ---- */

static void print_serve_help(void)
{
    puts("Usage: rgate [serve]\n"
         "\n"
         "Runs the gateway. Everything is configured by environment variables;\n"
         "`rgate help variables` lists them, `rgate check` tries them out.\n"
         "\n"
         "  -h, --help   this text\n"
         "\n"
         "Example:\n"
         "  KAFKA_BROKERS=kafka-1:9092,kafka-2:9092 KAFKA_SOURCE_TOPICS=events rgate\n"
         "\n"
         "SIGTERM and SIGINT end it gracefully within SHUTDOWN_TIMEOUT; a second one at once.\n"
         "SIGHUP reads certificate and key again; clients stay connected.");
}

int rg_cmd_serve(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    int option;

    while ((option = rg_args_next(argc, argv, options)) >= 0) {
        if (option != 'h')
            return 2;
        print_serve_help();
        return 0;
    }
    if (optind < argc)
        return rg_args_wrong("serve", "unexpected argument \"%s\"", argv[optind]);

    struct rg_config *config = rg_cmd_load_config();
    if (config == NULL)
        return 1;
    prepare_process();
    int status = run(config, NULL, NULL);
    rg_config_free(&config);
    return status;
}

/* ---- dev ---- */

static void print_dev_help(void)
{
    puts("Usage: rgate dev [--expose] [--no-demo]\n"
         "\n"
         "Runs the gateway with a Kafka inside the process and a producer of demo events, on\n"
         "http://localhost:4000 (page and client API) and http://localhost:4010 (internal API).\n"
         "The embedded Kafka speaks the real protocol on the address that is printed, keeps\n"
         "messages in memory and is gone with the process. Where KAFKA_BROKERS is set, those\n"
         "brokers are used instead. HTTPS is on ports 4001 and 4011, with a certificate made for\n"
         "this run unless HTTPS_CERTFILE is set. All variables of `rgate serve` apply;\n"
         "INBOUND_PORT=0, API_HTTP_PORT=0 and so on take free ports.\n"
         "\n"
         "  --expose     allow listening beyond loopback (INBOUND_HOST, API_HTTP_HOST)\n"
         "  --no-demo    produce no demo events\n"
         "  -h, --help   this text\n"
         "\n"
         "For development only: nothing here is meant to face a network.");
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static bool check_loopback(const struct rg_config *config)
{
    const struct {
        const char *variable, *host;
    } rows[] = {{"INBOUND_HOST", config->inbound_host}, {"API_HTTP_HOST", config->api_http_host}};
    struct rg_problems problems = {0};

    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        if (!is_loopback(rows[i].host))
            rg_problem_add(&problems, rows[i].variable, rows[i].host,
                           "development mode listens on loopback only; `rgate dev --expose` "
                           "allows other addresses");
    }
    bool is_fine = problems.n == 0;
    if (is_fine)
        rg_problems_done(&problems);
    else
        print_problems(&problems);
    return is_fine;
}

/*
 * The embedded broker answers a waiting fetch when its time is over, not when a message comes: a
 * short wait keeps events moving. What the user set stands behind it and wins.
 */
static void shorten_fetch_wait(void)
{
    static const char wait[] = "fetch.wait.max.ms=5";
    const char *given = getenv("KAFKA_PROPERTIES");
    struct rg_buf properties = {0};

    rg_buf_add_c(&properties, wait);
    if (given != NULL && given[0] != '\0')
        rg_buf_addf(&properties, ",%s", given);
    rg_buf_add_char(&properties, '\0');
    setenv("KAFKA_PROPERTIES", properties.p, 1);
    rg_buf_done(&properties);
}

/* Starts the Kafka inside unless the environment names one, and makes the configuration use it. */
static bool start_kafka(struct rg_config **configp, struct rg_embedded_kafka **kafkap)
{
    struct rg_why why = {0};

    if (rg_kafka_is_on(&(*configp)->kafka))
        return true;
    *kafkap = rg_embedded_kafka_start(&(*configp)->kafka.source_topics, DEMO_PARTITIONS, &why);
    if (*kafkap == NULL) {
        rg_args_failed("dev", "the embedded Kafka did not start: %s", why.text);
        return false;
    }
    setenv("KAFKA_BROKERS", rg_embedded_kafka_bootstrap(*kafkap), 1);
    shorten_fetch_wait();
    rg_config_free(configp);
    *configp = rg_cmd_load_config();
    return *configp != NULL;
}

/* HTTPS without any preparation: where no certificate is configured, one is made. */
static bool make_certificate(struct rg_config *config, bool *is_self_signed)
{
    struct rg_why why = {0};

    if (config->tls != NULL)
        return true;
    config->tls = rg_tls_new_self_signed(&why);
    if (config->tls == NULL)
        rg_args_failed("dev", "%s", why.text);
    *is_self_signed = config->tls != NULL;
    return *is_self_signed;
}

static int run_dev(struct rg_config **configp, bool is_talking, struct rg_embedded_kafka **kafkap)
{
    struct rg_why why = {0};
    struct rg_dev_banner banner = {0};

    if (!start_kafka(configp, kafkap) || !make_certificate(*configp, &banner.is_self_signed))
        return 1;
    struct rg_demo *demo =
        rg_demo_start(&(*configp)->kafka, (*configp)->extractors, is_talking, &why);
    if (demo == NULL)
        return rg_args_failed("dev", "the demo producer did not start: %s", why.text);
    rg_log_warn("development mode: not for production");
    banner.kafka_bootstrap =
        *kafkap != NULL ? rg_embedded_kafka_bootstrap(*kafkap) : (*configp)->kafka.brokers.items[0];
    return run(*configp, demo, &banner);
}

/* What the environment says stands above these. */
static void set_dev_defaults(void)
{
    unsigned char bytes[32];
    RG_CLEANUP(rg_buf_done) struct rg_buf secret = {0};

    setenv("INBOUND_HOST", "127.0.0.1", 0);
    setenv("EXTRACTORS", rg_demo_extractors, 0);
    setenv("JWT_EXPIRY_CLOSES", "true", 0);
    setenv("JWT_EXPIRY_WARNING", "15000", 0);
    /* A key for the page's two users, unless somebody else makes the tokens. */
    if (getenv("JWT_ALG") != NULL || getenv("JWT_JWKS") != NULL)
        return;
    rg_random_bytes(bytes, sizeof(bytes));
    rg_base64url_add(&secret, bytes, sizeof(bytes));
    rg_buf_add_char(&secret, '\0');
    setenv("JWT_SECRET_KEY", secret.p, 0);
}

int rg_cmd_dev(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"expose", no_argument, NULL, 'x'},
                                            {"no-demo", no_argument, NULL, 'n'},
                                            {0}};
    bool is_exposed = false, is_talking = true;
    int option;

    while ((option = rg_args_next(argc, argv, options)) >= 0) {
        switch (option) {
        case 'h':
            print_dev_help();
            return 0;
        case 'x':
            is_exposed = true;
            break;
        case 'n':
            is_talking = false;
            break;
        default:
            return 2;
        }
    }
    if (optind < argc)
        return rg_args_wrong("dev", "unexpected argument \"%s\"", argv[optind]);

    set_dev_defaults();
    struct rg_config *config = rg_cmd_load_config();
    if (config == NULL)
        return 1;
    struct rg_embedded_kafka *kafka = NULL;
    int status = 1;
    prepare_process();
    if (is_exposed || check_loopback(config))
        status = run_dev(&config, is_talking, &kafka);
    rg_config_free(&config);
    rg_embedded_kafka_stop(&kafka);
    return status;
}
