#include "proxy/service.h"

#include <arpa/inet.h>

#define WRONG_HOST                                                                                 \
    "must be a host like orders.example, 10.0.0.7 or [::1], or http:// or https:// and a host"

static bool is_name_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_';
}

static bool is_name(struct rg_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (!is_name_byte(text.p[i]))
            return false;
    }
    return text.n > 0 && text.n <= RG_SERVICE_MAX_HOST;
}

/* An address of IPv6, maybe with a zone ("fe80::1%eth0"). */
static bool is_v6(struct rg_str text)
{
    char address[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    struct rg_str zone = text;
    struct rg_str plain = rg_str_split(&zone, '%');

    if (plain.n >= sizeof(address) || (zone.p != NULL && (!is_name(zone) || zone.n > 16)))
        return false;
    memcpy(address, plain.p, plain.n);
    address[plain.n] = '\0';
    return inet_pton(AF_INET6, address, bytes) == 1;
}

static void set_host(struct rg_service_url *url, struct rg_str host)
{
    memcpy(url->host, host.p, host.n);
    url->host[host.n] = '\0';
}

/* What stands behind the host: nothing, a colon, or a colon and a port. */
static int parse_port(struct rg_str text, struct rg_service_url *url)
{
    uint64_t port;

    if (text.n <= 1)
        return text.n == 0 || text.p[0] == ':' ? 0 : RG_EINVAL;
    if (text.p[0] != ':' || rg_str_to_u64(rg_str_n(text.p + 1, text.n - 1), 65535, &port) < 0 ||
        port == 0)
        return RG_EINVAL;
    url->port = (unsigned)port;
    return 0;
}

static int parse_bracketed(struct rg_str text, struct rg_service_url *url)
{
    const char *end = memchr(text.p, ']', text.n);

    if (end == NULL)
        return RG_EINVAL;
    struct rg_str host = rg_str_n(text.p + 1, (size_t)(end - text.p) - 1);
    if (!is_v6(host))
        return RG_EINVAL;
    set_host(url, host);
    return parse_port(rg_str_n(end + 1, text.n - host.n - 2), url);
}

static int parse_authority(struct rg_str text, struct rg_service_url *url)
{
    if (text.n == 0)
        return RG_EINVAL;
    if (text.p[0] == '[')
        return parse_bracketed(text, url);
    if (is_v6(text)) {
        set_host(url, text);
        return 0;
    }
    struct rg_str host = text;
    const char *colon = memchr(text.p, ':', text.n);
    if (colon != NULL)
        host.n = (size_t)(colon - text.p);
    if (!is_name(host))
        return RG_EINVAL;
    set_host(url, host);
    return parse_port(rg_str_n(text.p + host.n, text.n - host.n), url);
}

/* Takes the scheme off *text. */
static void take_scheme(struct rg_str *text, struct rg_service_url *url)
{
    static const struct rg_str https = RG_STR("https://"), http = RG_STR("http://");

    url->is_https = rg_str_starts_with_nocase(*text, https);
    url->has_scheme = url->is_https || rg_str_starts_with_nocase(*text, http);
    if (url->has_scheme) {
        size_t n = url->is_https ? https.n : http.n;
        *text = rg_str_n(text->p + n, text->n - n);
    }
}

/* Takes what is in front of the path off *text. */
static struct rg_str take_authority(struct rg_str *text)
{
    size_t n = 0;

    while (n < text->n && text->p[n] != '/' && text->p[n] != '?' && text->p[n] != '#')
        n++;
    struct rg_str authority = rg_str_n(text->p, n);
    *text = rg_str_n(text->p + n, text->n - n);
    return authority;
}

/* The user is in front of the last @. */
static void drop_user(struct rg_str *authority, struct rg_service_url *url)
{
    for (size_t i = authority->n; i > 0; i--) {
        if (authority->p[i - 1] == '@') {
            url->has_more = true;
            *authority = rg_str_n(authority->p + i, authority->n - i);
            return;
        }
    }
}

int rg_service_url_parse(struct rg_str text, struct rg_service_url *ret, struct rg_why *why)
{
    *ret = (struct rg_service_url){0};
    text = rg_str_trim(text);
    take_scheme(&text, ret);
    struct rg_str authority = take_authority(&text);
    if (rg_str_ends_with(authority, RG_STR(":")) && rg_str_starts_with(text, RG_STR("//")))
        return rg_why_set(why, RG_EINVAL, "", "must begin with http:// or https:// or be a host");
    ret->has_more = text.n > 0;
    if (ret->has_scheme)
        drop_user(&authority, ret);
    if (parse_authority(authority, ret) < 0)
        return rg_why_set(why, RG_EINVAL, "", WRONG_HOST);
    return 0;
}

void rg_service_add_host(struct rg_buf *out, const char *host, unsigned port)
{
    bool is_v6_address = strchr(host, ':') != NULL;
    /* A zone means something on this machine only. */
    size_t n = is_v6_address ? strcspn(host, "%") : strlen(host);

    rg_buf_addf(out, is_v6_address ? "[%.*s]:%u" : "%.*s:%u", (int)n, host, port);
}
