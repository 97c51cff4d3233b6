#include "base/counter.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/rcu.h"

struct rg_counters *rg_counters_new(size_t n)
{
    struct rg_counters *block = rg_zalloc(sizeof(*block) + n * sizeof(block->v[0]));
    block->n = n;
    return block;
}

void rg_counters_free(struct rg_counters **blockp)
{
    rg_free(*blockp);
    *blockp = NULL;
}

void rg_metric_head(struct rg_buf *out, const char *name, const char *type, const char *help)
{
    rg_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void rg_counters_expose(struct rg_buf *out, const struct rg_counter_row *rows, size_t n,
                        const struct rg_counters *const *blocks, size_t blocks_n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t sum = 0;
        for (size_t b = 0; b < blocks_n; b++)
            sum += rg_counters_get(blocks[b], i);

        if (i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0)
            rg_metric_head(out, rows[i].name, rows[i].type, rows[i].help);
        rg_buf_add_c(out, rows[i].name);
        if (rows[i].labels != NULL)
            rg_buf_addf(out, "{%s}", rows[i].labels);
        rg_buf_addf(out, " %" PRId64 "\n", (int64_t)sum);
    }
}

const unsigned rg_histogram_bounds_ms[RG_HISTOGRAM_BUCKETS] = {1,  2,   5,   10,  25,  50,
                                                               75, 100, 250, 500, 750, 1000};

struct series_node {
    struct rg_series series;
    struct cds_lfht_node node;
    struct rcu_head rcu;
    uint32_t value_n[RG_FAMILY_MAX_LABELS];
    char values[]; /* one behind the other */
};

struct rg_family {
    const struct rg_family_row *row;
    size_t labels_n;
    struct rg_hash_key hash_key;
    struct cds_lfht *table; /* any thread reads under RCU; adds under lock */
    pthread_mutex_t lock;
    size_t series_n; /* under lock */
};

/* Values of a family's labels, to be found. */
struct wanted {
    const struct rg_str *values;
    size_t n;
};

static int has_values(struct cds_lfht_node *node, const void *arg)
{
    const struct series_node *s = RG_CONTAINER_OF(node, struct series_node, node);
    const struct wanted *wanted = arg;

    RG_TSAN_ACQUIRE(s);
    const char *at = s->values;
    for (size_t i = 0; i < wanted->n; i++) {
        if (!rg_str_eq(wanted->values[i], rg_str_n(at, s->value_n[i])))
            return 0;
        at += s->value_n[i];
    }
    return 1;
}

struct rg_family *rg_family_new(const struct rg_family_row *row)
{
    struct rg_family *family = rg_zalloc(sizeof(*family));
    family->row = row;
    while (family->labels_n < RG_FAMILY_MAX_LABELS && row->labels[family->labels_n] != NULL)
        family->labels_n++;
    rg_hash_key_random(&family->hash_key);
    family->table = rg_rcu_table_new();
    pthread_mutex_init(&family->lock, NULL);
    return family;
}

static void free_series(struct rcu_head *head)
{
    RG_RCU_CALLBACK(head);
    rg_free(RG_CONTAINER_OF(head, struct series_node, rcu));
}

void rg_family_free(struct rg_family **familyp)
{
    struct rg_family *family = *familyp;
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    if (family == NULL)
        return;
    *familyp = NULL;
    rg_rcu_read_lock();
    cds_lfht_for_each (family->table, &iter, node) {
        struct series_node *s = RG_CONTAINER_OF(node, struct series_node, node);
        rg_rcu_table_del(family->table, &s->node);
        rg_rcu_call(&s->rcu, free_series);
    }
    rg_rcu_read_unlock();
    rg_rcu_barrier();
    rg_rcu_table_free(&family->table);
    pthread_mutex_destroy(&family->lock);
    rg_free(family);
}

static unsigned long hash_of(struct rg_family *family, const struct rg_str *values)
{
    unsigned long hash = 0;

    for (size_t i = 0; i < family->labels_n; i++)
        hash = hash * 31 + rg_hash64(&family->hash_key, values[i].p, values[i].n);
    return hash;
}

static struct series_node *find(struct rg_family *family, const struct rg_str *values)
{
    const struct wanted wanted = {values, family->labels_n};
    struct cds_lfht_iter iter;

    cds_lfht_lookup(family->table, hash_of(family, values), has_values, &wanted, &iter);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
    return node != NULL ? RG_CONTAINER_OF(node, struct series_node, node) : NULL;
}

static struct series_node *add(struct rg_family *family, const struct rg_str *values)
{
    struct series_node *s;
    size_t size = 0;

