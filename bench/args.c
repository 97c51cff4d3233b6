#include "bench/args.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/str.h"

uint64_t rg_args_u64(const char *name, const char *value, uint64_t max)
{
    uint64_t number;

    if (rg_str_to_u64(rg_str_c(value), max, &number) < 0)
        rg_args_fail("%s: a number from 0 to %llu is expected", name, (unsigned long long)max);
    return number;
}

struct sockaddr_in rg_args_endpoint(const char *name, const char *value)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct rg_str rest = rg_str_c(value);
    struct rg_str host = rg_str_split(&rest, ':');
    char text[INET_ADDRSTRLEN] = "";
    uint64_t port;

    if (host.n < sizeof(text))
        memcpy(text, host.p, host.n);
    if (inet_pton(AF_INET, text, &address.sin_addr) != 1 || rg_str_to_u64(rest, 65535, &port) < 0)
        rg_args_fail("%s: A.B.C.D:PORT is expected", name);
    address.sin_port = htons((uint16_t)port);
    return address;
}

void rg_args_fail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

void rg_args_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

uint64_t rg_args_raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        rg_args_die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        rg_args_die("setrlimit");
    return limit.rlim_cur;
}
