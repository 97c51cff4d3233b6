/*
 * Two structures over the same entries: a table under RCU, which readers ask, and a heap by time,
 * which tells writers what is over. Readers compare the time themselves, so an entry need not be
 * taken out the moment it ends; whoever holds the lock next does it. What is out of the table has
 * left the heap too, under the same lock.
 */
#include "auth/blacklist.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/hash.h"
#include "base/rcu.h"

#define MIN_HEAP 64

struct entry {
    struct cds_lfht_node node;
    struct rcu_head rcu;
    struct rg_hash128 session;
    _Atomic uint64_t until_ms; /* the last moment it counts; changed under the lock */
    size_t at;                 /* in the heap; under the lock */
};

struct rg_blacklist {
    struct rg_hash_key hash_key;
    uint64_t (*now_ms)(void);
    size_t max;
    rg_blacklist_fn *on_ban; /* set once */
    void *on_ban_arg;

    struct cds_lfht *table; /* any thread reads under RCU; changed under the lock */

    pthread_mutex_t lock; /* for all that follows */
    struct entry **heap;  /* the one that ends first is at 0 */
    size_t n, cap;
    uint64_t bans; /* ever */
};

struct rg_blacklist *rg_blacklist_new(void)
{
    return rg_blacklist_new_with(RG_BLACKLIST_MAX, rg_clock_mono_ms);
}

struct rg_blacklist *rg_blacklist_new_with(size_t max, uint64_t (*now_ms)(void))
{
    struct rg_blacklist *blacklist = rg_zalloc(sizeof(*blacklist));

    rg_hash_key_random(&blacklist->hash_key);
    blacklist->max = max;
    blacklist->now_ms = now_ms;
    blacklist->table = rg_rcu_table_new();
    pthread_mutex_init(&blacklist->lock, NULL);
    return blacklist;
}

void rg_blacklist_on_ban(struct rg_blacklist *blacklist, rg_blacklist_fn *fn, void *arg)
{
    blacklist->on_ban = fn;
    blacklist->on_ban_arg = arg;
}

/* ---- the heap ---- */

static uint64_t until(const struct entry *entry)
{
    return atomic_load_explicit(&entry->until_ms, memory_order_relaxed);
}

static void heap_place_locked(struct rg_blacklist *blacklist, struct entry *entry, size_t at)
{
    blacklist->heap[at] = entry;
    entry->at = at;
}

/* Moves entry, which belongs at `at` or above, to its place. */
static void heap_rise_locked(struct rg_blacklist *blacklist, struct entry *entry, size_t at)
{
    while (at > 0 && until(blacklist->heap[(at - 1) / 2]) > until(entry)) {
        heap_place_locked(blacklist, blacklist->heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    heap_place_locked(blacklist, entry, at);
}

/* Moves entry, which belongs at `at` or below, to its place. */
static void heap_sink_locked(struct rg_blacklist *blacklist, struct entry *entry, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < blacklist->n &&
            until(blacklist->heap[child + 1]) < until(blacklist->heap[child]))
            child++;
        if (child >= blacklist->n || until(blacklist->heap[child]) >= until(entry))
            break;
        heap_place_locked(blacklist, blacklist->heap[child], at);
        at = child;
    }
    heap_place_locked(blacklist, entry, at);
}

static void heap_resize_locked(struct rg_blacklist *blacklist, size_t cap)
{
    blacklist->heap = rg_realloc_array(blacklist->heap, cap, sizeof(blacklist->heap[0]));
    blacklist->cap = cap;
}

static void heap_add_locked(struct rg_blacklist *blacklist, struct entry *entry)
{
    if (blacklist->n == blacklist->cap)
        heap_resize_locked(blacklist, blacklist->cap > 0 ? 2 * blacklist->cap : MIN_HEAP);
    heap_rise_locked(blacklist, entry, blacklist->n++);
}

static struct entry *heap_take_first_locked(struct rg_blacklist *blacklist)
{
    struct entry *first = blacklist->heap[0];

    if (--blacklist->n > 0)
        heap_sink_locked(blacklist, blacklist->heap[blacklist->n], 0);
    if (blacklist->cap > MIN_HEAP && blacklist->n <= blacklist->cap / 4)
        heap_resize_locked(blacklist, blacklist->cap / 2);
    return first;
}

/* ---- the table ---- */

static int is_of_session(struct cds_lfht_node *node, const void *session)
{
    const struct entry *entry = RG_CONTAINER_OF(node, struct entry, node);
    const struct rg_hash128 *want = session;

    RG_TSAN_ACQUIRE(entry);
    return entry->session.w[0] == want->w[0] && entry->session.w[1] == want->w[1];
}

/* Needs the RCU read lock. */
static struct entry *find(struct rg_blacklist *blacklist, const struct rg_hash128 *session)
{
    struct cds_lfht_iter iter;