    for (size_t i = 0; i < family->labels_n; i++)
        size += values[i].n;
    s = rg_zalloc(sizeof(*s) + size);
    char *at = s->values;
    for (size_t i = 0; i < family->labels_n; i++) {
        s->value_n[i] = (uint32_t)values[i].n;
        if (values[i].n > 0)
            memcpy(at, values[i].p, values[i].n);
        at += values[i].n;
    }
    family->series_n++;
    RG_TSAN_RELEASE(s);
    rg_rcu_table_add(family->table, hash_of(family, values), &s->node);
    return s;
}

/* The caller holds the lock, and has not found values. */
static struct series_node *add_within_limit(struct rg_family *family, const struct rg_str *values)
{
    struct rg_str other[RG_FAMILY_MAX_LABELS];

    if (family->series_n < RG_FAMILY_MAX_SERIES)
        return add(family, values);
    for (size_t i = 0; i < family->labels_n; i++)
        other[i] = RG_STR("other");
    struct series_node *s = find(family, other);
    return s != NULL ? s : add(family, other);
}

struct rg_series *rg_family_find(struct rg_family *family, const struct rg_str *values)
{
    rg_rcu_read_lock();
    struct series_node *s = find(family, values);
    if (s == NULL) {
        pthread_mutex_lock(&family->lock);
        s = find(family, values);
        if (s == NULL)
            s = add_within_limit(family, values);
        pthread_mutex_unlock(&family->lock);
    }
    rg_rcu_read_unlock();
    return &s->series;
}

struct rg_series *rg_family_get(struct rg_family *family, struct rg_str a, struct rg_str b)
{
    const struct rg_str values[] = {a, b};

    rg_assert(family->labels_n <= RG_COUNT_OF(values));
    return rg_family_find(family, values);
}

void rg_series_observe(struct rg_series *s, uint64_t n, uint64_t duration_ns)
{
    size_t i = 0;

    while (i < RG_HISTOGRAM_BUCKETS && duration_ns > (uint64_t)rg_histogram_bounds_ms[i] * 1000000u)
        i++;
    if (i < RG_HISTOGRAM_BUCKETS)
        atomic_fetch_add_explicit(&s->buckets[i], n, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->sum_ns, n * duration_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->count, n, memory_order_relaxed);
}

static void add_label_value(struct rg_buf *out, struct rg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n')
            rg_buf_add_c(out, "\\n");
        else if (s.p[i] == '\\' || s.p[i] == '"')
            rg_buf_addf(out, "\\%c", s.p[i]);
        else
            rg_buf_add_char(out, s.p[i]);
    }
}

static void add_labels(const struct rg_family *family, const struct series_node *s,
                       struct rg_buf *out)
{
    const char *at = s->values;

    for (size_t i = 0; i < family->labels_n; i++) {
        rg_buf_addf(out, "%s%s=\"", i > 0 ? "," : "", family->row->labels[i]);
        add_label_value(out, rg_str_n(at, s->value_n[i]));
        rg_buf_add_char(out, '"');
        at += s->value_n[i];
    }
}

static void expose_histogram(const struct rg_family *family, const struct series_node *s,
                             struct rg_buf *out)
{
    const struct rg_series *v = &s->series;
    uint64_t cumulative = 0;

    for (size_t i = 0; i < RG_HISTOGRAM_BUCKETS; i++) {
        cumulative += atomic_load_explicit(&v->buckets[i], memory_order_relaxed);
        rg_buf_addf(out, "%s_bucket{", family->row->name);
        add_labels(family, s, out);
        rg_buf_addf(out, ",le=\"%u\"} %" PRIu64 "\n", rg_histogram_bounds_ms[i], cumulative);
    }
    rg_buf_addf(out, "%s_bucket{", family->row->name);
    add_labels(family, s, out);
    rg_buf_addf(out, ",le=\"+Inf\"} %" PRIu64 "\n%s_sum{",
                atomic_load_explicit(&v->count, memory_order_relaxed), family->row->name);
    add_labels(family, s, out);
    rg_buf_addf(out, "} %.6f\n%s_count{",
                (double)atomic_load_explicit(&v->sum_ns, memory_order_relaxed) / 1e6,
                family->row->name);
    add_labels(family, s, out);
    rg_buf_addf(out, "} %" PRIu64 "\n", atomic_load_explicit(&v->count, memory_order_relaxed));
}

void rg_family_expose(struct rg_family *family, struct rg_buf *out)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    rg_metric_head(out, family->row->name, family->row->type, family->row->help);
    rg_rcu_read_lock();
    cds_lfht_for_each (family->table, &iter, node) {
        const struct series_node *s = RG_CONTAINER_OF(node, struct series_node, node);
        RG_TSAN_ACQUIRE(s);
        if (strcmp(family->row->type, "histogram") == 0) {
            expose_histogram(family, s, out);
            continue;
        }
        rg_buf_addf(out, "%s{", family->row->name);
        add_labels(family, s, out);
        rg_buf_addf(out, "} %" PRIu64 "\n",
                    atomic_load_explicit(&s->series.count, memory_order_relaxed));
    }
    rg_rcu_read_unlock();
}
