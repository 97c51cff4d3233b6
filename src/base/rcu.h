/*
 * rcu.h - read-mostly tables: liburcu, with what the thread sanitizer must know.
 *
 * Readers run between rg_rcu_read_lock() and rg_rcu_read_unlock() and never
 * wait. A writer unlinks an object and hands it to rg_rcu_call(), whose callback
 * runs once every reader that could have seen it is gone; it opens with RG_RCU_CALLBACK(head).
 *
 * liburcu is compiled without the thread sanitizer's instrumentation, which
 * therefore does not see the ordering that the library guarantees; the
 * annotations here tell it, and compile to nothing in other builds.
 *
 * Thread: every thread that reads calls rg_rcu_thread_start() first.
 */
#pragma once

#include <urcu/rculfhash.h>
#include <urcu/urcu-memb.h>

#include "base/alloc.h"

#if defined(__SANITIZE_THREAD__)
#define RG_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RG_TSAN 1
#endif
#endif

#ifdef RG_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define RG_TSAN_ACQUIRE(addr) __tsan_acquire((void *)(addr))
#define RG_TSAN_RELEASE(addr) __tsan_release((void *)(addr))
/*
 * liburcu hands memory of its own from the thread that asks for something to a thread of its own
 * that does it: the sanitizer sees its malloc() and free(), but not what orders them. Between these
 * two it does not look. Nothing of ours runs there.
 */
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#define RG_LIBURCU_BEGIN() AnnotateIgnoreWritesBegin(__FILE__, __LINE__)
#define RG_LIBURCU_END()   AnnotateIgnoreWritesEnd(__FILE__, __LINE__)
#else
#define RG_TSAN_ACQUIRE(addr) ((void)(addr))
#define RG_TSAN_RELEASE(addr) ((void)(addr))
#define RG_LIBURCU_BEGIN()    ((void)0)
#define RG_LIBURCU_END()      ((void)0)
#endif

/* First line of every callback of rg_rcu_call(). */
#define RG_RCU_CALLBACK(head)                                                                      \
    do {                                                                                           \
        RG_TSAN_ACQUIRE(head);                                                                     \
        RG_TSAN_ACQUIRE(&rg_rcu_grace);                                                            \
    } while (0)

/* Stands for "the grace period" in the sanitizer's eyes. */
extern char rg_rcu_grace;

static inline void rg_rcu_thread_start(void)
{
    urcu_memb_register_thread();
}

static inline void rg_rcu_thread_stop(void)
{
    urcu_memb_unregister_thread();
}

static inline void rg_rcu_read_lock(void)
{
    urcu_memb_read_lock();
}

static inline void rg_rcu_read_unlock(void)
{
    RG_TSAN_RELEASE(&rg_rcu_grace);
    urcu_memb_read_unlock();
}

/* Calls fn(head) on liburcu's own thread after a grace period. */
void rg_rcu_call(struct rcu_head *head, void (*fn)(struct rcu_head *head));

/* An empty table that grows by itself, for keys that are hashes. Aborts if there is no memory. */
struct cds_lfht *rg_rcu_table_new(void);

/* Frees an empty table that nobody reads any more. Never on a reactor. */
void rg_rcu_table_free(struct cds_lfht **tablep);

/* Add and remove; the caller holds the lock of the table's writers. */
void rg_rcu_table_add(struct cds_lfht *table, unsigned long hash, struct cds_lfht_node *node);
void rg_rcu_table_del(struct cds_lfht *table, struct cds_lfht_node *node);

/* Waits until every callback of rg_rcu_call() so far has run. Never on a reactor. */
void rg_rcu_barrier(void);
