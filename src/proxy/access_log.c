#include "proxy/access_log.h"

#include "base/alloc.h"

struct rg_access_log {
    struct rg_access_log_settings settings;
};

struct rg_access_log *rg_access_log_new(const struct rg_access_log_settings *settings)
{
    struct rg_access_log *log = rg_zalloc(sizeof(*log));

    log->settings = *settings;
    return log;
}

void rg_access_log_free(struct rg_access_log **logp)
{
    rg_free(*logp);
    *logp = NULL;
}

bool rg_access_log_wants(struct rg_access_log *log, int status)
{
    (void)log;
    (void)status;
    return false;
}

void rg_access_log_put(struct rg_access_log *log, const struct rg_access_record *record)
{
    (void)log;
    (void)record;
}

void rg_access_log_expose(struct rg_access_log *log, struct rg_buf *out)
{
    (void)log;
    (void)out;
}
