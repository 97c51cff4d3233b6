/*
 * random.h - unguessable bytes from the system, a page at a time.
 *
 * Each thread keeps a small stock, so that a request id costs no system call.
 *
 * Thread: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Fills n bytes at p. Cannot fail. */
void rg_random_bytes(void *p, size_t n);

/* A uniformly distributed number in [0, bound), bound > 0. */
uint64_t rg_random_below(uint64_t bound);

/* Writes n random bytes as 2 n lower-case hex digits, without NUL. */
void rg_random_hex(char *out, size_t n);

#define RG_UUID_LEN 36

/* Writes a version 4 UUID (RFC 9562 section 5.4) in text form and a NUL: 37 bytes. */
void rg_random_uuid(char *out);
