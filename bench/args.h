/*
 * args.h - what the benchmark programs read from their command line.
 *
 * A wrong argument ends the program with status 2 and a sentence on stderr.
 *
 * Thread: start-up only.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "base/err.h"

/* A decimal number of at most max; name is the option, for the message. */
uint64_t rg_args_u64(const char *name, const char *value, uint64_t max);

/* "A.B.C.D:PORT". */
struct sockaddr_in rg_args_endpoint(const char *name, const char *value);

/* Ends the program with status 2. */
_Noreturn void rg_args_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Ends the program with status 1, the sentence and the text of errno. */
_Noreturn void rg_args_die(const char *what);

/* Raises the soft limit of descriptors to the hard one and returns it. */
uint64_t rg_args_raise_descriptors(void);
