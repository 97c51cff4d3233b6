#include <stdatomic.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "http/upstream_priv.h"
#include "net/tls_client.h"

/* ---- what tells it from others ---- */

/* A text with its end, and room for none at all. Returns where it will be. */
static size_t add_text(struct rg_buf *key, const char *text)
{
    size_t at = key->n + 1;

    rg_buf_add_char(key, text != NULL ? '+' : '-');
    if (text != NULL)
        rg_buf_add(key, text, strlen(text) + 1);
    return at;
}

/* The key, which also keeps the texts. */
static void fill(struct rg_upstream_service *service,
                 const struct rg_upstream_service_settings *settings)
{
    struct rg_buf *key = &service->key;
    size_t hosts[RG_UPSTREAM_MAX_ORIGINS];

    rg_buf_addf(key, "%d %zu ", settings->tls != NULL, settings->max_connections);
    add_text(key, settings->tls_name);
    size_t name = add_text(key, settings->server_name);
    for (size_t i = 0; i < settings->origins_n; i++) {
        hosts[i] = add_text(key, settings->origins[i].host);
        rg_buf_addf(key, "%u ", settings->origins[i].port);
    }
    for (size_t i = 0; i < settings->origins_n; i++)
        service->origins[i] =
            (struct rg_upstream_origin){key->p + hosts[i], settings->origins[i].port};
    if (settings->server_name != NULL)
        service->server_name = key->p + name;
}

bool rg_upstream_service_eq(const struct rg_upstream_service *a,
                            const struct rg_upstream_service *b)
{
    return a == b || (a->hash == b->hash && rg_str_eq(rg_buf_str(&a->key), rg_buf_str(&b->key)));
}

/* ---- services ---- */

struct rg_upstream_service *
rg_upstream_service_new(const struct rg_upstream_service_settings *settings)
{
    /* Who names the services is who sets us up: the hash needs no secret. */
    static const struct rg_hash_key no_secret;
    struct rg_upstream_service *service = rg_zalloc(sizeof(*service));
    size_t n = settings->origins_n;

    rg_assert(n > 0 && n <= RG_UPSTREAM_MAX_ORIGINS);
    atomic_init(&service->refs, 1);
    service->origins = rg_alloc(n * sizeof(service->origins[0]));
    service->origins_n = n;
    service->max_connections = settings->max_connections;
    if (settings->tls != NULL)
        service->tls = rg_tls_client_ref(settings->tls);
    fill(service, settings);
    service->hash = rg_hash64(&no_secret, service->key.p, service->key.n);
    return service;
}

struct rg_upstream_service *rg_upstream_service_ref(struct rg_upstream_service *service)
{
    atomic_fetch_add_explicit(&service->refs, 1, memory_order_relaxed);
    return service;
}

void rg_upstream_service_unref(struct rg_upstream_service **servicep)
{
    struct rg_upstream_service *service = *servicep;

    *servicep = NULL;
    if (service == NULL || atomic_fetch_sub_explicit(&service->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (service->tls != NULL)
        rg_tls_client_unref(&service->tls);
    rg_buf_done(&service->key);
    rg_free(service->origins);
    rg_free(service);
}
