/*
 * load.c - rg-load, very many clients in a few processes.
 *
 * The parent forks the workers (load_worker.h), waits until every client is subscribed, prints a
 * report, and then obeys lines on its standard input, one report or "ok" per line:
 *
 *   reset               start counting anew
 *   report              print the counts
 *   wait COUNT MS       wait until COUNT events arrived, at most MS milliseconds, then report
 *   open COUNT MS       with --passing: let COUNT clients come and go, at most MS milliseconds, and
 *                       print how fast they did
 *   quit (or the end)   close all clients and leave
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bench/args.h"
#include "bench/load_worker.h"

#define MAX_WORKERS       64
#define PORTS_PER_ADDRESS 10000 /* a third of what there are, so a free one is found quickly */
#define POLL_US           2000

static const char usage[] =
    "usage: rg-load [option...] HOST:PORT\n"
    "  --clients N         connections (1000)\n"
    "  --kind KIND         sse, ws or mixed (sse)\n"
    "  --h2                HTTP/2 from the first byte on, for SSE\n"
    "  --streams N         clients on each HTTP/2 connection (100)\n"
    "  --tls               any certificate will do\n"
    "  --resume            all but the first TLS connection of a process resume a session\n"
    "  --deflate           WebSockets insist on permessage-deflate\n"
    "  --passing           clients come when told (open COUNT MS) and leave once subscribed\n"
    "  --bare              the server is rg-bare-fanout\n"
    "  --subscriptions J   JSON list; {n} is the number of the client, seven digits\n"
    "  --token JWT         of every client\n"
    "  --channels SECRET   WebSockets of Phoenix Channels, each with a user, a token signed with\n"
    "                      SECRET, and the user's channel joined\n"
    "  --workers N         processes (2)\n"
    "  --addresses N       source addresses from 127.0.0.2 on (as many as are needed)\n"
    "  --window N          connections in the making per process (128)\n"
    "  --timeout SECONDS   until all are subscribed (120)\n";

static const struct option options[] = {{"clients", required_argument, NULL, 'n'},
                                        {"kind", required_argument, NULL, 'k'},
                                        {"h2", no_argument, NULL, '2'},
                                        {"streams", required_argument, NULL, 'm'},
                                        {"tls", no_argument, NULL, 'l'},
                                        {"resume", no_argument, NULL, 'r'},
                                        {"deflate", no_argument, NULL, 'd'},
                                        {"passing", no_argument, NULL, 'p'},
                                        {"bare", no_argument, NULL, 'b'},
                                        {"subscriptions", required_argument, NULL, 's'},
                                        {"token", required_argument, NULL, 'j'},
                                        {"channels", required_argument, NULL, 'c'},
                                        {"workers", required_argument, NULL, 'w'},
                                        {"addresses", required_argument, NULL, 'a'},
                                        {"window", required_argument, NULL, 'o'},
                                        {"timeout", required_argument, NULL, 't'},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};

struct parent {
    struct rg_load_plan plan;
    struct rg_load_shared *shared;
    pid_t pids[MAX_WORKERS];
    unsigned streams; /* of each connection, if it is HTTP/2 */
    unsigned timeout_s;
    bool is_h2;
};

static enum rg_load_kind parse_kind(const char *value)
{
    static const char *const names[] = {"sse", "ws", "mixed"};

    for (unsigned i = 0; i < RG_COUNT_OF(names); i++) {
        if (rg_str_eq(rg_str_c(value), rg_str_c(names[i])))
            return (enum rg_load_kind)i;
    }
    rg_args_fail("--kind: sse, ws or mixed is expected");
}

/* The options without a value. */
static bool parse_flag(struct parent *parent, int option)
{
    struct rg_load_plan *plan = &parent->plan;

    switch (option) {
    case '2':
        parent->is_h2 = true;
        return true;
    case 'l':
        plan->is_tls = true;
        return true;
    case 'r':
        plan->is_resuming = true;
        return true;
    case 'd':
        plan->is_deflated = true;
        return true;
    case 'p':
        plan->is_passing = true;
        return true;
    case 'b':
        plan->is_bare = true;
        return true;
    default:
        return false;
    }
}

static void parse_value(struct parent *parent, int option, const char *value)
{
    struct rg_load_plan *plan = &parent->plan;

    switch (option) {
    case 'n':
        plan->clients = (unsigned)rg_args_u64("--clients", value, 1000000);
        break;
    case 'k':
        plan->kind = parse_kind(value);
        break;
    case 'm':
        parent->streams = (unsigned)rg_args_u64("--streams", value, 10000);
        break;
    case 's':
        plan->subscriptions = value;
        break;
    case 'j':
        plan->token = value;
        break;
    case 'c':
        plan->secret = value;
        plan->kind = RG_LOAD_WS;
        break;
    case 'w':
        plan->workers = (unsigned)rg_args_u64("--workers", value, MAX_WORKERS);
        break;
    case 'a':
        plan->addresses = (unsigned)rg_args_u64("--addresses", value, 200);
        break;
    case 'o':
        plan->window = (unsigned)rg_args_u64("--window", value, 4096);
        break;
    case 't':
        parent->timeout_s = (unsigned)rg_args_u64("--timeout", value, 3600);
        break;
    default:
        fputs(usage, option == 'h' ? stdout : stderr);
        exit(option == 'h' ? 0 : 2);
    }
}

