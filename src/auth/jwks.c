#include "auth/jwks.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/counter.h"
#include "base/file.h"
#include "base/log.h"
#include "http/client.h"

#define MAX_WAITING 10000

struct waiter {
    void (*fn)(void *arg);
    void *arg;
};

struct rg_jwks {
    char *source;
    struct rg_http_client *http; /* NULL: a file that is read once */
    bool is_url;
    uint64_t min_interval_ms;
    uint64_t (*now_ms)(void);
    atomic_ulong generation, refreshed, failed;

    pthread_mutex_t lock; /* from here on */
    struct rg_keyset *set;
    bool is_fetching;
    uint64_t not_before_ms; /* of a refresh that a token asks for */
    struct waiter *waiting;
    size_t waiting_n, waiting_cap;
};

/* Puts the set into force; takes it. */
static void exchange(struct rg_jwks *jwks, struct rg_keyset *set)
{
    size_t n = rg_keyset_count(set);

    pthread_mutex_lock(&jwks->lock);
    struct rg_keyset *old = jwks->set;
    jwks->set = set;
    pthread_mutex_unlock(&jwks->lock);
    /* Afterwards: what is verified under the new set and remembered as if under the old one is
     * only verified once more. */
    atomic_fetch_add(&jwks->generation, 1);
    rg_log_info("key set read", RG_FS("source", jwks->source), RG_FU("keys", n));
    rg_keyset_unref(&old);
}

/* Only one thread at a time refreshes, so the set stays while it is compared. */
static int take(struct rg_jwks *jwks, struct rg_str text, struct rg_why *why)
{
    if (jwks->set != NULL && rg_keyset_is_from(jwks->set, text))
        return 0;
    struct rg_keyset *set = rg_keyset_parse(text, why);
    if (set == NULL)
        return RG_EINVAL;
    exchange(jwks, set);
    return 0;
}

/* ---- fetching ---- */

static void end_fetch(struct rg_jwks *jwks)
{
    pthread_mutex_lock(&jwks->lock);
    struct waiter *waiting = RG_STEAL(jwks->waiting);
    size_t n = jwks->waiting_n;
    jwks->waiting_n = jwks->waiting_cap = 0;
    jwks->is_fetching = false;
    /* From the end: else those who waited for a slow failure would begin the next one at once. */
    jwks->not_before_ms = jwks->now_ms() + jwks->min_interval_ms;
    pthread_mutex_unlock(&jwks->lock);
    for (size_t i = 0; i < n; i++)
        waiting[i].fn(waiting[i].arg);
    rg_free(waiting);
}

static void log_failure(struct rg_jwks *jwks, const struct rg_why *why)
{
    atomic_fetch_add(&jwks->failed, 1);
    rg_log_warn("key set not refreshed", RG_FS("source", jwks->source), RG_FS("reason", why->text),
                RG_FS("where", why->place));
}

static void on_answer(void *arg, const struct rg_http_client_result *result)
{
    struct rg_jwks *jwks = arg;
    struct rg_why why = result->why;

    if (result->err == 0 && result->status != 200)
        rg_why_set(&why, RG_EINVAL, "", "the answer has status %d", result->status);
    if (result->err == 0 && result->status == 200 && take(jwks, result->body, &why) == 0)
        atomic_fetch_add(&jwks->refreshed, 1);
    else if (result->err != RG_ECANCELED)
        log_failure(jwks, &why);
    end_fetch(jwks);
}

/* is_fetching has been set by the caller. */
static void fetch(struct rg_jwks *jwks)
{
    const struct rg_http_client_request request = {
        .url = jwks->source,
        .max_body = RG_KEYSET_MAX_BYTES,
    };
    struct rg_why why = {0};

    if (rg_http_client_send(jwks->http, &request, on_answer, jwks, &why) < 0) {
        log_failure(jwks, &why);
        end_fetch(jwks);
    }
}

/*
 * Begins a refresh if none is under way and, for a token's sake, the last one is long enough ago.
 * True if one is under way now, or was a moment ago.
 */
static bool begin_refresh(struct rg_jwks *jwks, bool is_for_token)
{
    uint64_t now = jwks->now_ms();

    pthread_mutex_lock(&jwks->lock);
    bool begins = !jwks->is_fetching && (!is_for_token || now >= jwks->not_before_ms);
    jwks->is_fetching |= begins;
    bool is_fetching = jwks->is_fetching;
    pthread_mutex_unlock(&jwks->lock);
    if (begins)
        fetch(jwks);
    return is_fetching;
}

