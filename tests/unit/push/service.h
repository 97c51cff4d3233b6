/*
 * service.h - an HTTP service on a thread of its own, which answers what the test says.
 *
 * Thread: the test's, apart from the service's own.
 */
#pragma once

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"

/* One request at a time; what it says and what it gets is under the lock. */
static struct {
    pthread_t thread;
    int fd;
    char url[64];

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_held;      /* requests wait for their answer */
    unsigned requests; /* that have come in */
    int status;        /* of its answers */
    const char *body;
    struct rg_buf last; /* the request that came last, head and body */
} service = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Reads one request with a Content-Length, or without a body. */
static inline void read_request(int fd, struct rg_buf *text)
{
    size_t want = SIZE_MAX;

    while (text->n < want) {
        char *to = rg_buf_reserve(text, 65536);
        ssize_t n = read(fd, to, 65535);
        if (n <= 0)
            return;
        text->n += (size_t)n;
        text->p[text->n] = '\0';
        const char *end = strstr(text->p, "\r\n\r\n");
        if (end != NULL) {
            const char *length = strcasestr(text->p, "\r\ncontent-length:");
            want = (size_t)(end + 4 - text->p);
            if (length != NULL && length < end)
                want += strtoul(length + 17, NULL, 10);
        }
    }
}

static inline void serve_one(int fd)
{
    struct rg_buf text = {0};
    char answer[400];

    read_request(fd, &text);
    pthread_mutex_lock(&service.lock);
    rg_buf_done(&service.last);
    service.last = text;
    service.requests++;
    while (service.is_held)
        pthread_cond_wait(&service.changed, &service.lock);
    snprintf(answer, sizeof(answer),
             "HTTP/1.1 %d X\r\ncontent-length: %zu\r\nlocation: /elsewhere\r\n"
             "connection: close\r\n\r\n%s",
             service.status, strlen(service.body), service.body);
    pthread_mutex_unlock(&service.lock);
    send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    close(fd);
}

static inline void *serve(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept4(service.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        serve_one(fd);
    return NULL;
}

static inline void service_start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);

    service.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(service.fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(service.fd, 16), 0);
    assert_int_equal(getsockname(service.fd, (struct sockaddr *)&address, &n), 0);
    snprintf(service.url, sizeof(service.url), "http://127.0.0.1:%u/Check",
             ntohs(address.sin_port));
    assert_int_equal(pthread_create(&service.thread, NULL, serve, NULL), 0);
}

static inline void service_stop(void)
{
    shutdown(service.fd, SHUT_RDWR);
    pthread_join(service.thread, NULL);
    close(service.fd);
    rg_buf_done(&service.last);
}

static inline void service_answers(int status, const char *body)
{
    pthread_mutex_lock(&service.lock);
    service.status = status;
    service.body = body;
    pthread_mutex_unlock(&service.lock);
}

static inline void service_hold(bool is_held)
{
    pthread_mutex_lock(&service.lock);
    service.is_held = is_held;
    pthread_cond_broadcast(&service.changed);
    pthread_mutex_unlock(&service.lock);
}

static inline unsigned service_requests(void)
{
    pthread_mutex_lock(&service.lock);
    unsigned n = service.requests;
    pthread_mutex_unlock(&service.lock);
    return n;
}

/* What the service got last contains part, whatever the case. */
static inline bool service_got(const char *part)
{
    pthread_mutex_lock(&service.lock);
    bool has = service.last.p != NULL && strcasestr(service.last.p, part) != NULL;
    pthread_mutex_unlock(&service.lock);
    return has;
}