/* What makes no sense, or would measure something else than it says. */
static void check(const struct parent *parent)
{
    const struct rg_load_plan *plan = &parent->plan;

    if (plan->workers == 0 || plan->window == 0 || parent->streams == 0)
        rg_args_fail("--workers, --window and --streams must not be 0");
    if (parent->is_h2 && (plan->kind != RG_LOAD_SSE || plan->is_bare || plan->is_passing))
        rg_args_fail("--h2 is for SSE clients of a gateway that stay");
    if (plan->is_bare && (plan->is_tls || plan->is_passing || plan->is_deflated))
        rg_args_fail("--bare has neither --tls nor --passing nor --deflate");
    if (plan->secret != NULL && (parent->is_h2 || plan->is_bare || plan->is_deflated))
        rg_args_fail("--channels has neither --h2 nor --bare nor --deflate");
    if (plan->is_resuming && !plan->is_tls)
        rg_args_fail("--resume needs --tls");
    if (plan->is_deflated && plan->kind == RG_LOAD_SSE)
        rg_args_fail("--deflate is for WebSockets");
}

static unsigned connections(const struct rg_load_plan *plan)
{
    if (plan->is_passing)
        return plan->window * plan->workers;
    if (plan->streams > 0)
        return (plan->clients + plan->streams - 1) / plan->streams;
    return plan->clients;
}

static void parse(struct parent *parent, int argc, char **argv)
{
    struct rg_load_plan *plan = &parent->plan;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!parse_flag(parent, option))
            parse_value(parent, option, optarg);
    }
    if (optind + 1 != argc)
        rg_args_fail("%s", usage);
    check(parent);
    plan->server = rg_args_endpoint("HOST:PORT", argv[optind]);
    if (parent->is_h2)
        plan->streams = parent->streams;
    if (plan->addresses == 0)
        plan->addresses = connections(plan) / PORTS_PER_ADDRESS + 1;
}

static void start_workers(struct parent *parent)
{
    size_t size = sizeof(*parent->shared) + sizeof(struct rg_load_tally) * parent->plan.workers;

    parent->shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (parent->shared == MAP_FAILED)
        rg_args_die("mmap");
    if (!parent->plan.is_passing)
        parent->shared->goal = connections(&parent->plan);
    for (unsigned i = 0; i < parent->plan.workers; i++) {
        parent->pids[i] = fork();
        if (parent->pids[i] < 0)
            rg_args_die("fork");
        if (parent->pids[i] == 0) {
            rg_load_worker_run(&parent->plan, parent->shared, i);
            _exit(0);
        }
    }
}

static void stop_workers(struct parent *parent)
{
    atomic_store(&parent->shared->must_end, true);
    for (unsigned i = 0; i < parent->plan.workers; i++)
        waitpid(parent->pids[i], NULL, 0);
}

/* The sums over all workers. */
struct sums {
    uint64_t ready, failed, closed, resumed, events, bytes, inflated, first_ns, last_ns;
};

static struct sums sum_up(struct parent *parent)
{
    struct sums sums = {.first_ns = UINT64_MAX};

    for (unsigned i = 0; i < parent->plan.workers; i++) {
        struct rg_load_tally *tally = &parent->shared->tallies[i];
        uint64_t first_ns = atomic_load(&tally->first_ns);
        uint64_t last_ns = atomic_load(&tally->last_ns);

        sums.ready += atomic_load(&tally->ready);
        sums.failed += atomic_load(&tally->failed);
        sums.closed += atomic_load(&tally->closed);
        sums.resumed += atomic_load(&tally->resumed);
        sums.events += atomic_load(&tally->events);
        sums.bytes += atomic_load(&tally->bytes);
        sums.inflated += atomic_load(&tally->inflated);
        if (first_ns != 0 && first_ns < sums.first_ns)
            sums.first_ns = first_ns;
        if (last_ns > sums.last_ns)
            sums.last_ns = last_ns;
    }
    if (sums.first_ns == UINT64_MAX)
        sums.first_ns = 0;
    return sums;
}

/* Ends the line that line begins: all histograms as one. */
static void print_with_latency(struct parent *parent, struct rg_buf *line)
{
    struct rg_hist *all = rg_zalloc(sizeof(*all));

    for (unsigned i = 0; i < parent->plan.workers; i++)
        rg_hist_merge(all, &parent->shared->tallies[i].latency);
    rg_hist_describe(all, line);
    printf("%.*s}\n", (int)line->n, line->p);
    fflush(stdout);
    rg_free(all);
}

