/*
 * decode.h - from a Kafka record to a structured CloudEvent (configuration.md 6.3, client-api.md
 * 17).
 *
 * Thread: any; a decoder belongs to one thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "event/envelope.h"

#define RG_DECODE_MAX_HEADERS 64

/* One record header, as it came. */
struct rg_record_header {
    struct rg_str name;
    struct rg_str value;
};

/*
 * Chooses the mode by the content-type header and sets *ret to the structured JSON: value itself,
 * or what was composed into scratch (cleared first). Returns a negative code with why where the
 * record cannot be an event (empty value, batch, foreign encoding, Avro without a registry).
 */
int rg_decode_record(const struct rg_record_header *headers, size_t headers_n, struct rg_str value,
                     struct rg_buf *scratch, struct rg_str *ret, struct rg_why *why);
