/*
 * produce.c - rg-produce, where the events of a benchmark come from.
 *
 * Sends COUNT events of SIZE bytes, RATE a second on an absolute schedule (0: as fast as they are
 * taken), to a Kafka topic, over HTTP or as datagrams, each stamped right before it is sent.
 * Prints one JSON line at the end; fails if an event was not accepted.
 */
#include "bench/produce.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "bench/args.h"
#include "bench/payload.h"

static const char usage[] =
    "usage: rg-produce (--brokers LIST --topic NAME | --http HOST:PORT | --udp HOST:PORT)\n"
    "                  [option...]\n"
    "  --count N           events (1)\n"
    "  --size BYTES        of each (300)\n"
    "  --rate N            a second; 0: as fast as possible (0)\n"
    "  --type TYPE         event type (bench.all)\n"
    "  --addressed         no CloudEvents but messages to users\n"
    "  --to-count N        addressees, taken in mixed order (1)\n"
    "  --key KEY           Kafka key: none, to or id (none)\n"
    "  --create N          create the topic with N partitions\n"
    "  --properties LIST   name=value,... for librdkafka\n"
    "  --path PATH         of HTTP requests (/_rig/v1/events)\n"
    "  --pipeline N        HTTP requests without their answer (1)\n";

static const struct option options[] = {
    {"brokers", required_argument, NULL, 'b'},    {"topic", required_argument, NULL, 't'},
    {"http", required_argument, NULL, 'h'},       {"udp", required_argument, NULL, 'u'},
    {"count", required_argument, NULL, 'n'},      {"size", required_argument, NULL, 's'},
    {"rate", required_argument, NULL, 'r'},       {"type", required_argument, NULL, 'y'},
    {"addressed", no_argument, NULL, 'd'},        {"to-count", required_argument, NULL, 'o'},
    {"key", required_argument, NULL, 'k'},        {"create", required_argument, NULL, 'c'},
    {"properties", required_argument, NULL, 'p'}, {"path", required_argument, NULL, 'a'},
    {"pipeline", required_argument, NULL, 'i'},   {0}};

struct job {
    const char *brokers, *topic, *http, *udp, *type, *key, *properties, *path;
    uint64_t count, size, rate, to_count;
    unsigned pipeline;
    int partitions;
    bool is_addressed;
};

/* The options that name something. */
static bool parse_text(struct job *job, int option, const char *value)
{
    switch (option) {
    case 'b':
        job->brokers = value;
        return true;
    case 't':
        job->topic = value;
        return true;
    case 'h':
        job->http = value;
        return true;
    case 'u':
        job->udp = value;
        return true;
    case 'y':
        job->type = value;
        return true;
    case 'k':
        job->key = value;
        return true;
    case 'p':
        job->properties = value;
        return true;
    case 'a':
        job->path = value;
        return true;
    default:
        return false;
    }
}

static void parse_number(struct job *job, int option, const char *value)
{
    switch (option) {
    case 'n':
        job->count = rg_args_u64("--count", value, 1000000000);
        break;
    case 's':
        job->size = rg_args_u64("--size", value, 1 << 20);
        break;
    case 'r':
        job->rate = rg_args_u64("--rate", value, 10000000);
        break;
    case 'o':
        job->to_count = rg_args_u64("--to-count", value, 9999999);
        break;
    case 'c':
        job->partitions = (int)rg_args_u64("--create", value, 1000);
        break;
    case 'd':
        job->is_addressed = true;
        break;
    case 'i':
        job->pipeline = (unsigned)rg_args_u64("--pipeline", value, 1024);
        break;
    default:
        rg_args_fail("%s", usage);
    }
}

static void parse(struct job *job, int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!parse_text(job, option, optarg))
            parse_number(job, option, optarg);
    }
    if (optind != argc || job->pipeline == 0 || job->to_count == 0)
        rg_args_fail("%s", usage);
    if (job->size < RG_PAYLOAD_MIN_SIZE)
        rg_args_fail("--size: at least %d is expected", RG_PAYLOAD_MIN_SIZE);
}

static struct rg_sink *open_sink(const struct job *job)
{
    struct sockaddr_in server;

    if (job->http != NULL) {
        server = rg_args_endpoint("--http", job->http);
        return rg_produce_http_open(&server, job->path, job->pipeline);
    }
    if (job->udp != NULL) {
        server = rg_args_endpoint("--udp", job->udp);
        return rg_produce_udp_open(&server);
    }
    if (job->brokers == NULL || job->topic == NULL)
        rg_args_fail("%s", usage);
    return rg_produce_kafka_open(job->brokers, job->topic, job->properties, job->partitions);
}

static void sleep_until(uint64_t ns)
{
    struct timespec at = {.tv_sec = (time_t)(ns / 1000000000u),
                          .tv_nsec = (long)(ns % 1000000000u)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        ;
}

static struct rg_str key_of(const struct job *job, const struct rg_payload *payload)
{
    if (rg_str_eq(rg_str_c(job->key), RG_STR("to")))
        return rg_str_n(payload->json.p + payload->to_at, RG_PAYLOAD_TO_DIGITS);
    if (rg_str_eq(rg_str_c(job->key), RG_STR("id")))
        return rg_str_n(payload->json.p + payload->id_at, 12);
    return (struct rg_str){NULL, 0};
}

/* A step that has no factor in common with any number of addressees below it visits all of them. */
static uint64_t addressee(const struct job *job, uint64_t i)
{
    return i * 15485863u % job->to_count;
}

static void send_all(const struct job *job, struct rg_sink *sink)
{
    uint64_t start_ns = rg_clock_mono_ns();
    struct rg_payload payload;

    rg_payload_init(&payload, job->is_addressed ? NULL : job->type, job->size);
    for (uint64_t i = 0; i < job->count; i++) {
        if (job->rate > 0)
            sleep_until(start_ns + i * 1000000000u / job->rate);
        sink->wait_room(sink);
        rg_payload_set(&payload, i, addressee(job, i), rg_clock_mono_ns());
        sink->put(sink, rg_buf_str(&payload.json), key_of(job, &payload));
    }
    rg_payload_done(&payload);
}

int main(int argc, char **argv)
{
    struct job job = {.type = "bench.all",
                      .key = "none",
                      .properties = "",
                      .path = "/_rig/v1/events",
                      .count = 1,
                      .size = 300,
                      .to_count = 1,
                      .pipeline = 1};
    uint64_t start_ns, failed = 0;
    struct rg_sink *sink;
    double seconds;

    parse(&job, argc, argv);
    sink = open_sink(&job);
    start_ns = rg_clock_mono_ns();
    send_all(&job, sink);
    sink->finish(sink, &failed);
    seconds = (double)(rg_clock_mono_ns() - start_ns) / 1e9;
    printf("{\"sent\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"seconds\":%.6f,\"rate\":%.1f}\n",
           job.count, failed, seconds, (double)job.count / seconds);
    return failed == 0 ? 0 : 1;
}
