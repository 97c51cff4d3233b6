/*
 * stamp.h - the moment an event was sent, inside the event.
 *
 * "ts":"0000012345678901234": nanoseconds of CLOCK_MONOTONIC, always 19 digits. Sender and
 * receiver run on one machine and so read the same clock.
 *
 * Thread: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RG_STAMP_MARK   "\"ts\":\""
#define RG_STAMP_DIGITS 19
#define RG_STAMP_SIZE   (sizeof(RG_STAMP_MARK) - 1 + RG_STAMP_DIGITS)

/* Writes exactly RG_STAMP_DIGITS digits, no NUL. */
void rg_stamp_write(char *out, uint64_t ns);

/*
 * Finds the first complete stamp in p[0..n). Returns how many bytes lie before what follows it and
 * sets *ret_ns, or 0 if there is none. A stamp that is cut at the end is not complete: keep the
 * last RG_STAMP_SIZE - 1 bytes for the next call.
 */
size_t rg_stamp_find(const char *p, size_t n, uint64_t *ret_ns);
