#include "bench/load_tally.h"

#include <string.h>

#include "base/clock.h"

#define TAIL_SIZE (RG_STAMP_SIZE - 1)

_Static_assert(sizeof(RG_LOAD_SUBSCRIBED) - 1 <= RG_STAMP_SIZE,
               "a tail holds what is missing of either");

/* The tail and as much of what follows as can complete it. */
struct seam {
    char p[2 * TAIL_SIZE];
    size_t n;
};

static void join(struct seam *seam, const struct rg_load_tail *tail, const char *p, size_t n)
{
    size_t more = n < TAIL_SIZE ? n : TAIL_SIZE;

    memcpy(seam->p, tail->p, tail->n);
    memcpy(seam->p + tail->n, p, more);
    seam->n = tail->n + more;
}

/* Keeps the end of what has not been used. */
static void keep(struct rg_load_tail *tail, const char *p, size_t n)
{
    tail->n = (unsigned char)(n < TAIL_SIZE ? n : TAIL_SIZE);
    memcpy(tail->p, p + n - tail->n, tail->n);
}

static void count(struct rg_load_tally *tally, uint64_t sent_ns, uint64_t now_ns)
{
    if (atomic_load_explicit(&tally->first_ns, memory_order_relaxed) == 0)
        atomic_store_explicit(&tally->first_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&tally->last_ns, now_ns, memory_order_relaxed);
    rg_hist_add(&tally->latency, now_ns > sent_ns ? now_ns - sent_ns : 0);
}

void rg_load_tally_event(struct rg_load_tally *tally, uint64_t sent_ns)
{
    count(tally, sent_ns, rg_clock_mono_ns());
    atomic_fetch_add_explicit(&tally->events, 1, memory_order_release);
}

void rg_load_tally_scan(struct rg_load_tally *tally, struct rg_load_tail *tail, const char *p,
                        size_t n)
{
    uint64_t now_ns = rg_clock_mono_ns();
    uint64_t sent_ns, found = 0;
    size_t at = 0, step;
    struct seam seam;

    join(&seam, tail, p, n);
    /* Neither half is long enough for a stamp of its own: one that is found lies across. */
    step = rg_stamp_find(seam.p, seam.n, &sent_ns);
    if (step > tail->n) {
        count(tally, sent_ns, now_ns);
        at = step - tail->n;
        tail->n = 0;
        found++;
    }
    while ((step = rg_stamp_find(p + at, n - at, &sent_ns)) > 0) {
        count(tally, sent_ns, now_ns);
        at += step;
        tail->n = 0;
        found++;
    }
    if (n - at < TAIL_SIZE && tail->n > 0)
        keep(tail, seam.p, seam.n); /* nothing was found: at is 0 and the seam has all of it */
    else
        keep(tail, p + at, n - at);
    if (found > 0)
        atomic_fetch_add_explicit(&tally->events, found, memory_order_release);
}

bool rg_load_tail_has(struct rg_load_tail *tail, const char *mark, const char *p, size_t n)
{
    size_t mark_n = strlen(mark);
    struct seam seam;
    bool is_found;

    join(&seam, tail, p, n);
    is_found = memmem(seam.p, seam.n, mark, mark_n) != NULL || memmem(p, n, mark, mark_n) != NULL;
    if (n < TAIL_SIZE)
        keep(tail, seam.p, seam.n);
    else
        keep(tail, p, n);
    return is_found;
}
