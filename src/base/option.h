/*
 * option.h - one variable of the environment, one row.
 *
 * The program lists every variable it knows in tables of rows; parsing,
 * `rgate help`, the reference page and the start-up check all read them.
 * configuration.md section 1: an empty or blank value is the same as unset,
 * every problem is reported, each with the variable, what is wrong and the value.
 *
 * Thread: start-up only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum rg_option_type {
    RG_OPT_STRING, /* char *, trimmed unless secret; NULL when unset without default */
    RG_OPT_INT,    /* int64_t, between min and max */
    RG_OPT_MS,     /* int64_t milliseconds, between min and max */
    RG_OPT_BYTES,  /* int64_t bytes, between min and max */
    RG_OPT_BOOL,   /* bool: true, 1, yes / false, 0, no, any case */
    RG_OPT_LIST,   /* struct rg_option_list: split at commas, trimmed, empty items dropped */
    RG_OPT_CHOICE, /* int: the index of the value in choices, any case */
};

enum {
    RG_OPT_SECRET = 1,      /* a string whose value is never printed */
    RG_OPT_EMPTY_COUNTS = 2 /* given but empty differs from unset: "", or an empty list */
};

struct rg_option_list {
    char **items; /* NUL-terminated strings */
    size_t n;
};

struct rg_option {
    const char *name;
    enum rg_option_type type;
    const char *def;     /* as it would be written in the environment, or NULL */
    int64_t min, max;    /* RG_OPT_INT, RG_OPT_MS, RG_OPT_BYTES */
    const char *choices; /* RG_OPT_CHOICE: "debug|info|warn,warning|error" (a comma: synonyms) */
    unsigned flags;
    size_t offset;       /* of the value in the struct that is filled */
    const char *section; /* heading in --help and in the reference */
    const char *help;    /* one sentence */
};

/* Problems of a configuration, one line each, in the order found. */
struct rg_problems {
    struct rg_buf lines; /* complete lines */
    size_t n;
};

/*
 * Adds "rgate: configuration error: <variable>: <what is wrong> (got "<value>")"; without
 * the parenthesis if value is NULL. Control bytes of the value are escaped, and a long
 * value is cut.
 */
void rg_problem_add(struct rg_problems *problems, const char *variable, const char *value,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void rg_problems_done(struct rg_problems *problems);

/* getenv(3) or a test's own. */
typedef const char *rg_getenv_fn(const char *name);

/*
 * Overwrites the fields at out from the environment, row by row; a row with a wrong
 * value gets its default and a problem. Strings and lists are owned by out until
 * rg_options_done().
 */
void rg_options_parse(const struct rg_option *rows, size_t n, rg_getenv_fn *env, void *out,
                      struct rg_problems *problems);

/* Frees what rg_options_parse() put into out. */
void rg_options_done(const struct rg_option *rows, size_t n, void *out);

/* Appends "NAME=value" lines of what from holds; a secret that is set as "***". */
void rg_options_dump(const struct rg_option *rows, size_t n, const void *from, struct rg_buf *out);

/* Appends the rows as text for a terminal (is_markdown false) or as Markdown tables. */
void rg_options_describe(const struct rg_option *rows, size_t n, bool is_markdown,
                         struct rg_buf *out);