static void report(struct parent *parent)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf line = {0};
    struct sums sums = sum_up(parent);

    rg_buf_addf(&line, "{\"ready\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"closed\":%" PRIu64,
                sums.ready, sums.failed, sums.closed);
    rg_buf_addf(&line, ",\"resumed\":%" PRIu64 ",\"tls\":\"%s\"", sums.resumed,
                parent->shared->tls);
    rg_buf_addf(&line, ",\"events\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"inflated\":%" PRIu64,
                sums.events, sums.bytes, sums.inflated);
    rg_buf_addf(&line, ",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64 ",", sums.first_ns,
                sums.last_ns);
    print_with_latency(parent, &line);
}

static uint64_t come(const struct sums *sums)
{
    return sums->ready + sums->failed;
}

/* False if the time is over first. */
static bool wait_subscribed(struct parent *parent)
{
    uint64_t end_ms = rg_clock_mono_ms() + (uint64_t)parent->timeout_s * 1000;
    struct sums sums;

    do {
        usleep(POLL_US);
        sums = sum_up(parent);
    } while (come(&sums) < parent->plan.clients && rg_clock_mono_ms() < end_ms);
    return sums.ready == parent->plan.clients;
}

static void start_anew(struct parent *parent)
{
    uint64_t epoch = atomic_fetch_add(&parent->shared->epoch, 1) + 1;

    for (unsigned i = 0; i < parent->plan.workers; i++) {
        while (atomic_load(&parent->shared->tallies[i].epoch) != epoch &&
               kill(parent->pids[i], 0) == 0)
            usleep(POLL_US);
    }
}

static void reset(struct parent *parent)
{
    start_anew(parent);
    puts("ok");
    fflush(stdout);
}

static void wait_events(struct parent *parent, uint64_t count, uint64_t ms)
{
    uint64_t end_ms = rg_clock_mono_ms() + ms;

    while (sum_up(parent).events < count && rg_clock_mono_ms() < end_ms)
        usleep(POLL_US);
    report(parent);
}

/* The clients that have come since before, of count that were wanted. */
static void report_opened(struct parent *parent, const struct sums *before, uint64_t count)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf line = {0};
    struct sums now = sum_up(parent);
    uint64_t opened = now.ready - before->ready;
    double seconds = (double)(now.last_ns - now.first_ns) / 1e9;

    rg_buf_addf(&line, "{\"wanted\":%" PRIu64 ",\"opened\":%" PRIu64 ",\"failed\":%" PRIu64, count,
                opened, now.failed - before->failed);
    rg_buf_addf(&line, ",\"resumed\":%" PRIu64 ",\"tls\":\"%s\"", now.resumed - before->resumed,
                parent->shared->tls);
    rg_buf_addf(&line, ",\"seconds\":%.6f,\"rate\":%.1f,", seconds,
                seconds > 0 ? (double)opened / seconds : 0);
    print_with_latency(parent, &line);
}

static void open_passing(struct parent *parent, uint64_t count, uint64_t ms)
{
    uint64_t end_ms = rg_clock_mono_ms() + ms;
    struct sums before, now;

    start_anew(parent);
    before = sum_up(parent);
    atomic_fetch_add(&parent->shared->goal, count);
    do {
        usleep(POLL_US);
        now = sum_up(parent);
    } while (come(&now) < come(&before) + count && rg_clock_mono_ms() < end_ms);
    report_opened(parent, &before, count);
}

static void obey(struct parent *parent)
{
    char line[128];
    uint64_t count, ms;

    while (fgets(line, sizeof(line), stdin) != NULL) {
        struct rg_str command = rg_str_n(line, strcspn(line, "\n"));

        if (rg_str_eq(command, RG_STR("quit")))
            break;
        if (rg_str_eq(command, RG_STR("reset")))
            reset(parent);
        else if (sscanf(line, "wait %" SCNu64 " %" SCNu64, &count, &ms) == 2)
            wait_events(parent, count, ms);
        else if (sscanf(line, "open %" SCNu64 " %" SCNu64, &count, &ms) == 2)
            open_passing(parent, count, ms);
        else
            report(parent);
    }
}

int main(int argc, char **argv)
{
    struct parent parent = {.plan = {.clients = 1000,
                                     .workers = 2,
                                     .window = 128,
                                     .subscriptions = "[{\"eventType\":\"bench.all\"}]"},
                            .streams = 100,
                            .timeout_s = 120};
    bool is_complete;

    parse(&parent, argc, argv);
    rg_args_raise_descriptors();
    start_workers(&parent);
    is_complete = parent.plan.is_passing || wait_subscribed(&parent);
    report(&parent);
    if (is_complete)
        obey(&parent);
    stop_workers(&parent);
    return is_complete ? 0 : 1;
}
