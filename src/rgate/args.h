/*
 * args.h - the options of a subcommand, and what is said when they are wrong.
 *
 * Thread: main, before others exist.
 */
#pragma once

#include <getopt.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * The val of the next option (its argument is in optarg), -1 behind the last one, or '?' after
 * telling on stderr what is wrong. Arguments that are no options are moved to the end: they start
 * at optind then. "-h" is known in addition to the options. Zero optind before the first call.
 */
int rg_args_next(int argc, char **argv, const struct option *options);

/* Prints "rgate <command>: <what is wrong>" and where help is to stderr; returns 2, wrong usage. */
int rg_args_wrong(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints "rgate <command>: <what failed>" to stderr; returns 1, failure. */
int rg_args_failed(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Splits "name=value" at the first equals sign and appends "name":value as a member of a JSON
 * object, after a comma unless out ends in an opening brace. The value is taken as JSON if it is
 * JSON, otherwise as a string. Returns RG_ESYNTAX where there is no name.
 */
int rg_args_add_member(struct rg_buf *out, const char *pair);

/* Appends value as it is if it is JSON, otherwise as a JSON string. */
void rg_args_add_json(struct rg_buf *out, struct rg_str value);

/* Appends the content of what an argument names: itself, @FILE, or - for standard input. */
int rg_args_read(const char *arg, struct rg_buf *out, struct rg_why *why);

/* Appends base, without slashes at its end, and path. */
void rg_args_add_url(struct rg_buf *out, const char *base, const char *path);

/* The candidate that a typing error most likely meant, or NULL. Ends at the first NULL. */
const char *rg_args_nearest(const char *word, const char *const *candidates);
