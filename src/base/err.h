/*
 * err.h - what can go wrong, and how it is told.
 *
 * Functions return 0 or a negative code: libuv's (which are negated errno
 * values on Linux) or one of ours below, chosen outside of libuv's range.
 * Whatever a person must read also fills a struct rg_why.
 *
 * Thread: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    RG_EFULL = -20001,     /* a limit of ours would be exceeded */
    RG_EAGAIN = -20002,    /* not now; try again when told so */
    RG_ESYNTAX = -20003,   /* the bytes are not of the expected form */
    RG_EGONE = -20004,     /* it existed and does not any more */
    RG_EINVAL = -20005,    /* well formed, but not acceptable */
    RG_ENOTFOUND = -20006, /* there is no such thing */
    RG_EDENIED = -20007,   /* it exists, but not for you */
    RG_ECANCELED = -20008  /* given up before it was done */
};

/*
 * The explanation of an error for a person: a place ("/0/oneOf", "line 3
 * column 7", "byte 12"; may be empty) and a sentence without final stop.
 */
struct rg_why {
    char place[96];
    char text[416];
};

/* Returns the sentence for a code of ours or of libuv/errno. Never NULL; static storage. */
const char *rg_strerror(int err);

/*
 * Fills why (which may be NULL) and returns err, so that a failing function
 * can end with `return rg_why_set(why, RG_EINVAL, "", "...")`. Text that does not
 * fit is cut. Control bytes are the caller's concern.
 */
int rg_why_set(struct rg_why *why, int err, const char *place, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Ends the process with a message on stderr. Used for our own mistakes only; stays in release. */
_Noreturn void rg_assert_fail(const char *expr, const char *file, int line);
#define rg_assert(expr) ((expr) ? (void)0 : rg_assert_fail(#expr, __FILE__, __LINE__))
