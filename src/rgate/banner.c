#include "rgate/banner.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A name to reach the port by: "all addresses" and loopback are localhost. */
static const char *reachable(const char *host)
{
    if (host == NULL || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 ||
        strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0)
        return "localhost";
    return host;
}

/* A line of the banner; where logs are JSON, so is this. */
static void print_line(const struct rg_config *config, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void print_line(const struct rg_config *config, const char *fmt, ...)
{
    static const struct rg_field no_fields[] = {{0}};
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (config->log_format == RG_LOG_TEXT)
        puts(line);
    else
        rg_log_emit(RG_LOG_INFO, __FILE__, __LINE__, line, no_fields);
}

static void print_url(const struct rg_config *config, const char *what, const char *scheme,
                      const char *host, unsigned port)
{
    const char *name = reachable(host);
    bool is_ipv6 = strchr(name, ':') != NULL;

    print_line(config, "%s: %s://%s%s%s:%u", what, scheme, is_ipv6 ? "[" : "", name,
               is_ipv6 ? "]" : "", port);
}

static void print_https(const struct rg_config *config, const struct rg_ports *ports,
                        bool is_self_signed)
{
    if (ports->client_https == 0)
        return;
    print_url(config, "client https port", "https", config->inbound_host, ports->client_https);
    print_url(config, "internal https port", "https", config->api_http_host, ports->internal_https);
    if (is_self_signed)
        print_line(config, "certificate: made for this run and signed by nobody; browsers will "
                           "warn, curl needs -k");
}

static void print_hints(const struct rg_config *config, unsigned client_port,
                        const char *kafka_bootstrap)
{
    printf("\nOpen http://localhost:%u/ and watch events move, or try:\n"
           "  curl -N 'http://localhost:%u/_rig/v1/connection/sse?"
           "subscriptions=%%5B%%7B%%22eventType%%22%%3A%%22chat.message%%22%%7D%%5D'\n"
           "  rgate subscribe --url http://localhost:%u --type chat.message\n"
           "  kcat -C -b %s -t %s\n\n",
           client_port, client_port, client_port, kafka_bootstrap,
           config->kafka.source_topics.items[0]);
}

void rg_banner_print(const struct rg_config *config, const struct rg_ports *ports,
                     const struct rg_dev_banner *dev)
{
    print_line(config, "rgate %s%s", RG_VERSION,
               dev != NULL ? " - development mode, not for production" : "");
    print_url(config, "client port", "http", config->inbound_host, ports->client);
    print_url(config, "internal port", "http", config->api_http_host, ports->internal);
    print_https(config, ports, dev != NULL && dev->is_self_signed);
    if (dev != NULL)
        print_line(config, "kafka bootstrap: %s", dev->kafka_bootstrap);
    if (dev != NULL && config->log_format == RG_LOG_TEXT)
        print_hints(config, ports->client, dev->kafka_bootstrap);
    fflush(stdout);
}
