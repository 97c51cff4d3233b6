/*
 * cmd.h - the subcommands of rgate.
 *
 * Each takes the arguments behind its name (argv[0] is the name) and returns the exit status: 0 for
 * success, 1 for a failure, 2 for wrong usage. Each prints its own --help.
 */
#pragma once

#include "rgate/config.h"

struct rg_cmd {
    const char *name;
    const char *summary; /* one line, for `rgate help` */
    int (*run)(int argc, char **argv);
};

/* All subcommands, ended by a row without name. The first is the default. */
extern const struct rg_cmd rg_cmds[];

int rg_cmd_serve(int argc, char **argv);     /* serve.c */
int rg_cmd_dev(int argc, char **argv);       /* serve.c */
int rg_cmd_check(int argc, char **argv);     /* cmd_check.c */
int rg_cmd_publish(int argc, char **argv);   /* cmd_publish.c */
int rg_cmd_subscribe(int argc, char **argv); /* cmd_subscribe.c */
int rg_cmd_token(int argc, char **argv);     /* cmd_token.c */
int rg_cmd_version(int argc, char **argv);   /* cmd_help.c */
int rg_cmd_help(int argc, char **argv);      /* cmd_help.c */

/*
 * Loads the configuration from the environment; on problems prints their lines to stderr and
 * returns NULL. Warnings are logged. Owned by the caller.
 */
struct rg_config *rg_cmd_load_config(void); /* config.c */
