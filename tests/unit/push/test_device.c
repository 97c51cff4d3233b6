#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../net/peer.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "http/server.h"
#include "push/device.h"

#define MAC     "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) "
#define WINDOWS "Mozilla/5.0 (Windows NT 10.0; Win64; x64) "
#define PHONE   "Mozilla/5.0 (Linux; Android 10; K) "
#define IPHONE  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) "
#define IPAD    "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) "
#define WEBKIT  "AppleWebKit/537.36 (KHTML, like Gecko) "
#define APPLE   "AppleWebKit/605.1.15 (KHTML, like Gecko) "

static const struct {
    const char *agent, *browser, *kind;
} agents[] = {
    {WINDOWS WEBKIT "Chrome/126.0.0.0 Safari/537.36", "Chrome", "desktop"},
    {PHONE WEBKIT "Chrome/126.0.0.0 Mobile Safari/537.36", "Chrome", "mobile"},
    {PHONE WEBKIT "Chrome/126.0.0.0 Safari/537.36", "Chrome", "tablet"},
    {IPHONE APPLE "CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1", "Chrome", "mobile"},
    {"Mozilla/5.0 (X11; Linux x86_64) " WEBKIT "HeadlessChrome/126.0.0.0 Safari/537.36", "Chrome",
     "desktop"},
    {WINDOWS WEBKIT "Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0", "Edge", "desktop"},
    {WINDOWS WEBKIT "Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763", "Edge", "desktop"},
    {PHONE WEBKIT "Chrome/126.0.0.0 Mobile Safari/537.36 EdgA/126.0.0.0", "Edge", "mobile"},
    {WINDOWS WEBKIT "Chrome/126.0.0.0 Safari/537.36 OPR/112.0.0.0", "Opera", "desktop"},
    {"Opera/9.80 (Windows NT 6.1) Presto/2.12.388 Version/12.18", "Opera", "desktop"},
    {PHONE WEBKIT "SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36", "Samsung Internet",
     "mobile"},
    {MAC APPLE "Version/17.5 Safari/605.1.15", "Safari", "desktop"},
    {IPHONE APPLE "Version/17.5 Mobile/15E148 Safari/604.1", "Safari", "mobile"},
    {IPAD APPLE "Version/17.5 Mobile/15E148 Safari/604.1", "Safari", "tablet"},
    {"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "Firefox",
     "desktop"},
    {"Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0", "Firefox", "mobile"},
    {"Mozilla/5.0 (Android 14; Tablet; rv:127.0) Gecko/127.0 Firefox/127.0", "Firefox", "tablet"},
    {IPHONE APPLE "FxiOS/127.0 Mobile/15E148 Safari/605.1.15", "Firefox", "mobile"},
    {"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer",
     "desktop"},
    {"Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)", "Internet Explorer", "desktop"},

    {"curl/8.5.0", "other", "other"},
    {"python-requests/2.31.0", "other", "other"},
    {"Go-http-client/1.1", "other", "other"},
    {"node", "other", "other"},
    {"", "other", "other"},
    {"Mozilla/5.0", "other", "other"},
    {"Chrome/126.0.0.0", "other", "other"},
    {"Mozilla/5.0 NotChrome/1.0", "other", "other"},
    {"Mozilla/5.0 " WEBKIT "(compatible; Googlebot/2.1; +http://www.google.com/bot.html) "
     "Chrome/126.0.0.0 Safari/537.36",
     "other", "other"},
    {"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "other", "other"},
    {PHONE WEBKIT "Chrome/99.0 Mobile Safari/537.36 (compatible; SomeSpider)", "other", "other"},
    /* A phone's name, not a robot's. */
    {"Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) " WEBKIT
     "Chrome/126.0.0.0 Mobile Safari/537.36",
     "Chrome", "mobile"},
};

static void agents_name_their_browser_and_their_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(agents); i++) {
        struct rg_str agent = rg_str_c(agents[i].agent);
        if (strcmp(rg_device_browser(agent), agents[i].browser) != 0)
            fail_msg("%s for %s", rg_device_browser(agent), agents[i].agent);
        if (strcmp(rg_device_kind(agent), agents[i].kind) != 0)
            fail_msg("%s for %s", rg_device_kind(agent), agents[i].agent);
    }
    assert_string_equal(rg_device_browser(rg_str_n(NULL, 0)), "other");
    assert_string_equal(rg_device_kind(rg_str_n(NULL, 0)), "other");
}

