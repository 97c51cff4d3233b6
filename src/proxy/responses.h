/*
 * responses.h - /v2/responses and /v3/responses of the internal port: services answer requests that
 * wait (management-api.md 5).
 *
 * Thread: the loop of the internal port.
 */
#pragma once

#include "http/server.h"
#include "proxy/answers.h"

#define RG_RESPONSES_ROUTES 2

/* Fills rows, of which none catches all; answers is borrowed. */
void rg_responses_routes(struct rg_answers *answers, size_t max_body,
                         struct rg_route rows[RG_RESPONSES_ROUTES]);
