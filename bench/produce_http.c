/*
 * produce_http.c - events as HTTP requests on one connection, or as datagrams.
 */
#include "bench/produce.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "bench/args.h"

struct http_sink {
    struct rg_sink base;
    int fd;
    const char *path;
    unsigned pipeline, outstanding;
    uint64_t failed;
    struct rg_buf request, answers;
};

/* Returns the length of the field's value as a number, 0 if it is not there. */
static size_t content_length(struct rg_str head)
{
    static const char name[] = "\r\ncontent-length:";

    for (size_t i = 0; i + sizeof(name) - 1 <= head.n; i++) {
        if (strncasecmp(head.p + i, name, sizeof(name) - 1) == 0)
            return strtoul(head.p + i + sizeof(name) - 1, NULL, 10);
    }
    return 0;
}

/* Removes one complete answer from what was received; false if there is none. */
static bool take_answer(struct http_sink *sink)
{
    struct rg_str bytes = rg_buf_str(&sink->answers);
    const char *end = bytes.n > 0 ? memmem(bytes.p, bytes.n, "\r\n\r\n", 4) : NULL;
    size_t head_n, total;

    if (end == NULL)
        return false;
    head_n = (size_t)(end - bytes.p) + 4;
    total = head_n + content_length(rg_str_n(bytes.p, head_n));
    if (bytes.n < total)
        return false;
    if (!rg_str_starts_with(bytes, RG_STR("HTTP/1.1 202 "))) {
        if (sink->failed++ == 0)
            fprintf(stderr, "not accepted: %.*s\n", (int)total, bytes.p);
    }
    rg_buf_consume(&sink->answers, total);
    sink->outstanding--;
    return true;
}

static void receive(struct http_sink *sink)
{
    char *room = rg_buf_reserve(&sink->answers, 16384);
    ssize_t n = recv(sink->fd, room, 16384, 0);

    if (n <= 0)
        rg_args_die("the server closed the connection");
    sink->answers.n += (size_t)n;
}

static void wait_below(struct http_sink *sink, unsigned limit)
{
    while (sink->outstanding >= limit) {
        if (!take_answer(sink))
            receive(sink);
    }
}

static void wait_room(struct rg_sink *base)
{
    struct http_sink *sink = RG_CONTAINER_OF(base, struct http_sink, base);

    wait_below(sink, sink->pipeline);
}

static void put(struct rg_sink *base, struct rg_str event, struct rg_str key)
{
    struct http_sink *sink = RG_CONTAINER_OF(base, struct http_sink, base);
    struct rg_buf *request = &sink->request;

    (void)key;
    rg_buf_clear(request);
    rg_buf_addf(request,
                "POST %s HTTP/1.1\r\nHost: bench\r\n"
                "Content-Type: application/cloudevents+json\r\nContent-Length: %zu\r\n\r\n",
                sink->path, event.n);
    rg_buf_add_str(request, event);
    for (size_t at = 0; at < request->n;) {
        ssize_t n = send(sink->fd, request->p + at, request->n - at, MSG_NOSIGNAL);

        if (n < 0)
            rg_args_die("send");
        at += (size_t)n;
    }
    sink->outstanding++;
}

static void finish(struct rg_sink *base, uint64_t *ret_failed)
{
    struct http_sink *sink = RG_CONTAINER_OF(base, struct http_sink, base);

    wait_below(sink, 1);
    *ret_failed = sink->failed;
    close(sink->fd);
    rg_buf_done(&sink->request);
    rg_buf_done(&sink->answers);
    rg_free(sink);
}

static int connected(int type, const struct sockaddr_in *server)
{
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)server, sizeof(*server)) < 0)
        rg_args_die("connect");
    return fd;
}

struct rg_sink *rg_produce_http_open(const struct sockaddr_in *server, const char *path,
                                     unsigned pipeline)
{
    struct http_sink *sink = rg_zalloc(sizeof(*sink));
    int yes = 1;

    sink->base = (struct rg_sink){wait_room, put, finish};
    sink->fd = connected(SOCK_STREAM, server);
    sink->path = path;
    sink->pipeline = pipeline;
    setsockopt(sink->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    return &sink->base;
}

struct udp_sink {
    struct rg_sink base;
    int fd;
    uint64_t failed;
};

static void udp_wait_room(struct rg_sink *base)
{
    (void)base;
}

static void udp_put(struct rg_sink *base, struct rg_str event, struct rg_str key)
{
    struct udp_sink *sink = RG_CONTAINER_OF(base, struct udp_sink, base);

    (void)key;
    sink->failed += send(sink->fd, event.p, event.n, 0) != (ssize_t)event.n;
}

static void udp_finish(struct rg_sink *base, uint64_t *ret_failed)
{
    struct udp_sink *sink = RG_CONTAINER_OF(base, struct udp_sink, base);

    *ret_failed = sink->failed;
    close(sink->fd);
    rg_free(sink);
}

struct rg_sink *rg_produce_udp_open(const struct sockaddr_in *server)
{
    struct udp_sink *sink = rg_zalloc(sizeof(*sink));

    sink->base = (struct rg_sink){udp_wait_room, udp_put, udp_finish};
    sink->fd = connected(SOCK_DGRAM, server);
    return &sink->base;
}
