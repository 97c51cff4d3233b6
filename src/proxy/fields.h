/*
 * fields.h - which fields of a request go on to the service (legacy-channels.md 14.4.3, RFC 9110
 * 7.6.1).
 *
 * All but those that are about the connection to us: the ones that everybody knows, and those that
 * Connection names. Host stays, also where Connection names it: it says which of its sites the
 * service is asked for. The length is left out, too; whoever sends the body says how long it is.
 *
 * Thread: any; no state.
 */
#pragma once

#include "http/request.h"

/* Writes the fields, in their order, to ret and returns how many. They are slices of req. */
size_t rg_fields_to_forward(const struct rg_request *req,
                            struct rg_http_field ret[RG_MAX_FIELDS_PER_MESSAGE]);
