/*
 * origin.h - a small HTTP server on a thread of its own, which answers what the test says.
 *
 * It takes one connection at a time, reads one request, counts it, and sends the answer. Held, it
 * keeps the connections open without an answer until it is told to go on.
 *
 * Thread: the test's; the answers are for any client.
 */
#pragma once

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/err.h"

#define ORIGIN_MAX_HELD 64

struct origin {
    char url[64]; /* of its root */
    int fd;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct rg_buf answer; /* a whole response */
    struct rg_buf last;   /* the last request */
    unsigned requests;
    bool is_held;
    int held[ORIGIN_MAX_HELD];
    unsigned held_n;
};

/* The length of the request at the start of in; 0: it is not complete. */
static inline size_t origin_request_bytes(const struct rg_buf *in)
{
    const char *end = in->n > 0 ? memmem(in->p, in->n, "\r\n\r\n", 4) : NULL;
    size_t head = end != NULL ? (size_t)(end - in->p) + 4 : 0;
    size_t body = 0;

    for (size_t i = 0; i + 16 < head; i++) {
        if (strncasecmp(in->p + i, "\ncontent-length:", 16) == 0)
            body = strtoul(in->p + i + 16, NULL, 10);
    }
    return head > 0 && in->n >= head + body ? head + body : 0;
}

static inline bool origin_read(int fd, struct rg_buf *in)
{
    ssize_t n;

    rg_buf_clear(in);
    while (origin_request_bytes(in) == 0) {
        n = recv(fd, rg_buf_reserve(in, 4096), 4096, 0);
        if (n <= 0)
            return false;
        in->n += (size_t)n;
    }
    return true;
}

/* The other side may have gone. */
static inline void origin_send(int fd, const struct rg_buf *answer)
{
    for (size_t at = 0; at < answer->n;) {
        ssize_t n = send(fd, answer->p + at, answer->n - at, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    close(fd);
}

/* Counts a request; the answer is the caller's, unless the connection is kept (false). */
static inline bool origin_take(struct origin *origin, int fd, const struct rg_buf *request,
                               struct rg_buf *answer)
{
    pthread_mutex_lock(&origin->lock);
    bool is_held = origin->is_held;
    rg_buf_clear(&origin->last);
    rg_buf_add_str(&origin->last, rg_buf_str(request));
    origin->requests++;
    rg_buf_add_str(answer, rg_buf_str(&origin->answer));
    if (is_held) {
        rg_assert(origin->held_n < ORIGIN_MAX_HELD);
        origin->held[origin->held_n++] = fd;
    }
    pthread_cond_broadcast(&origin->changed);
    pthread_mutex_unlock(&origin->lock);
    return !is_held;
}

static inline void *origin_run(void *arg)
{
    struct origin *origin = arg;
    int fd;

    while ((fd = accept(origin->fd, NULL, NULL)) >= 0) {
        RG_CLEANUP(rg_buf_done) struct rg_buf request = {0};
        RG_CLEANUP(rg_buf_done) struct rg_buf answer = {0};
        if (!origin_read(fd, &request))
            close(fd);
        else if (origin_take(origin, fd, &request, &answer))
            origin_send(fd, &answer);
    }
    return NULL;
}

/* What it answers from now on: a status line, "name: value\r\n" lines and a body. */
static inline void origin_answer(struct origin *origin, const char *status, const char *fields,
                                 struct rg_str body)
{
    pthread_mutex_lock(&origin->lock);
    rg_buf_clear(&origin->answer);
    rg_buf_addf(&origin->answer,
                "HTTP/1.1 %s\r\nconnection: close\r\n%scontent-length: %zu\r\n\r\n", status, fields,
                body.n);
    rg_buf_add_str(&origin->answer, body);
    pthread_mutex_unlock(&origin->lock);
}

static inline void origin_start(struct origin *origin)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);

    /* A proxy of the environment cannot reach us. */
    rg_assert(setenv("no_proxy", "*", 1) == 0);
    *origin = (struct origin){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    pthread_mutex_init(&origin->lock, NULL);
    pthread_cond_init(&origin->changed, NULL);
    rg_assert(bind(origin->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    rg_assert(listen(origin->fd, 128) == 0);
    rg_assert(getsockname(origin->fd, (struct sockaddr *)&address, &n) == 0);
    snprintf(origin->url, sizeof(origin->url), "http://127.0.0.1:%u/", ntohs(address.sin_port));
    origin_answer(origin, "200 OK", "", RG_STR("hello"));
    rg_assert(pthread_create(&origin->thread, NULL, origin_run, origin) == 0);
}

/* From now on nobody gets an answer; origin_go_on() answers those who waited, and all others. */
static inline void origin_hold(struct origin *origin)
{
    pthread_mutex_lock(&origin->lock);
    origin->is_held = true;
    pthread_mutex_unlock(&origin->lock);
}

static inline void origin_go_on(struct origin *origin)
{
    pthread_mutex_lock(&origin->lock);
    origin->is_held = false;
    for (unsigned i = 0; i < origin->held_n; i++)
        origin_send(origin->held[i], &origin->answer);
    origin->held_n = 0;
    pthread_mutex_unlock(&origin->lock);
}

/* Waits until it has had n requests altogether. */
static inline void origin_await(struct origin *origin, unsigned n)
{
    pthread_mutex_lock(&origin->lock);
    while (origin->requests < n)
        pthread_cond_wait(&origin->changed, &origin->lock);
    pthread_mutex_unlock(&origin->lock);
}

static inline unsigned origin_requests(struct origin *origin)
{
    pthread_mutex_lock(&origin->lock);
    unsigned n = origin->requests;
    pthread_mutex_unlock(&origin->lock);
    return n;
}

/* True if the last request has this in it. */
static inline bool origin_last_has(struct origin *origin, const char *text)
{
    pthread_mutex_lock(&origin->lock);
    bool has = memmem(origin->last.p, origin->last.n, text, strlen(text)) != NULL;
    pthread_mutex_unlock(&origin->lock);
    return has;
}

/* Ends it; its port refuses connections from here on. */
static inline void origin_stop(struct origin *origin)
{
    shutdown(origin->fd, SHUT_RDWR);
    pthread_join(origin->thread, NULL);
    close(origin->fd);
    for (unsigned i = 0; i < origin->held_n; i++)
        close(origin->held[i]);
    rg_buf_done(&origin->answer);
    rg_buf_done(&origin->last);
    pthread_cond_destroy(&origin->changed);
    pthread_mutex_destroy(&origin->lock);
}
