/*
 * cookie.h - the Cookie request field (RFC 6265 section 5.4).
 *
 * Thread: any; no state.
 */
#pragma once

#include "http/request.h"

/*
 * The raw value of the first cookie with this name over all Cookie fields, without
 * surrounding double quotes; p is NULL if there is none.
 */
struct rg_str rg_cookie_get(const struct rg_request *req, struct rg_str name);
