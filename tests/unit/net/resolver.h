/*
 * resolver.h - a resolver that says what the test says.
 *
 * Thread: the test's.
 */
#pragma once

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static struct {
    uv_getaddrinfo_t *lookup; /* of the host "several", until it is answered */
    uv_getaddrinfo_cb fn;
    unsigned asked; /* how often */
} resolver;

/* In place of libuv's, which is called for all other names. */
int uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *lookup, uv_getaddrinfo_cb fn,
                   const char *host, const char *port, const struct addrinfo *hints)
{
    int (*real)(uv_loop_t *, uv_getaddrinfo_t *, uv_getaddrinfo_cb, const char *, const char *,
                const struct addrinfo *);

    if (strcmp(host, "several") == 0) {
        resolver.lookup = lookup;
        resolver.fn = fn;
        resolver.asked++;
        return 0;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "uv_getaddrinfo");
    return real(loop, lookup, fn, host, port, hints);
}

/* As the C library allocates it, which will free it. */
static inline struct addrinfo *address_of(unsigned port, struct addrinfo *next)
{
    struct {
        struct addrinfo info;
        struct sockaddr_in to;
    } *one = calloc(1, sizeof(*one));

    one->to.sin_family = AF_INET;
    one->to.sin_port = htons((uint16_t)port);
    one->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    one->info.ai_family = AF_INET;
    one->info.ai_addr = (struct sockaddr *)&one->to;
    one->info.ai_addrlen = sizeof(one->to);
    one->info.ai_next = next;
    return &one->info;
}

static inline void answer_lookup(int status, struct addrinfo *list)
{
    uv_getaddrinfo_t *lookup = resolver.lookup;

    resolver.lookup = NULL;
    resolver.fn(lookup, status, list);
}
