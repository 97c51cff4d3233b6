/*
 * page.h - the pages of web/, as parts of the binary.
 *
 * Thread: any; constants.
 */
#pragma once

#include "ops/pages.h"

/* The page that `rgate dev` shows at "/", and the one of `rgate serve`. */
struct rg_static_page rg_page_dev(void);
struct rg_static_page rg_page_welcome(void);

/* The library of Phoenix Channels for the first of them; empty if the build could not get it. */
struct rg_static_page rg_page_phoenix(void);

/* Those of the internal port. */
struct rg_pages rg_page_internal(void);
