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
    char
        *reason; /* what a person wants to know beyond the message, which is fixed; NULL: no more */
};

/* Zero-initialised. */
struct rg_faults {
    struct rg_fault *list;
    size_t n, untold;
};

/* Adds one; everything is copied. */
void rg_faults_add(struct rg_faults *faults, const char *key, const char *field,
                   const char *pointer, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Gives the fault that was added last its reason (copied); "" gives none. */
void rg_faults_explain(struct rg_faults *faults, const char *reason);

void rg_faults_done(struct rg_faults *faults);

/* How many there are, those that are not kept included. */
static inline size_t rg_faults_count(const struct rg_faults *faults)
{
    return faults->n + faults->untold;
}

/* Appends the message and, behind ": ", the reason. */
void rg_fault_add_text(const struct rg_fault *fault, struct rg_buf *out);

/* {"api":[{"name":"must be string"}, …], …}: one member a key, in the order of its first fault. */
void rg_faults_add_json(const struct rg_faults *faults, struct rg_buf *out);

/* The same as RFC 9457 wants it:
 * {"type":"about:blank","title":…,"status":400,"errors":[{"detail":…, "pointer":"#/name", "key":…},
 * …]}. */
void rg_faults_add_problem(const struct rg_faults *faults, struct rg_buf *out);

/*
 * The pointers as the value of a field: each once, percent-encoded, with commas between; those that
 * do not fit into max_bytes are left out.
 */
void rg_faults_add_pointers(const struct rg_faults *faults, size_t max_bytes, struct rg_buf *out);
