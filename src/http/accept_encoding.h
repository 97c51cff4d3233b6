/*
 * accept_encoding.h - whether the sender of a request takes gzip (RFC 9110 12.5.3).
 *
 * Thread: any; no state.
 */
#pragma once

#include "http/request.h"

/*
 * True if gzip (or x-gzip, or anything by "*") is acceptable and not preferred less than no coding
 * at all. Without the field nothing is compressed, though that would be allowed; elements that are
 * malformed count as absent.
 */
bool rg_accepts_gzip(const struct rg_request *req);