    cds_lfht_lookup(blacklist->table, session->w[0], is_of_session, session, &iter);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
    return node != NULL ? RG_CONTAINER_OF(node, struct entry, node) : NULL;
}

static void free_entry(struct rcu_head *head)
{
    RG_RCU_CALLBACK(head);
    rg_free(RG_CONTAINER_OF(head, struct entry, rcu));
}

static void remove_first_locked(struct rg_blacklist *blacklist)
{
    struct entry *entry = heap_take_first_locked(blacklist);

    rg_rcu_table_del(blacklist->table, &entry->node);
    rg_rcu_call(&entry->rcu, free_entry);
}

static void forget_old_locked(struct rg_blacklist *blacklist, uint64_t now_ms)
{
    while (blacklist->n > 0 && until(blacklist->heap[0]) < now_ms)
        remove_first_locked(blacklist);
}

static int add_locked(struct rg_blacklist *blacklist, const struct rg_hash128 *session,
                      uint64_t until_ms)
{
    struct entry *entry = find(blacklist, session);

    if (entry == NULL) {
        if (blacklist->n >= blacklist->max)
            return RG_EFULL;
        entry = rg_zalloc(sizeof(*entry));
        entry->session = *session;
        atomic_init(&entry->until_ms, until_ms);
        heap_add_locked(blacklist, entry);
        RG_TSAN_RELEASE(entry);
        rg_rcu_table_add(blacklist->table, session->w[0], &entry->node);
    } else if (until(entry) < until_ms) {
        atomic_store_explicit(&entry->until_ms, until_ms, memory_order_relaxed);
        heap_sink_locked(blacklist, entry, entry->at);
    }
    blacklist->bans++;
    return 0;
}

int rg_blacklist_add(struct rg_blacklist *blacklist, struct rg_str session, uint64_t seconds)
{
    struct rg_hash128 hash = rg_hash128(&blacklist->hash_key, session.p, session.n);
    uint64_t now_ms = blacklist->now_ms();
    int err;

    rg_assert(seconds >= 1 && seconds <= RG_BLACKLIST_MAX_SECONDS);
    pthread_mutex_lock(&blacklist->lock);
    rg_rcu_read_lock();
    forget_old_locked(blacklist, now_ms);
    /* now_ms has begun already: the last moment is in the millisecond behind the time asked for. */
    err = add_locked(blacklist, &hash, now_ms + seconds * 1000);
    rg_rcu_read_unlock();
    pthread_mutex_unlock(&blacklist->lock);
    if (err == 0 && blacklist->on_ban != NULL)
        blacklist->on_ban(blacklist->on_ban_arg, session);
    return err;
}

bool rg_blacklist_has(struct rg_blacklist *blacklist, struct rg_str session)
{
    struct rg_hash128 hash = rg_hash128(&blacklist->hash_key, session.p, session.n);

    rg_rcu_read_lock();
    const struct entry *entry = find(blacklist, &hash);
    bool is_banned = entry != NULL && blacklist->now_ms() <= until(entry);
    rg_rcu_read_unlock();
    return is_banned;
}

/* ---- numbers ---- */

static size_t look(struct rg_blacklist *blacklist, uint64_t *ret_bans)
{
    pthread_mutex_lock(&blacklist->lock);
    rg_rcu_read_lock();
    forget_old_locked(blacklist, blacklist->now_ms());
    rg_rcu_read_unlock();
    size_t n = blacklist->n;
    *ret_bans = blacklist->bans;
    pthread_mutex_unlock(&blacklist->lock);
    return n;
}

size_t rg_blacklist_count(struct rg_blacklist *blacklist)
{
    uint64_t bans;

    return look(blacklist, &bans);
}

void rg_blacklist_expose(struct rg_blacklist *blacklist, struct rg_buf *out)
{
    static const char labels[] = "{name=\"Elixir.SessionBlacklist\"}";
    uint64_t bans;
    size_t n = look(blacklist, &bans);

    rg_metric_head(out, "rig_distributed_set_items_total", "gauge", "Entries ever added, by set.");
    rg_buf_addf(out, "rig_distributed_set_items_total%s %" PRIu64 "\n", labels, bans);
    rg_metric_head(out, "rig_distributed_set_items_current", "gauge", "Entries in force, by set.");
    rg_buf_addf(out, "rig_distributed_set_items_current%s %zu\n", labels, n);
}

void rg_blacklist_free(struct rg_blacklist **blacklistp)
{
    struct rg_blacklist *blacklist = RG_STEAL(*blacklistp);

    if (blacklist == NULL)
        return;
    rg_rcu_read_lock();
    while (blacklist->n > 0)
        remove_first_locked(blacklist);
    rg_rcu_read_unlock();
    rg_rcu_barrier();
    rg_rcu_table_free(&blacklist->table);
    pthread_mutex_destroy(&blacklist->lock);
    rg_free(blacklist->heap);
    rg_free(blacklist);
}
