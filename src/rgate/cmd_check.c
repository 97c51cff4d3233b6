#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "proxy/api.h"
#include "rgate/args.h"
#include "rgate/cmd.h"
#include "rgate/https.h"

enum {
    TRY_MS = 5000
};

static const char help[] =
    "Usage: rgate check [options]\n"
    "\n"
    "Checks the variables of the environment, tells what `rgate` would do with them, and\n"
    "asks the Kafka brokers for their topics. Opens no port.\n"
    "\n"
    "  --no-connect  do not contact the brokers\n"
    "  --all         also print every variable with the value in force\n"
    "  -h, --help    this text\n"
    "\n"
    "The status is 0 if everything is in order and 1 otherwise.\n"
    "\n"
    "Examples:\n"
    "  rgate check\n"
    "  KAFKA_BROKERS=kafka:9092 EXTRACTORS=extractors.json rgate check --no-connect\n";

enum {
    NO_CONNECT = 256,
    ALL
};

static const struct option options[] = {
    {"no-connect", no_argument, NULL, NO_CONNECT},
    {"all", no_argument, NULL, ALL},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void print_port(const char *label, const char *host, int64_t port)
{
    if (port == 0)
        printf("%-12s %s, a free port\n", label, host);
    else
        printf("%-12s %s, port %lld\n", label, host, (long long)port);
}

static void print_list(const char *label, const struct rg_option_list *list)
{
    printf("%-12s", label);
    for (size_t i = 0; i < list->n; i++)
        printf("%s%s", i > 0 ? ", " : " ", list->items[i]);
    putchar('\n');
}

static void print_extractors(const struct rg_extractors *extractors)
{
    if (rg_extractors_count(extractors) == 0)
        printf("%-12s none: subscriptions can name event types only\n", "extractors");
    for (size_t i = 0; i < rg_extractors_count(extractors); i++) {
        const struct rg_extractor_type *type = rg_extractors_at(extractors, i);
        printf("%-12s %.*s:", i == 0 ? "extractors" : "", (int)type->name_n, type->name);
        for (size_t k = 0; k < type->fields_n; k++)
            printf("%s%s%s", k > 0 ? ", " : " ", type->fields[k].name,
                   type->fields[k].jwt_pointer != NULL ? " (also from tokens)" : "");
        putchar('\n');
    }
}

/* "up.example:80" as other lines write it */
static void print_host(const char *host)
{
    const char *port = strrchr(host, ':');

    printf("%.*s, port %s", (int)(port - host), host, port + 1);
}

static void print_endpoint(const char *label, const struct rg_endpoint *endpoint)
{
    printf("%-12s ", label);
    if (endpoint->api->dialect == RG_DIALECT_APIS)
        printf("%s: ", endpoint->api->id);
    printf("%s %s to ", endpoint->method, endpoint->path_regex);
    if (endpoint->target == RG_TARGET_HTTP)
        print_host(endpoint->host);
    else
        printf("%s topic %s", rg_target_names[endpoint->target], endpoint->topic);
    puts(endpoint->is_secured ? ", with a token" : "");
}

static void print_api(const char *label, const struct rg_api *api)
{
    if (!api->is_matched || api->endpoints_n == 0)
        printf("%-12s %s: %s\n", label, api->id,
               api->is_matched     ? "no endpoints"
               : api->is_versioned ? "not used, because it is versioned"
                                   : "not used, because it is not active");
    for (size_t i = 0; i < api->endpoints_n && api->is_matched; i++)
        print_endpoint(i == 0 ? label : "", &api->endpoints[i]);
}

static void print_apis(const struct rg_config *config)
{
    if (config->apis_n == 0)
        printf("%-12s none: PROXY_CONFIG_FILE is not set or empty\n", "routes");
    for (size_t i = 0; i < config->apis_n; i++)
        print_api(i == 0 ? "routes" : "", config->apis[i]);
}

static void print_tokens(const struct rg_config *config)
{
    if (config->jwt_key.n > 0)
        printf("%-12s %s, by JWT_SECRET_KEY\n", "tokens", config->jwt_alg);
    if (config->jwt_jwks != NULL)
        printf("%-12s by the key set %s\n", "tokens", config->jwt_jwks);
    if (config->jwt_key.n == 0 && config->jwt_jwks == NULL)
        printf("%-12s none is valid: neither JWT_SECRET_KEY nor JWT_JWKS is set\n", "tokens");
    printf("%-12s %s\n", "subscribing", config->subscription_check);
    printf("%-12s %s\n", "publishing", config->submission_check);
}

static void print_ports(const struct rg_config *config)
{
    const char *host = config->inbound_host != NULL ? config->inbound_host : "all addresses";

    print_port("public", host, config->inbound_port);
    print_port("internal", config->api_http_host, config->api_http_port);
    if (config->tls != NULL) {
        print_port("public TLS", host, config->inbound_https_port);
        print_port("internal TLS", config->api_http_host, config->api_https_port);
    }
    rg_https_print(config);
}

static void print_plan(const struct rg_config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    print_ports(config);
    printf("%-12s %lld%s\n", "reactors",
           (long long)(config->reactors > 0 ? config->reactors : (int64_t)cores),
           config->reactors > 0 ? "" : " (one per core)");
    if (rg_kafka_is_on(&config->kafka)) {
        print_list("brokers", &config->kafka.brokers);
        print_list("topics", &config->kafka.source_topics);
        if (config->kafka.consume == RG_CONSUME_GROUP)
            printf("%-12s %s\n", "group", config->kafka.group_id);
        else
            printf("%-12s none: this node reads every partition\n", "group");
    } else {
        printf("%-12s off: KAFKA_BROKERS is not set\n", "kafka");
    }
    print_extractors(config->extractors);
    print_apis(config);
    print_tokens(config);
}

static void add_list(struct rg_buf *out, const struct rg_option_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        rg_buf_addf(out, "%s%s", i > 0 ? "," : "", list->items[i]);
    rg_buf_add_char(out, '\0');
}

static int try_brokers(const struct rg_kafka_settings *kafka)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf brokers = {0};
    RG_CLEANUP(rg_problems_done) struct rg_problems problems = {0};
    struct rg_why why = {0};

    fflush(stdout);
    if (rg_kafka_try(kafka, TRY_MS, &out, &why) == 0) {
        fwrite(out.p, 1, out.n, stdout);
        return 0;
    }
    add_list(&brokers, &kafka->brokers);
    rg_problem_add(&problems, "KAFKA_BROKERS", brokers.p, "no broker answered within %d s%s%s",
                   TRY_MS / 1000, why.text[0] != '\0' ? ": " : "", why.text);
    fwrite(problems.lines.p, 1, problems.lines.n, stderr);
    return 1;
}