static void on_interval(void *arg)
{
    struct rg_jwks *jwks = arg;
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    struct rg_why why = {0};

    if (jwks->is_url) {
        begin_refresh(jwks, false);
        return;
    }
    if (rg_file_read(jwks->source, RG_KEYSET_MAX_BYTES, &text, &why) == 0 &&
        take(jwks, rg_buf_str(&text), &why) == 0)
        atomic_fetch_add(&jwks->refreshed, 1);
    else
        log_failure(jwks, &why);
}

/* ---- what the verifier calls ---- */

struct rg_jwks *rg_jwks_new(const struct rg_jwks_settings *settings, struct rg_why *why)
{
    struct rg_jwks *jwks = rg_zalloc(sizeof(*jwks));
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};

    jwks->source = rg_strndup(settings->source, strlen(settings->source));
    jwks->is_url = rg_http_client_is_url(rg_str_c(settings->source));
    jwks->min_interval_ms = settings->min_interval_ms;
    jwks->now_ms = settings->now_ms;
    jwks->http = settings->http;
    pthread_mutex_init(&jwks->lock, NULL);
    if (!jwks->is_url && (rg_file_read(jwks->source, RG_KEYSET_MAX_BYTES, &text, why) < 0 ||
                          take(jwks, rg_buf_str(&text), why) < 0)) {
        rg_jwks_free(&jwks);
        return NULL;
    }
    if (jwks->http != NULL)
        rg_http_client_set_tick(jwks->http, settings->interval_ms, on_interval, jwks);
    if (jwks->is_url && jwks->http != NULL)
        begin_refresh(jwks, false);
    return jwks;
}

void rg_jwks_free(struct rg_jwks **jwksp)
{
    struct rg_jwks *jwks = RG_STEAL(*jwksp);

    if (jwks == NULL)
        return;
    rg_keyset_unref(&jwks->set);
    pthread_mutex_destroy(&jwks->lock);
    rg_free(jwks->waiting);
    rg_free(jwks->source);
    rg_free(jwks);
}

struct rg_keyset *rg_jwks_get(struct rg_jwks *jwks)
{
    pthread_mutex_lock(&jwks->lock);
    struct rg_keyset *set = jwks->set != NULL ? rg_keyset_ref(jwks->set) : NULL;
    pthread_mutex_unlock(&jwks->lock);
    return set;
}

uint64_t rg_jwks_generation(const struct rg_jwks *jwks)
{
    return atomic_load(&jwks->generation);
}

bool rg_jwks_ask_refresh(struct rg_jwks *jwks, uint64_t generation)
{
    if (rg_jwks_generation(jwks) != generation)
        return true;
    return jwks->is_url && jwks->http != NULL && begin_refresh(jwks, true);
}

int rg_jwks_wait(struct rg_jwks *jwks, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&jwks->lock);
    bool has_to_wait = jwks->is_fetching;
    bool is_full = has_to_wait && jwks->waiting_n == MAX_WAITING;
    if (has_to_wait && !is_full) {
        if (jwks->waiting_n == jwks->waiting_cap) {
            jwks->waiting_cap = jwks->waiting_cap > 0 ? jwks->waiting_cap * 2 : 16;
            jwks->waiting =
                rg_realloc_array(jwks->waiting, jwks->waiting_cap, sizeof(jwks->waiting[0]));
        }
        jwks->waiting[jwks->waiting_n++] = (struct waiter){fn, arg};
    }
    pthread_mutex_unlock(&jwks->lock);
    if (is_full)
        return RG_EFULL;
    if (!has_to_wait)
        fn(arg);
    return 0;
}

void rg_jwks_expose(struct rg_jwks *jwks, struct rg_buf *out)
{
    struct rg_keyset *set = rg_jwks_get(jwks);

    rg_metric_head(out, "rgate_jwks_refreshes_total", "counter",
                   "Attempts to refresh the key set, by outcome.");
    rg_buf_addf(out, "rgate_jwks_refreshes_total{outcome=\"done\"} %lu\n",
                atomic_load(&jwks->refreshed));
    rg_buf_addf(out, "rgate_jwks_refreshes_total{outcome=\"failed\"} %lu\n",
                atomic_load(&jwks->failed));
    rg_metric_head(out, "rgate_jwks_keys", "gauge", "Keys in force from the key set.");
    rg_buf_addf(out, "rgate_jwks_keys %zu\n", set != NULL ? rg_keyset_count(set) : (size_t)0);
    rg_keyset_unref(&set);
}
