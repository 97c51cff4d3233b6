#include "push/device.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "http/server.h"

/* ---- what a user agent says ---- */

/*
 * A product in a user agent (RFC 9110 10.1.5), with the '/' behind its name. Nearly all name others
 * too, which they want to be taken for: the first of this list counts.
 */
static const struct {
    const char *product;
    const char *browser;
} products[] = {
    {"Edg/", "Edge"},
    {"EdgA/", "Edge"},
    {"EdgiOS/", "Edge"},
    {"Edge/", "Edge"},
    {"OPR/", "Opera"},
    {"OPT/", "Opera"},
    {"OPX/", "Opera"},
    {"Opera/", "Opera"},
    {"SamsungBrowser/", "Samsung Internet"},
    {"Vivaldi/", "Vivaldi"},
    {"YaBrowser/", "Yandex"},
    {"UCBrowser/", "UC Browser"},
    {"DuckDuckGo/", "DuckDuckGo"},
    {"Firefox/", "Firefox"},
    {"FxiOS/", "Firefox"},
    {"Chrome/", "Chrome"},
    {"CriOS/", "Chrome"},
    {"HeadlessChrome/", "Chrome"},
    {"Chromium/", "Chrome"},
    {"Safari/", "Safari"},
    {"Trident/", "Internet Explorer"},
    {"MSIE ", "Internet Explorer"},
};

/* Programs that name a browser's products because they render pages, or look at them. */
static const char *const robots[] = {"+http", "bot/", "crawl", "spider", "slurp"};

static const char other[] = "other";

static bool contains(struct rg_str s, const char *part)
{
    return s.n > 0 && memmem(s.p, s.n, part, strlen(part)) != NULL;
}

static bool contains_nocase(struct rg_str s, const char *part)
{
    size_t n = strlen(part);

    for (size_t i = 0; i + n <= s.n; i++) {
        if (rg_str_eq_nocase(rg_str_n(s.p + i, n), rg_str_n(part, n)))
            return true;
    }
    return false;
}

/* Whether a word of s begins with product. */
static bool names(struct rg_str s, const char *product)
{
    size_t n = strlen(product);

    for (size_t i = 0; i + n <= s.n; i++) {
        if (memcmp(s.p + i, product, n) == 0 &&
            (i == 0 || s.p[i - 1] == ' ' || s.p[i - 1] == '(' || s.p[i - 1] == ';'))
            return true;
    }
    return false;
}

static bool is_robot(struct rg_str agent)
{
    for (size_t i = 0; i < RG_COUNT_OF(robots); i++) {
        if (contains_nocase(agent, robots[i]))
            return true;
    }
    return false;
}

const char *rg_device_browser(struct rg_str agent)
{
    /* Every browser says this, for reasons that nobody remembers; an Opera of old does not. */
    if (!rg_str_starts_with(agent, RG_STR("Mozilla/")) &&
        !rg_str_starts_with(agent, RG_STR("Opera/")))
        return other;
    if (is_robot(agent))
        return other;
    for (size_t i = 0; i < RG_COUNT_OF(products); i++) {
        if (names(agent, products[i].product))
            return products[i].browser;
    }
    return other;
}

const char *rg_device_kind(struct rg_str agent)
{
    if (rg_device_browser(agent) == other)
        return other;
    if (contains(agent, "iPad") || contains(agent, "Tablet"))
        return "tablet";
    if (contains(agent, "Mobi") || contains(agent, "iPhone"))
        return "mobile";
    /* Those of tablets do not say "Mobile"; this is all that tells them from phones. */
    return contains(agent, "Android") ? "tablet" : "desktop";
}

/* ---- devices ---- */

/* As much of agent as there is room for, as UTF-8. */
static void add_agent(struct rg_buf *out, struct rg_str agent)
{
    for (size_t i = 0; i < agent.n;) {
        size_t n = rg_utf8_sequence(agent.p + i, agent.n - i);
        size_t before = out->n;
        if (n > 0)
            rg_buf_add(out, agent.p + i, n);
        else
            rg_utf8_add(out, 0xfffd);
        if (out->n > RG_DEVICE_MAX_AGENT) {
            out->n = before;
            return;
        }
        i += n > 0 ? n : 1;
    }
}

struct rg_device *rg_device_new(struct rg_str address, struct rg_str agent, int64_t now_ms)
{
    struct rg_buf text = {0};

    add_agent(&text, agent);
    struct rg_device *device = rg_alloc(sizeof(*device) + address.n + text.n);
    char *at = (char *)(device + 1);
    if (address.n > 0)
        memcpy(at, address.p, address.n);
    if (text.n > 0)
        memcpy(at + address.n, text.p, text.n);
    *device = (struct rg_device){
        .since_ms = now_ms,
        .address = rg_str_n(at, address.n),
        .agent = rg_str_n(at + address.n, text.n),
    };
    rg_buf_done(&text);
    return device;
}

struct rg_device *rg_device_of(const struct rg_exchange *exchange)
{
    char peer[RG_PEER_SIZE];

    rg_exchange_peer(exchange, peer);
    return rg_device_new(rg_str_c(peer),
                         rg_request_field(rg_exchange_request(exchange), RG_STR("user-agent")),
                         rg_clock_wall_us() / 1000);
}

void rg_device_free(struct rg_device **devicep)
{
    rg_free(RG_STEAL(*devicep));
}