static int check(bool shall_connect, bool shall_dump)
{
    RG_CLEANUP(rg_config_free) struct rg_config *config = NULL;
    RG_CLEANUP(rg_buf_done) struct rg_buf dump = {0};
    int status = 0;

    rg_log_set_fd(STDERR_FILENO); /* warnings beside the plan, not in it */
    config = rg_cmd_load_config();
    if (config == NULL)
        return 1;
    print_plan(config);
    if (shall_dump) {
        rg_config_dump(config, &dump);
        printf("\n%.*s\n", RG_STR_ARG(rg_buf_str(&dump)));
    }
    if (shall_connect && rg_kafka_is_on(&config->kafka))
        status = try_brokers(&config->kafka);
    if (status == 0)
        puts("The configuration is in order.");
    return status;
}

int rg_cmd_check(int argc, char **argv)
{
    bool shall_connect = true;
    bool shall_dump = false;
    int option;

    optind = 0;
    while ((option = rg_args_next(argc, argv, options)) != -1) {
        switch (option) {
        case NO_CONNECT:
            shall_connect = false;
            break;
        case ALL:
            shall_dump = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            return 2;
        }
    }
    if (optind < argc)
        return rg_args_wrong("check", "unexpected argument \"%s\"", argv[optind]);
    return check(shall_connect, shall_dump);
}
