/*
 * blacklist.h - sessions that are banned for a while (client-api.md section 13, management-api.md
 * section 3).
 *
 * Read for every token that is checked, changed rarely: a table under RCU. An entry is a keyed
 * 128-bit hash of the session's name, so its size does not depend on what anybody sends. It counts
 * until its time is over, by the monotonic clock; the memory is reused at the next change or look
 * at the count. Adding one again can only prolong it.
 *
 * Thread: any registered with rcu.h; building and freeing, one.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct rg_blacklist;

/* Called after a session was banned, on the thread that did. */
typedef void rg_blacklist_fn(void *arg, struct rg_str session);

#define RG_BLACKLIST_MAX         1000000
#define RG_BLACKLIST_MAX_SECONDS ((uint64_t)1 << 31)

struct rg_blacklist *rg_blacklist_new(void);
/* The same with room for max entries, and with another clock than rg_clock_mono_ms(). */
struct rg_blacklist *rg_blacklist_new_with(size_t max, uint64_t (*now_ms)(void));
/* Nobody may use it any more. Waits for a grace period: never on a reactor. */
void rg_blacklist_free(struct rg_blacklist **blacklistp);

/* Whom to tell of each ban; before any thread adds. */
void rg_blacklist_on_ban(struct rg_blacklist *blacklist, rg_blacklist_fn *fn, void *arg);

/*
 * Bans session for at least seconds (1 .. RG_BLACKLIST_MAX_SECONDS) and tells. RG_EFULL, with
 * nothing changed and nobody told, if there is no room for another entry.
 */
int rg_blacklist_add(struct rg_blacklist *blacklist, struct rg_str session, uint64_t seconds);

/* True while session is banned; an entry lives at most one second longer than asked for. */
bool rg_blacklist_has(struct rg_blacklist *blacklist, struct rg_str session);

/* Entries in force. */
size_t rg_blacklist_count(struct rg_blacklist *blacklist);

/* Appends the metrics of management-api.md 7.1 about this list: bans so far, entries in force. */
void rg_blacklist_expose(struct rg_blacklist *blacklist, struct rg_buf *out);
