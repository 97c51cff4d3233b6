/*
 * apis_priv.h - what the management API is asked and what it answers, without the HTTP around it.
 *
 * Thread: any registered with rcu.h.
 */
#pragma once

#include "proxy/apis.h"

struct rg_apis_question {
    enum rg_method method; /* RG_GET, RG_POST, RG_PUT, RG_DELETE */
    struct rg_str id;      /* decoded; n == 0: all of them */
    bool has_type;         /* content-type; without one there is no body (management-api.md 1.1) */
    bool takes_problems;   /* application/problem+json is accepted */
    struct rg_str body;
};

struct rg_apis_answer {
    int status;
    bool is_problem; /* the body is application/problem+json */
    struct rg_buf body;
    struct rg_buf pointers; /* to what is wrong; empty: nothing is */
};

#define RG_APIS_MAX_BODY     8000000 /* management-api.md 1.1 */
#define RG_APIS_MAX_POINTERS 1024

/* Does what is asked and fills *ret, zero-initialised. */
void rg_apis_answer(const struct rg_apis *apis, const struct rg_apis_question *question,
                    struct rg_apis_answer *ret);
void rg_apis_answer_done(struct rg_apis_answer *answer);

/* {"errors":{"detail":"Bad request"}} with this status. */
void rg_apis_answer_bad_request(struct rg_apis_answer *ret, int status);
