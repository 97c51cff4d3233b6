/*
 * blacklist.h - sessions that are banned for a while (client-api.md section 13, management-api.md
 * section 3).
 *
 * Read for every token that is checked, changed rarely: a table under RCU. Entries go by
 * themselves when their time is over; adding one again can only prolong it.
 *
 * Thread: any registered with rcu.h.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct rg_blacklist;

/* Called after a session was banned, on the thread that did. */
typedef void rg_blacklist_fn(void *arg, struct rg_str session);

struct rg_blacklist *rg_blacklist_new(void);
void rg_blacklist_free(struct rg_blacklist **blacklistp);

/* Whom to tell of each ban; before any thread adds. */
void rg_blacklist_on_ban(struct rg_blacklist *blacklist, rg_blacklist_fn *fn, void *arg);

/* Bans session for at least seconds (1 .. 2^31) and tells. RG_EFULL beyond 1,000,000 entries. */
int rg_blacklist_add(struct rg_blacklist *blacklist, struct rg_str session, uint64_t seconds);

/* True while session is banned; an entry lives at most one second longer than asked for. */
bool rg_blacklist_has(struct rg_blacklist *blacklist, struct rg_str session);

/* Entries in force. */
size_t rg_blacklist_count(const struct rg_blacklist *blacklist);

/* Appends metrics. */
void rg_blacklist_expose(const struct rg_blacklist *blacklist, struct rg_buf *out);
