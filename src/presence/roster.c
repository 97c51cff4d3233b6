#include "presence/roster.h"

#include "base/alloc.h"

struct rg_roster {
    struct rg_roster_settings settings;
};

struct rg_roster *rg_roster_new(const struct rg_roster_settings *settings)
{
    struct rg_roster *roster = rg_zalloc(sizeof(*roster));

    roster->settings = *settings;
    return roster;
}

void rg_roster_free(struct rg_roster **rosterp)
{
    rg_free(RG_STEAL(*rosterp));
}

void rg_roster_expose(struct rg_roster *roster, struct rg_buf *out)
{
    (void)roster;
    (void)out;
}
