#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "event/json.h"
#include "rgate/args.h"
#include "rgate/cmd.h"
#include "rgate/subscriber.h"

enum {
    FIRST_PAUSE_MS = 500,
    LONGEST_PAUSE_MS = 30000
};

static const char help[] =
    "Usage: rgate subscribe [options]\n"
    "\n"
    "Connects to a running gateway as a browser does and prints one line for each event.\n"
    "Connects again when the connection is lost. Ctrl-C ends.\n"
    "\n"
    "  --url URL             of the gateway (default: http://localhost:4000)\n"
    "  --cacert FILE         PEM file with the certificates to trust for https://\n"
    "  --insecure            trust any certificate\n"
    "  --ws                  use a WebSocket instead of server-sent events\n"
    "  --type TYPE           receive events of this type; may be repeated\n"
    "  --where FIELD=VALUE   only those of the --type before it with this value; VALUE may be\n"
    "                        JSON; several must all be true. For alternatives repeat --type\n"
    "  --subscriptions JSON  the whole list of subscriptions instead of --type\n"
    "  --jwt TOKEN           JSON Web Token to connect with\n"
    "  --count N             end after N events\n"
    "  --once                end when the connection ends\n"
    "  --raw                 print the events only, without time and type\n"
    "  --all                 also print rig.connection.create and rig.subscriptions_set\n"
    "  -h, --help            this text\n"
    "\n"
    "Examples:\n"
    "  rgate subscribe --type greeting\n"
    "  rgate subscribe --ws --type chat.posted --where room=blue --where urgent=true\n"
    "  rgate subscribe --type greeting --count 1 --raw | jq .data\n";

enum {
    WEBSOCKET = 256,
    URL,
    TYPE,
    WHERE,
    SUBSCRIPTIONS,
    TOKEN,
    COUNT,
    ONCE,
    RAW,
    ALL,
    CACERT,
    INSECURE
};

