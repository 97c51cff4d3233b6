#include "bench/hist.h"

#define SUB_BITS 7

/* Values below RG_HIST_SUB have a bucket each; above, the seven bits below the highest one count.
 */
static unsigned bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < RG_HIST_SUB)
        return (unsigned)value;
    shift = 63 - (unsigned)__builtin_clzll(value) - SUB_BITS;
    return (shift + 1) * RG_HIST_SUB + (unsigned)((value >> shift) & (RG_HIST_SUB - 1));
}

/* The middle of a bucket. */
static uint64_t value_of(unsigned bucket)
{
    unsigned shift;
    uint64_t low;

    if (bucket < RG_HIST_SUB)
        return bucket;
    shift = bucket / RG_HIST_SUB - 1;
    low = ((uint64_t)RG_HIST_SUB + bucket % RG_HIST_SUB) << shift;
    return low + (((uint64_t)1 << shift) >> 1);
}

void rg_hist_add(struct rg_hist *hist, uint64_t value)
{
    hist->counts[bucket_of(value)]++;
    hist->n++;
    hist->sum += value;
    if (value > hist->max)
        hist->max = value;
}

void rg_hist_merge(struct rg_hist *hist, const struct rg_hist *other)
{
    for (unsigned i = 0; i < RG_HIST_BUCKETS; i++)
        hist->counts[i] += other->counts[i];
    hist->n += other->n;
    hist->sum += other->sum;
    if (other->max > hist->max)
        hist->max = other->max;
}

uint64_t rg_hist_at(const struct rg_hist *hist, unsigned per_mille)
{
    uint64_t wanted = (hist->n * per_mille + 999) / 1000;
    uint64_t seen = 0;

    for (unsigned i = 0; i < RG_HIST_BUCKETS; i++) {
        seen += hist->counts[i];
        if (seen >= wanted && seen > 0)
            return value_of(i);
    }
    return 0;
}

void rg_hist_describe(const struct rg_hist *hist, struct rg_buf *out)
{
    double mean = hist->n > 0 ? (double)hist->sum / (double)hist->n : 0;

    rg_buf_addf(out, "\"n\":%llu,\"mean_us\":%.1f", (unsigned long long)hist->n, mean / 1e3);
    rg_buf_addf(out, ",\"p50_us\":%.1f", (double)rg_hist_at(hist, 500) / 1e3);
    rg_buf_addf(out, ",\"p99_us\":%.1f", (double)rg_hist_at(hist, 990) / 1e3);
    rg_buf_addf(out, ",\"p999_us\":%.1f", (double)rg_hist_at(hist, 999) / 1e3);
    rg_buf_addf(out, ",\"max_us\":%.1f", (double)hist->max / 1e3);
}
