#include "base/rcu.h"

#include "base/err.h"

char rg_rcu_grace;

void rg_rcu_call(struct rcu_head *head, void (*fn)(struct rcu_head *head))
{
    RG_TSAN_RELEASE(head);
    urcu_memb_call_rcu(head, fn);
}

void rg_rcu_barrier(void)
{
    RG_LIBURCU_BEGIN();
    urcu_memb_barrier();
    RG_LIBURCU_END();
}

struct cds_lfht *rg_rcu_table_new(void)
{
    struct cds_lfht *table;

    RG_LIBURCU_BEGIN();
    table = cds_lfht_new_flavor(64, 64, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING,
                                &urcu_memb_flavor, NULL);
    RG_LIBURCU_END();
    rg_assert(table != NULL);
    return table;
}

void rg_rcu_table_free(struct cds_lfht **tablep)
{
    int err;

    RG_LIBURCU_BEGIN();
    err = cds_lfht_destroy(*tablep, NULL);
    RG_LIBURCU_END();
    rg_assert(err == 0);
    *tablep = NULL;
}

void rg_rcu_table_add(struct cds_lfht *table, unsigned long hash, struct cds_lfht_node *node)
{
    RG_LIBURCU_BEGIN();
    cds_lfht_add(table, hash, node);
    RG_LIBURCU_END();
}

void rg_rcu_table_del(struct cds_lfht *table, struct cds_lfht_node *node)
{
    int err;

    RG_LIBURCU_BEGIN();
    err = cds_lfht_del(table, node);
    RG_LIBURCU_END();
    rg_assert(err == 0);
}
