/*
 * pages.h - what people look at on the internal port: /swagger-ui and the descriptions of the API,
 * /openapi.json, and /dashboard (management-api.md 8 and 9).
 *
 * Thread: the loop of the internal port.
 */
#pragma once

#include "http/static.h"

#define RG_PAGES_ROUTES 10

/* The files, as parts of the binary; borrowed. */
struct rg_pages {
    struct rg_static_page openapi;   /* OpenAPI 3.1 */
    struct rg_static_page swagger;   /* Swagger 2.0: /swagger-ui/rig_api_swagger.json */
    struct rg_static_page reader;    /* /swagger-ui/index.html */
    struct rg_static_page dashboard; /* /dashboard */
};

/*
 * Fills rows, of which none catches all but what is below /swagger-ui, up to four segments deep:
 * 404 "not found" there, 405 for methods other than GET. pages is borrowed.
 */
void rg_pages_routes(struct rg_pages *pages, struct rg_route rows[RG_PAGES_ROUTES]);
