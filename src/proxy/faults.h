/*
 * faults.h - all that is wrong with a definition, in the order found (api-gateway.md 3.4).
 *
 * Thread: whoever owns it.
 */
#pragma once

#include "base/buf.h"

#define RG_FAULTS_MAX 1000 /* what is beyond that is counted, not kept */

struct rg_fault {
    char *key;     /* "api", an API's id, or "<api id>/<endpoint id>" */
    char *field;   /* "path_regex" */
    char *message; /* "must be string" */
    char *
        pointer; /* RFC 6901, into the definition: "/version_data/default/endpoints/0/path_regex" */
};

/* Zero-initialised. */
struct rg_faults {
    struct rg_fault *list;
    size_t n, untold;
};

/* Adds one; everything is copied. */
void rg_faults_add(struct rg_faults *faults, const char *key, const char *field,
                   const char *pointer, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void rg_faults_done(struct rg_faults *faults);

/* {"api":[{"name":"must be string"}, …], …}: one member a key, in the order of its first fault. */
void rg_faults_add_json(const struct rg_faults *faults, struct rg_buf *out);

/* The same as RFC 9457 wants it:
 * {"type":"about:blank","title":…,"status":400,"errors":[{"detail":…, "pointer":"#/name", "key":…},
 * …]}. */
void rg_faults_add_problem(const struct rg_faults *faults, struct rg_buf *out);
