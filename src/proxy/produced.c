#include "proxy/produced.h"

static const struct rg_family_row events_row = {"rig_produced_events_total",
                                                "counter",
                                                {"target", "topic", NULL},
                                                "Messages that a broker has taken."};
static const struct rg_family_row failed_row = {"rig_produced_events_failed_total",
                                                "counter",
                                                {"target", "topic", NULL},
                                                "Messages that no broker has taken."};

void rg_produced_init(struct rg_produced *produced)
{
    produced->events = rg_family_new(&events_row);
    produced->failed = rg_family_new(&failed_row);
}

void rg_produced_done(struct rg_produced *produced)
{
    rg_family_free(&produced->events);
    rg_family_free(&produced->failed);
}

void rg_produced_count(const struct rg_produced *produced, struct rg_str target,
                       struct rg_str topic, int err)
{
    struct rg_family *family = err < 0 ? produced->failed : produced->events;

    rg_series_add(rg_family_get(family, target, topic), 1);
}

void rg_produced_expose(const struct rg_produced *produced, struct rg_buf *out)
{
    rg_family_expose(produced->events, out);
    rg_family_expose(produced->failed, out);
}