static const struct option options[] = {
    {"ws", no_argument, NULL, WEBSOCKET},
    {"url", required_argument, NULL, URL},
    {"type", required_argument, NULL, TYPE},
    {"where", required_argument, NULL, WHERE},
    {"subscriptions", required_argument, NULL, SUBSCRIPTIONS},
    {"jwt", required_argument, NULL, TOKEN},
    {"count", required_argument, NULL, COUNT},
    {"once", no_argument, NULL, ONCE},
    {"raw", no_argument, NULL, RAW},
    {"all", no_argument, NULL, ALL},
    {"cacert", required_argument, NULL, CACERT},
    {"insecure", no_argument, NULL, INSECURE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct wish {
    struct rg_subscriber sub;
    struct rg_buf list;  /* of --type, a JSON array without its end */
    struct rg_buf where; /* constraints of the last --type, an object without its end */
    const char *subscriptions;
    const char *jwt;
    bool is_ws;
    bool is_once;
};

static volatile sig_atomic_t is_stopped;

static void on_signal(int number)
{
    (void)number;
    is_stopped = 1;
}

/* -------------------------------------------------------------------- events */

bool rg_subscriber_is_done(const struct rg_subscriber *sub)
{
    return is_stopped || (sub->max_events > 0 && sub->events >= sub->max_events);
}

static void print_time(void)
{
    int64_t now_us = rg_clock_wall_us();
    time_t now = (time_t)(now_us / 1000000);
    struct tm tm;
    char text[16];

    localtime_r(&now, &tm);
    strftime(text, sizeof(text), "%H:%M:%S", &tm);
    printf("%s.%03d ", text, (int)(now_us / 1000 % 1000));
}

/* On one line and harmless to a terminal: in JSON control bytes can only be between tokens. */
static void print_event(struct rg_str event)
{
    for (size_t i = 0; i < event.n; i++) {
        unsigned char c = (unsigned char)event.p[i];
        putchar(c < 0x20 || c == 0x7f ? ' ' : c);
    }
    putchar('\n');
}

/* The event's type, borrowed from event or scratch. */
static struct rg_str type_of(struct rg_str event, struct rg_buf *scratch)
{
    struct rg_json json;
    struct rg_json type;

    if (rg_json_check(event, &json, NULL) < 0 || json.kind != RG_JSON_OBJECT)
        return RG_STR("?");
    type = rg_json_member(json, RG_STR("type"));
    if (type.kind != RG_JSON_STRING)
        type = rg_json_member(json, RG_STR("eventType"));
    return type.kind == RG_JSON_STRING ? rg_json_string(type, scratch) : RG_STR("?");
}

/* The first two events of every connection; true if that is all they are good for. */
static bool is_opening(const struct rg_subscriber *sub, struct rg_str type)
{
    bool is_create = rg_str_eq(type, RG_STR("rig.connection.create"));
    bool is_set = rg_str_eq(type, RG_STR("rig.subscriptions_set"));

    if (is_set && !sub->is_raw)
        fprintf(stderr, "rgate subscribe: subscribed at %s\n", sub->url);
    return (is_create || is_set) && !sub->shows_gateway;
}

void rg_subscriber_take(struct rg_subscriber *sub, struct rg_str event)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf scratch = {0};
    struct rg_str type = type_of(event, &scratch);

    if (is_opening(sub, type))
        return;
    if (!sub->is_raw) {
        print_time();
        printf("%.*s ", RG_STR_ARG(type));
    }
    print_event(event);
    fflush(stdout);
    sub->events++;
}

/* --------------------------------------------------------------------- query */

static void end_type(struct wish *wish)
{
    if (wish->list.n == 0)
        return;
    if (wish->where.n > 0)
        rg_buf_addf(&wish->list, ",\"oneOf\":[%.*s}]", RG_STR_ARG(rg_buf_str(&wish->where)));
    rg_buf_add_char(&wish->list, '}');
    rg_buf_clear(&wish->where);
}

static void add_type(struct wish *wish, const char *type)
{
    end_type(wish);
    rg_buf_add_c(&wish->list, wish->list.n > 0 ? "," : "[");
    rg_buf_add_c(&wish->list, "{\"eventType\":");
    rg_json_add_string(&wish->list, rg_str_c(type));
}

static int add_where(struct wish *wish, const char *pair)
{
    if (wish->list.n == 0)
        return rg_args_wrong("subscribe", "--where must follow a --type");
    if (wish->where.n == 0)
        rg_buf_add_char(&wish->where, '{');
    if (rg_args_add_member(&wish->where, pair) < 0)
        return rg_args_wrong("subscribe", "--where needs FIELD=VALUE, not \"%s\"", pair);
    return 0;
}

static void add_parameter(struct rg_buf *query, const char *name, struct rg_str value)
{
    char *escaped = curl_easy_escape(NULL, value.p, (int)value.n);

    rg_assert(escaped != NULL);
    rg_buf_addf(query, "%s%s=%s", query->n > 0 ? "&" : "?", name, escaped);
    curl_free(escaped);
}

static int build_query(struct wish *wish)
{
    struct rg_json json;
    struct rg_why why;

    if (wish->subscriptions != NULL && wish->list.n > 0)
        return rg_args_wrong("subscribe", "give either --type or --subscriptions");
    if (wish->subscriptions == NULL && wish->list.n == 0 && wish->jwt == NULL)
        return rg_args_wrong("subscribe", "subscribe to what? Use --type or --subscriptions");
    if (wish->subscriptions != NULL) {
        if (rg_json_check(rg_str_c(wish->subscriptions), &json, &why) < 0)
            return rg_args_wrong("subscribe", "--subscriptions is not JSON: %s at %s", why.text,
                                 why.place);
        add_parameter(&wish->sub.query, "subscriptions", json.text);
    }
    if (wish->list.n > 0) {
        end_type(wish);
        rg_buf_add_char(&wish->list, ']');
        add_parameter(&wish->sub.query, "subscriptions", rg_buf_str(&wish->list));
    }
    if (wish->jwt != NULL)
        add_parameter(&wish->sub.query, "jwt", rg_str_c(wish->jwt));
    rg_buf_add_char(&wish->sub.query, '\0');
    return 0;
}

/* ------------------------------------------------------------------- command */

static int take_option(struct wish *wish, int option)
{
    switch (option) {
    case WEBSOCKET:
        wish->is_ws = true;
        return 0;
    case URL:
        wish->sub.url = optarg;
        return 0;
    case TYPE:
        add_type(wish, optarg);
        return 0;
    case WHERE:
        return add_where(wish, optarg);
    case SUBSCRIPTIONS:
        wish->subscriptions = optarg;
        return 0;
    case TOKEN:
        wish->jwt = optarg;
        return 0;
    case COUNT:
        if (rg_str_to_u64(rg_str_c(optarg), INT64_MAX, &wish->sub.max_events) == 0 &&
            wish->sub.max_events > 0)
            return 0;
        return rg_args_wrong("subscribe", "--count needs a number above 0, not \"%s\"", optarg);
    case ONCE:
        wish->is_once = true;
        return 0;
    case RAW:
        wish->sub.is_raw = true;
        return 0;
    case ALL:
        wish->sub.shows_gateway = true;
        return 0;
    case CACERT:
        wish->sub.trust.ca_file = optarg;
        return 0;
    case INSECURE:
        wish->sub.trust.is_blind = true;
        return 0;
    default:
        return 2; /* rg_args_next() has told */
    }
}

/* A signal cuts the pause short. */
static void pause_for(uint64_t ms)
{
    uint64_t until_ms = rg_clock_mono_ms() + ms;

    while (!is_stopped && rg_clock_mono_ms() < until_ms)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

static int run_once(struct wish *wish, struct rg_why *why)
{
    wish->sub.was_connected = false;
    return wish->is_ws ? rg_subscriber_run_ws(&wish->sub, why)
                       : rg_subscriber_run_sse(&wish->sub, why);
}

static int run(struct wish *wish)
{
    uint64_t pause_ms = FIRST_PAUSE_MS;
    uint64_t jittered_ms;

    for (;;) {
        struct rg_why why = {.text = "the gateway ended the connection"};
        int err = run_once(wish, &why);
        if (rg_subscriber_is_done(&wish->sub))
            return 0;
        if (wish->is_once && err == 0 && wish->sub.max_events == 0)
            return 0;
        if (wish->is_once || err == RG_EINVAL)
            return rg_args_failed("subscribe", "%s: %s", wish->sub.url, why.text);
        if (wish->sub.was_connected)
            pause_ms = FIRST_PAUSE_MS;
        /* Not all clients of a restarted gateway at once. */
        jittered_ms = pause_ms / 2 + rg_random_below(pause_ms);
        rg_args_failed("subscribe", "%s: %s; next attempt in %.1f s", wish->sub.url, why.text,
                       (double)jittered_ms / 1000);
        pause_for(jittered_ms);
        pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
    }
}

/* 'h' after printing the help. */
static int take_options(struct wish *wish, int argc, char **argv)
{
    int option;
    int status = 0;

    optind = 0;
    while (status == 0 && (option = rg_args_next(argc, argv, options)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 'h';
        }
        status = take_option(wish, option);
    }
    if (status == 0 && optind < argc)
        return rg_args_wrong("subscribe", "unexpected argument \"%s\"", argv[optind]);
    return status != 0 ? status : build_query(wish);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int rg_cmd_subscribe(int argc, char **argv)
{
    struct wish wish = {.sub = {.url = "http://localhost:4000"}};
    int status = take_options(&wish, argc, argv);

    if (status == 0) {
        catch_signals();
        status = run(&wish);
    } else if (status == 'h') {
        status = 0;
    }
    rg_buf_done(&wish.sub.query);
    rg_buf_done(&wish.list);
    rg_buf_done(&wish.where);
    return status;
}
