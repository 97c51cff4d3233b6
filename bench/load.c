/*
 * load.c - rg-load, very many clients in a few processes.
 *
 * The parent forks the workers (load_worker.h), waits until every client is subscribed, prints a
 * report, and then obeys lines on its standard input, one report or "ok" per line:
 *
 *   reset               start counting anew
 *   report              print the counts
 *   wait COUNT MS       wait until COUNT events arrived, at most MS milliseconds, then report
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
    "  --bare              the server is rg-bare-fanout\n"
    "  --subscriptions J   JSON list; {n} is the number of the client, seven digits\n"
    "  --workers N         processes (2)\n"
    "  --addresses N       source addresses from 127.0.0.2 on (as many as are needed)\n"
    "  --window N          connections in the making per process (128)\n"
    "  --timeout SECONDS   until all are subscribed (120)\n";

static const struct option options[] = {
    {"clients", required_argument, NULL, 'n'}, {"kind", required_argument, NULL, 'k'},
    {"bare", no_argument, NULL, 'b'},          {"subscriptions", required_argument, NULL, 's'},
    {"workers", required_argument, NULL, 'w'}, {"addresses", required_argument, NULL, 'a'},
    {"window", required_argument, NULL, 'o'},  {"timeout", required_argument, NULL, 't'},
    {"help", no_argument, NULL, 'h'},          {0}};

struct parent {
    struct rg_load_plan plan;
    struct rg_load_shared *shared;
    pid_t pids[MAX_WORKERS];
    unsigned timeout_s;
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

static void parse_option(struct parent *parent, int option, const char *value)
{
    struct rg_load_plan *plan = &parent->plan;

    switch (option) {
    case 'n':
        plan->clients = (unsigned)rg_args_u64("--clients", value, 1000000);
        break;
    case 'k':
        plan->kind = parse_kind(value);
        break;
    case 'b':
        plan->is_bare = true;
        break;
    case 's':
        plan->subscriptions = value;
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

static void parse(struct parent *parent, int argc, char **argv)
{
    struct rg_load_plan *plan = &parent->plan;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        parse_option(parent, option, optarg);
    if (optind + 1 != argc)
        rg_args_fail("%s", usage);
    plan->server = rg_args_endpoint("HOST:PORT", argv[optind]);
    if (plan->workers == 0 || plan->window == 0)
        rg_args_fail("--workers and --window must not be 0");
    if (plan->addresses == 0)
        plan->addresses = plan->clients / PORTS_PER_ADDRESS + 1;
}

static void start_workers(struct parent *parent)
{
    size_t size = sizeof(*parent->shared) + sizeof(struct rg_load_tally) * parent->plan.workers;

    parent->shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (parent->shared == MAP_FAILED)
        rg_args_die("mmap");
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
    uint64_t ready, failed, closed, events, bytes, first_ns, last_ns;
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
        sums.events += atomic_load(&tally->events);
        sums.bytes += atomic_load(&tally->bytes);
        if (first_ns != 0 && first_ns < sums.first_ns)
            sums.first_ns = first_ns;
        if (last_ns > sums.last_ns)
            sums.last_ns = last_ns;
    }
    if (sums.first_ns == UINT64_MAX)
        sums.first_ns = 0;
    return sums;
}

static void report(struct parent *parent)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf line = {0};
    struct sums sums = sum_up(parent);
    struct rg_hist *all = rg_zalloc(sizeof(*all));

    for (unsigned i = 0; i < parent->plan.workers; i++)
        rg_hist_merge(all, &parent->shared->tallies[i].latency);
    rg_buf_addf(&line, "{\"ready\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"closed\":%" PRIu64,
                sums.ready, sums.failed, sums.closed);
    rg_buf_addf(&line, ",\"events\":%" PRIu64 ",\"bytes\":%" PRIu64, sums.events, sums.bytes);
    rg_buf_addf(&line, ",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64 ",", sums.first_ns,
                sums.last_ns);
    rg_hist_describe(all, &line);
    printf("%.*s}\n", (int)line.n, line.p);
    fflush(stdout);
    rg_free(all);
}

/* False if the time is over first. */
static bool wait_subscribed(struct parent *parent)
{
    uint64_t end_ms = rg_clock_mono_ms() + (uint64_t)parent->timeout_s * 1000;
    struct sums sums;

    do {
        usleep(POLL_US);
        sums = sum_up(parent);
    } while (sums.ready + sums.failed < parent->plan.clients && rg_clock_mono_ms() < end_ms);
    return sums.ready == parent->plan.clients;
}

static void reset(struct parent *parent)
{
    uint64_t epoch = atomic_fetch_add(&parent->shared->epoch, 1) + 1;

    for (unsigned i = 0; i < parent->plan.workers; i++) {
        while (atomic_load(&parent->shared->tallies[i].epoch) != epoch &&
               kill(parent->pids[i], 0) == 0)
            usleep(POLL_US);
    }
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
                            .timeout_s = 120};
    bool is_complete;

    parse(&parent, argc, argv);
    rg_args_raise_descriptors();
    start_workers(&parent);
    is_complete = wait_subscribed(&parent);
    report(&parent);
    if (is_complete)
        obey(&parent);
    stop_workers(&parent);
    return is_complete ? 0 : 1;
}
