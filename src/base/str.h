/*
 * str.h - text that somebody else owns.
 *
 * A struct rg_str is a borrowed run of bytes with a length; it need not end
 * with NUL and may contain any byte. Passed and returned by value.
 *
 * Thread: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rg_str {
    const char *p;
    size_t n;
};

/* A string literal as struct rg_str. */
#define RG_STR(literal) ((struct rg_str){"" literal, sizeof(literal) - 1})

/* For printf("%.*s", RG_STR_ARG(s)). */
#define RG_STR_ARG(s) (int)(s).n, (s).p

/* From a NUL-terminated string; NULL gives the empty string with p == NULL. */
static inline struct rg_str rg_str_c(const char *s)
{
    return (struct rg_str){s, s != NULL ? strlen(s) : 0};
}

static inline struct rg_str rg_str_n(const char *p, size_t n)
{
    return (struct rg_str){p, n};
}

static inline bool rg_str_eq(struct rg_str a, struct rg_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Equal when ASCII letters are compared without case. */
bool rg_str_eq_nocase(struct rg_str a, struct rg_str b);

bool rg_str_starts_with(struct rg_str s, struct rg_str prefix);
bool rg_str_starts_with_nocase(struct rg_str s, struct rg_str prefix);
bool rg_str_ends_with(struct rg_str s, struct rg_str suffix);

/* Without leading and trailing spaces and tabs. */
struct rg_str rg_str_trim(struct rg_str s);

/*
 * Takes the part before the first sep off *rest and returns it; *rest keeps what
 * follows the separator. At the last part *rest becomes {NULL, 0}. Loop with:
 * while (rest.p != NULL) { part = rg_str_split(&rest, ','); ... }
 */
struct rg_str rg_str_split(struct rg_str *rest, char sep);

/*
 * Decimal digits only, no sign, no white space. Returns 0, RG_ESYNTAX for anything
 * else and RG_EINVAL for a value above max. *ret is written on success only.
 */
int rg_str_to_u64(struct rg_str s, uint64_t max, uint64_t *ret);

/* Decimal with optional sign; otherwise as rg_str_to_u64(). */
int rg_str_to_i64(struct rg_str s, int64_t *ret);
