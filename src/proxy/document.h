/*
 * document.h - JSON text that becomes a tree, because most of it is kept: definitions.
 *
 * The text is checked first (event/json.h: nesting, UTF-8), so that what builds the tree, which
 * recurses, has bounds. No object may have a member twice, and no string a NUL.
 *
 * Thread: any; no state.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

/* A reference to the tree; NULL, with why->place "line 3 column 7", if text is not such JSON. */
json_t *rg_document_read(struct rg_str text, struct rg_why *why);

/* Appends compact text. */
struct rg_buf;
void rg_document_add(const json_t *json, struct rg_buf *out);

/* Gives up a reference and sets *jsonp to NULL (NULL is fine). */
void rg_document_unref(json_t **jsonp);
