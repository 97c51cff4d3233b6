/*
 * clock.h - what time it is.
 *
 * Code that waits takes the time as an argument, so that tests can move it;
 * these functions are called at the edges: in the event loops and where a
 * time is written down.
 *
 * Thread: any.
 */
#pragma once

#include <stdint.h>

/* Monotonic milliseconds since some moment in the past. */
uint64_t rg_clock_mono_ms(void);

/* The same in nanoseconds. */
uint64_t rg_clock_mono_ns(void);

/* Microseconds since 1970-01-01 UTC. */
int64_t rg_clock_wall_us(void);

#define RG_RFC3339_SIZE 40

/* Writes e.g. 2024-05-06T07:08:09.123456+00:00 (RFC 3339) and a NUL. */
void rg_clock_rfc3339(char out[RG_RFC3339_SIZE], int64_t wall_us);

#define RG_HTTP_DATE_SIZE 32

/* Writes e.g. Sun, 06 Nov 1994 08:49:37 GMT (RFC 9110 section 5.6.7) and a NUL. */
void rg_clock_http_date(char out[RG_HTTP_DATE_SIZE], int64_t wall_us);
