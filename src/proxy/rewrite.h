/*
 * rewrite.h - path_replacement: the path that the service sees (api-gateway.md 4.5).
 *
 * Thread: any; immutable after reading.
 */
#pragma once

#include "base/buf.h"
#include "proxy/pattern.h"

struct rg_rewrite;

/* Any text is a replacement (not empty). Spaces and control bytes in it are percent-encoded. */
struct rg_rewrite *rg_rewrite_new(struct rg_str replacement);
void rg_rewrite_free(struct rg_rewrite **rewritep);

#define RG_REWRITE_MAX_BYTES 65536

/*
 * Appends the path and query for captures to out: a slash is put in front where there is none, what
 * follows # is dropped, the client's query (empty: none) follows that of the replacement.
 *
 * What the client has chosen must not lead out of where the replacement points: slashes in front
 * are collapsed and dot segments removed once more (path.h), as they may have come to be by putting
 * pieces together.
 *
 * RG_EFULL, with out as it was, if it would be longer than RG_REWRITE_MAX_BYTES. out must not hold
 * the captures or the query.
 */
int rg_rewrite_expand(const struct rg_rewrite *rewrite, const struct rg_captures *captures,
                      struct rg_str query, struct rg_buf *out);
