#include "event/tally.h"

#include "base/clock.h"

static const struct rg_family_row consumed_row = {
    "rig_consumed_events_total",
    "counter",
    {"source", "topic"},
    "Events that came in, good or bad; from HTTP the topic is empty."};
static const struct rg_family_row failed_row = {"rig_consumed_events_failed_total",
                                                "counter",
                                                {"source", "topic"},
                                                "Events that came in and could not be handled."};
static const struct rg_family_row duration_row = {
    "rig_consumed_event_processing_duration_milliseconds",
    "histogram",
    {"source", "topic"},
    "Processing time of good events, up to the inboxes of the reactors."};
static const struct rg_family_row forwarded_row = {
    "rig_consumed_events_forwarded_total",
    "counter",
    {"type"},
    "Events that matched at least one subscription."};

void rg_tally_init(struct rg_tally *tally)
{
    tally->consumed = rg_family_new(&consumed_row);
    tally->failed = rg_family_new(&failed_row);
    tally->duration = rg_family_new(&duration_row);
    tally->forwarded = rg_family_new(&forwarded_row);
}

void rg_tally_done(struct rg_tally *tally)
{
    rg_family_free(&tally->consumed);
    rg_family_free(&tally->failed);
    rg_family_free(&tally->duration);
    rg_family_free(&tally->forwarded);
}

void rg_tally_count(const struct rg_tally *tally, struct rg_str source, struct rg_str topic,
                    int err, size_t n, uint64_t started_ns)
{
    rg_series_add(rg_family_get(tally->consumed, source, topic), n);
    if (err < 0)
        rg_series_add(rg_family_get(tally->failed, source, topic), n);
    else if (n > 0)
        rg_series_observe(rg_family_get(tally->duration, source, topic), n,
                          (rg_clock_mono_ns() - started_ns) / n);
}

void rg_tally_expose(const struct rg_tally *tally, struct rg_buf *out)
{
    rg_family_expose(tally->consumed, out);
    rg_family_expose(tally->failed, out);
    rg_family_expose(tally->duration, out);
    rg_family_expose(tally->forwarded, out);
}
