/*
 * static.h - a page that is part of the binary.
 *
 * Thread: any; pages are constants.
 */
#pragma once

#include "http/server.h"

struct rg_static_page {
    struct rg_str content_type;
    struct rg_str body;
    struct rg_str content_security_policy;
};

/* A rg_http_handler_fn; arg is a const struct rg_static_page *. */
void rg_static_handle(void *arg, struct rg_exchange *exchange);
