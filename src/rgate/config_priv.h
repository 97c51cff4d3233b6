/*
 * config_priv.h - the tables of variables that config.c reads: those of the program, the names that
 * some of them had in 2017, and names that mean nothing any more.
 *
 * Thread: any; constants.
 */
#pragma once

#include "rgate/config.h"

extern const struct rg_option rg_config_rows[];
extern const size_t rg_config_rows_n;

/* Used where its successor is unset. KAFKA_HOSTS is a row of kafka/settings.c. */
struct rg_seed_name {
    const char *successor;
    struct rg_option row;
};
extern const struct rg_seed_name rg_seed_names[];
extern const size_t rg_seed_names_n;

struct rg_retired_name {
    const char *name;
    const char *instead; /* what to do, for the warning */
};
extern const struct rg_retired_name rg_retired_names[];
extern const size_t rg_retired_names_n;