static void a_device_has_copies(void **state)
{
    char address[] = "192.0.2.7", agent[] = "curl/8";
    struct rg_device *device = rg_device_new(rg_str_c(address), rg_str_c(agent), 1505990000123);

    (void)state;
    memset(address, 'x', sizeof(address));
    memset(agent, 'x', sizeof(agent));
    assert_true(rg_str_eq(device->address, RG_STR("192.0.2.7")));
    assert_true(rg_str_eq(device->agent, RG_STR("curl/8")));
    assert_true(device->since_ms == 1505990000123);
    rg_device_free(&device);
    assert_null(device);
    rg_device_free(&device);
}

static void what_is_not_known_is_empty(void **state)
{
    struct rg_device *device = rg_device_new(RG_STR(""), rg_str_n(NULL, 0), 0);

    (void)state;
    assert_int_equal(device->address.n, 0);
    assert_int_equal(device->agent.n, 0);
    rg_device_free(&device);
}

/* The length of an agent of n bytes, of which the last is the beginning of "ä". */
static size_t kept(size_t n, const char *last)
{
    struct rg_buf agent = {0};

    while (agent.n < n)
        rg_buf_add_char(&agent, 'x');
    rg_buf_add_c(&agent, last);
    struct rg_device *device = rg_device_new(RG_STR(""), rg_buf_str(&agent), 0);
    size_t kept_n = device->agent.n;
    rg_device_free(&device);
    rg_buf_done(&agent);
    return kept_n;
}

static void a_long_agent_is_cut_at_a_character(void **state)
{
    (void)state;
    assert_int_equal(kept(RG_DEVICE_MAX_AGENT, ""), RG_DEVICE_MAX_AGENT);
    assert_int_equal(kept(RG_DEVICE_MAX_AGENT, "y"), RG_DEVICE_MAX_AGENT);
    assert_int_equal(kept(RG_DEVICE_MAX_AGENT - 2, "\xc3\xa4"), RG_DEVICE_MAX_AGENT);
    assert_int_equal(kept(RG_DEVICE_MAX_AGENT - 1, "\xc3\xa4y"), RG_DEVICE_MAX_AGENT - 1);
    assert_int_equal(kept(RG_DEVICE_MAX_AGENT - 2, "\xff"), RG_DEVICE_MAX_AGENT - 2);
    assert_int_equal(kept(16000, ""), RG_DEVICE_MAX_AGENT);
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
    struct rg_device *device = rg_device_new(RG_STR(""), RG_STR("a\xff\xc3z\xed\xa0\x80"), 0);

    (void)state;
    assert_true(rg_str_eq(device->agent, RG_STR("a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd"
                                                "\xef\xbf\xbd\xef\xbf\xbd")));
    rg_device_free(&device);
}

/* ---- of a request ---- */

static struct rg_device *seen;

static void look(void *arg, struct rg_exchange *exchange)
{
    const struct rg_response response = {.status = 204};

    (void)arg;
    seen = rg_device_of(exchange);
    rg_exchange_respond(exchange, &response);
}

static void a_request_has_its_user_agent_and_the_time(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nhost: h\r\nuser-agent: curl/8.5.0\r\n\r\n";
    static const struct rg_route routes[] = {{RG_METHODS_ALL, "*", look, NULL, 0}};
    int64_t before_ms = rg_clock_wall_us() / 1000;
    struct rg_reactor reactor;
    int theirs;

    (void)state;
    peer_reactor_init(&reactor);
    struct rg_http_server *server =
        rg_http_server_new(&reactor, &rg_http_default_settings, routes, 1);
    struct peer peer = peer_open(&theirs, 0);
    rg_http_server_accept(server, theirs);
    peer_put(&peer, request, sizeof(request) - 1);
    peer_turn(&reactor);

    assert_non_null(seen);
    assert_true(rg_str_eq(seen->agent, RG_STR("curl/8.5.0")));
    assert_int_equal(seen->address.n, 0); /* a socket pair has none */
    assert_true(seen->since_ms >= before_ms && seen->since_ms <= before_ms + 60000);

    rg_device_free(&seen);
    peer_close(&peer);
    rg_http_server_close_all(server);
    peer_turn(&reactor);
    rg_http_server_free(&server);
    rg_reactor_done(&reactor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_name_their_browser_and_their_kind),
        cmocka_unit_test(a_device_has_copies),
        cmocka_unit_test(what_is_not_known_is_empty),
        cmocka_unit_test(a_long_agent_is_cut_at_a_character),
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        cmocka_unit_test(a_request_has_its_user_agent_and_the_time),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
