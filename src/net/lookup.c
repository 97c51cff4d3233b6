/*
 * What was cancelled stays until the lookup has come back: libuv writes to it.
 */
#include "net/lookup.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

struct rg_lookup {
    uv_getaddrinfo_t request;
    struct rg_reactor *reactor;
    rg_lookup_fn *fn; /* NULL: cancelled */
    void *arg;
    struct rg_late late; /* where it could not even begin */
    int err;
    unsigned port;
    char *host;
};

static void lookup_free(struct rg_lookup *lookup)
{
    rg_reactor_cancel_late(&lookup->late);
    rg_free(lookup->host);
    rg_free(lookup);
}

static size_t collect(const struct addrinfo *list, struct rg_address *ret)
{
    size_t n = 0;

    for (const struct addrinfo *a = list; a != NULL && n < RG_LOOKUP_MAX; a = a->ai_next) {
        size_t i = 0;
        if (!rg_address_copy(&ret[n], a->ai_addr))
            continue;
        while (i < n && !rg_address_eq(&ret[i], &ret[n]))
            i++;
        n += i == n;
    }
    return n;
}

static void tell(struct rg_lookup *lookup, int err, const struct addrinfo *list)
{
    struct rg_address addresses[RG_LOOKUP_MAX];
    size_t n = collect(list, addresses);
    struct rg_why why = {0};
    char text[128];

    if (err == 0 && n == 0)
        err = UV_EAI_NODATA;
    if (err < 0) {
        /* A resolver's codes, too. */
        uv_strerror_r(err, text, sizeof(text));
        rg_why_set(&why, err, "", "cannot look up %s:%u: %s", lookup->host, lookup->port, text);
    }
    lookup->fn(lookup->arg, err, addresses, n, &why);
    lookup_free(lookup);
}

static void on_lookup(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct rg_lookup *lookup = RG_CONTAINER_OF(request, struct rg_lookup, request);

    rg_reactor_assert(lookup->reactor);
    if (lookup->fn == NULL)
        lookup_free(lookup);
    else
        tell(lookup, status, list);
    if (list != NULL)
        freeaddrinfo(list);
}

static void at_turn_end(struct rg_late *late)
{
    struct rg_lookup *lookup = RG_CONTAINER_OF(late, struct rg_lookup, late);

    tell(lookup, lookup->err, NULL);
}

struct rg_lookup *rg_lookup_start(struct rg_reactor *reactor, const char *host, unsigned port,
                                  rg_lookup_fn *fn, void *arg)
{
    static const struct addrinfo tcp = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct rg_lookup *lookup = rg_zalloc(sizeof(*lookup));
    char service[8];

    snprintf(service, sizeof(service), "%u", port & 0xffff);
    lookup->reactor = reactor;
    lookup->fn = fn;
    lookup->arg = arg;
    lookup->late.fn = at_turn_end;
    lookup->port = port & 0xffff;
    lookup->host = rg_strndup(host, strlen(host));
    lookup->err =
        uv_getaddrinfo(&reactor->loop, &lookup->request, on_lookup, lookup->host, service, &tcp);
    if (lookup->err < 0)
        rg_reactor_run_late(reactor, &lookup->late);
    return lookup;
}

void rg_lookup_cancel(struct rg_lookup **lookupp)
{
    struct rg_lookup *lookup = *lookupp;

    if (lookup == NULL)
        return;
    *lookupp = NULL;
    lookup->fn = NULL;
    /* Comes to nothing once a thread has begun with it; then it is waited for. */
    if (lookup->err == 0)
        uv_cancel((uv_req_t *)&lookup->request);
    else
        lookup_free(lookup);
}
