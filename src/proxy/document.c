#include "proxy/document.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "event/json.h"

/* Turns "byte 17", counted from 0, into a line and a column, both counted from 1. */
static void locate(struct rg_str text, struct rg_why *why)
{
    size_t offset = 0;
    unsigned line = 1, column = 1;

    if (sscanf(why->place, "byte %zu", &offset) != 1)
        return;
    for (size_t i = 0; i < offset && i < text.n; i++) {
        if (text.p[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text.p[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    snprintf(why->place, sizeof(why->place), "line %u column %u", line, column);
}

json_t *rg_document_read(struct rg_str text, struct rg_why *why)
{
    struct rg_why own = {0};
    struct rg_json json;
    json_error_t error;

    if (why == NULL)
        why = &own;
    if (rg_json_check(text, &json, why) < 0) {
        locate(text, why);
        return NULL;
    }
    json_t *root =
        json_loadb(json.text.p, json.text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (root == NULL) {
        snprintf(why->place, sizeof(why->place), "byte %zu",
                 (size_t)(json.text.p - text.p) + (size_t)error.position);
        locate(text, why);
        snprintf(why->text, sizeof(why->text), "%s", error.text);
    }
    return root;
}

static int add(const char *p, size_t n, void *out)
{
    rg_buf_add(out, p, n);
    return 0;
}

void rg_document_add(const json_t *json, struct rg_buf *out)
{
    int err = json_dump_callback(json, add, out, JSON_COMPACT | JSON_ENCODE_ANY);

    rg_assert(err == 0);
}

void rg_document_unref(json_t **jsonp)
{
    json_decref(*jsonp);
    *jsonp = NULL;
}
