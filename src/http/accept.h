/*
 * accept.h - whether the sender of a request takes JSON (RFC 9110 12.5.1).
 *
 * Thread: any; no state.
 */
#pragma once

#include "http/request.h"

/*
 * True if application/json is acceptable: by its name, else as application of any kind, else as
 * anything; the most exact of these decides. Without the field everything is. Parameters but q are
 * not looked at.
 */
bool rg_accepts_json(const struct rg_request *req);
