#include "base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t rg_clock_mono_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t rg_clock_mono_ms(void)
{
    return rg_clock_mono_ns() / 1000000u;
}

int64_t rg_clock_wall_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static struct tm broken_down(int64_t wall_us)
{
    struct tm tm;
    time_t seconds = (time_t)(wall_us / 1000000);
    gmtime_r(&seconds, &tm);
    return tm;
}

void rg_clock_rfc3339(char out[RG_RFC3339_SIZE], int64_t wall_us)
{
    struct tm tm = broken_down(wall_us);
    size_t n = strftime(out, RG_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, RG_RFC3339_SIZE - n, ".%06u+00:00", (unsigned)(wall_us % 1000000) & 0xfffff);
}

void rg_clock_http_date(char out[RG_HTTP_DATE_SIZE], int64_t wall_us)
{
    /* The names are English whatever the locale: the process never calls setlocale(3). */
    struct tm tm = broken_down(wall_us);
    strftime(out, RG_HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}
