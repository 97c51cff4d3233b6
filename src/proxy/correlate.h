/*
 * correlate.h - a correlation id on its way to a service: the query parameter "correlation"
 * (api-gateway.md 8.2 and 11.6).
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"

/*
 * Appends target (path and query) to out with the parameter correlation=id behind everything else,
 * and without any other of that name, however it is encoded. id needs no encoding.
 */
void rg_correlate(struct rg_str target, struct rg_str id, struct rg_buf *out);
