/*
 * survey.h - what the connections of one session are like, asked of every hub.
 *
 * A hub alone knows its clients, so one message goes to each and comes back with what it has; when
 * all are back, their answers have become one. A survey is embedded in what waits for it, on
 * the heap, and every hub's loop must run until it is over.
 *
 * Thread: the reactor that asks, which need not be a hub's.
 */
#pragma once

#include <stdatomic.h>

#include "push/push.h"
#include "push/token.h"

#define RG_SURVEY_MAX_CONNECTIONS 1000
#define RG_SURVEY_MAX_BYTES       ((size_t)4 * 1024 * 1024) /* of all that is listed, about */

struct rg_survey;
typedef void rg_survey_fn(struct rg_survey *survey);

struct rg_survey {
    struct rg_buf session; /* the name; any hub reads it */

    atomic_size_t listed_n; /* by all hubs so far */
    atomic_size_t listed_bytes;

    rg_survey_fn *fn; /* from here on: the reactor that asks */
    unsigned pending; /* hubs */
    /* The outcome: JSON objects with commas between. */
    struct rg_buf connections;
    size_t n;
    bool is_truncated; /* there are more than are listed, or more channels */
};

/*
 * Begins a survey (zeroed but for session); fn is called later, on the reactor home, in a batch.
 */
void rg_survey_begin(struct rg_survey *survey, struct rg_push *push, struct rg_reactor *home,
                     rg_survey_fn *fn);

/* Frees what is in it, once it is over. */
void rg_survey_done(struct rg_survey *survey);

/* How a connection is named there: "reactor-slot-generation". It means nothing to anybody else. */
void rg_survey_add_id(struct rg_buf *out, struct rg_client_handle handle);
/* RG_ESYNTAX for what is none. Whether it is there, its hub knows; hubs_n tells which there are. */
int rg_survey_read_id(struct rg_str id, unsigned hubs_n, struct rg_client_handle *ret);
