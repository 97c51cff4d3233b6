/*
 * quota.h - how often an endpoint may be used: token buckets by endpoint and address or session.
 *
 * One table for all reactors, of bounded size: the bucket that was used longest ago makes room. A
 * bucket that is full again is the same as none, so nothing is swept. The table is in parts, each
 * with a lock, which is held for one look at a bucket.
 *
 * Thread: any.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

struct rg_rate {
    uint64_t requests;  /* in each period_ms; 0: no limit */
    uint64_t period_ms; /* 0: no limit */
    uint64_t burst;     /* how many may come at once; at least 1 (0 counts as 1) */
    bool by_session;    /* by the token's session; else by the client's address */
};

#define RG_QUOTA_MAX_BUCKETS 100000

struct rg_quota;

/* max_buckets is at least 1. It is divided among the parts, of which there are as many as leave
 * each room for hundreds; a part that is full makes room in itself. */
struct rg_quota *rg_quota_new(size_t max_buckets);
void rg_quota_free(struct rg_quota **quotap);

/* What the RateLimit fields say (draft-ietf-httpapi-ratelimit-headers). */
struct rg_quota_state {
    bool is_allowed;
    uint64_t remaining;     /* requests at once from here on */
    uint64_t reset_s;       /* until the bucket is full again, rounded up */
    uint64_t retry_after_s; /* not allowed: until the next is, at least 1 */
};

/*
 * Takes one request from the bucket of who at place (API id and endpoint id). An address of IPv6
 * counts by its /64, one that stands for an address of IPv4 (::ffff:1.2.3.4) as that. Where rate
 * changes, buckets begin anew. A request that is not allowed takes nothing. Without a limit
 * remaining is UINT64_MAX. now_ms is monotonic; threads' may differ a little.
 */
void rg_quota_take(struct rg_quota *quota, const struct rg_rate *rate, struct rg_str place,
                   struct rg_str who, uint64_t now_ms, struct rg_quota_state *ret);

/* Appends metrics: buckets, refusals. */
void rg_quota_expose(struct rg_quota *quota, struct rg_buf *out);
