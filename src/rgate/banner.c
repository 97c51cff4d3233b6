#include "rgate/banner.h"

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

static void print_url(const char *what, const char *host, unsigned port)
{
    const char *name = reachable(host);
    bool is_ipv6 = strchr(name, ':') != NULL;

    printf("%s: http://%s%s%s:%u\n", what, is_ipv6 ? "[" : "", name, is_ipv6 ? "]" : "", port);
}

void rg_banner_print(const struct rg_config *config, bool is_dev, unsigned client_port,
                     unsigned internal_port, const char *kafka_bootstrap)
{
    printf("rgate %s%s\n", RG_VERSION, is_dev ? " - development mode, not for production" : "");
    print_url("client port", config->inbound_host, client_port);
    print_url("internal port", config->api_http_host, internal_port);
    if (kafka_bootstrap != NULL)
        printf("kafka bootstrap: %s\n", kafka_bootstrap);
    if (is_dev && kafka_bootstrap != NULL) {
        printf("\nOpen http://localhost:%u/ and watch events move, or try:\n"
               "  curl -N 'http://localhost:%u/_rig/v1/connection/sse?"
               "subscriptions=%%5B%%7B%%22eventType%%22%%3A%%22chat.message%%22%%7D%%5D'\n"
               "  rgate subscribe --url http://localhost:%u --type chat.message\n"
               "  kcat -C -b %s -t %s\n\n",
               client_port, client_port, client_port, kafka_bootstrap,
               config->kafka.source_topics.n > 0 ? config->kafka.source_topics.items[0] : "rig");
    }
    fflush(stdout);
}
