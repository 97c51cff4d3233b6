/*
 * log.h - one line per thing that happened.
 *
 * rg_log_warn("client dropped", RG_FS("reason", "slow"), RG_FU("queued", 512));
 *
 * What happened comes first, lower case and constant, so that it can be
 * grepped and counted; what varies is in the fields. A line is written with
 * one write(2) to stdout, its control bytes escaped in every format.
 * Tokens, cookies and secrets are never passed to these functions.
 *
 * Thread: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum rg_log_level {
    RG_LOG_DEBUG,
    RG_LOG_INFO,
    RG_LOG_WARN,
    RG_LOG_ERROR
};

/* configuration.md section 11; text is what the reference calls "erlang". */
enum rg_log_format {
    RG_LOG_TEXT,
    RG_LOG_JSON,
    RG_LOG_GCL
};

struct rg_field {
    const char *key; /* NULL ends the list */
    enum {
        RG_FIELD_STR,
        RG_FIELD_INT,
        RG_FIELD_UINT
    } kind;
    union {
        struct rg_str s;
        int64_t i;
        uint64_t u;
    } v;
};

#define RG_FS(k, cstr)  ((struct rg_field){(k), RG_FIELD_STR, {.s = rg_str_c(cstr)}})
#define RG_FSTR(k, str) ((struct rg_field){(k), RG_FIELD_STR, {.s = (str)}})
#define RG_FI(k, int_)  ((struct rg_field){(k), RG_FIELD_INT, {.i = (int_)}})
#define RG_FU(k, uint_) ((struct rg_field){(k), RG_FIELD_UINT, {.u = (uint_)}})

/* Sets what is written and how. Called once, before other threads exist. */
void rg_log_configure(enum rg_log_level min_level, enum rg_log_format format);

/* True if a line of this level would be written. */
bool rg_log_enabled(enum rg_log_level level);

/* Sends lines to fd (default: 1). For tests; before other threads exist. */
void rg_log_set_fd(int fd);

/*
 * Writes a line whatever the level set. The field "request_id" also names the operation in the
 * GCL format. Mostly used through the macros below.
 */
void rg_log_emit(enum rg_log_level level, const char *file, int line, const char *what,
                 const struct rg_field *fields);

/*
 * Writes text as a line of its own, whatever the level set: bare in the text format, with control
 * bytes escaped; otherwise as the message of a line of level info. For what other programs read.
 */
void rg_log_line(struct rg_str text);

#define RG_LOG_AT(level, what, ...)                                                                \
    do {                                                                                           \
        if (rg_log_enabled(level))                                                                 \
            rg_log_emit((level), __FILE__, __LINE__, (what),                                       \
                        (const struct rg_field[]){__VA_ARGS__ __VA_OPT__(, ){0}});                 \
    } while (0)

#define rg_log_debug(...) RG_LOG_AT(RG_LOG_DEBUG, __VA_ARGS__)
#define rg_log_info(...)  RG_LOG_AT(RG_LOG_INFO, __VA_ARGS__)
#define rg_log_warn(...)  RG_LOG_AT(RG_LOG_WARN, __VA_ARGS__)
#define rg_log_error(...) RG_LOG_AT(RG_LOG_ERROR, __VA_ARGS__)
