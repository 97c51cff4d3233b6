/*
 * payload.h - an event as the benchmarks send it.
 *
 * A CloudEvent 0.2 with the attributes a real one has and a data object with text, numbers and
 * a list, filled up to the wanted size. It is built once; per event only id, addressee
 * and stamp are overwritten, all of fixed width, so that the producer is not what is measured.
 *
 * Thread: whoever owns it.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

#define RG_PAYLOAD_TO_DIGITS 7
#define RG_PAYLOAD_MIN_SIZE  280

struct rg_payload {
    struct rg_buf json;
    size_t id_at, to_at, stamp_at;
};

/*
 * type: the event type, without characters that JSON escapes; NULL: no CloudEvent but a message
 * with the addressee as its username. size: at least RG_PAYLOAD_MIN_SIZE.
 */
void rg_payload_init(struct rg_payload *payload, const char *type, size_t size);
void rg_payload_done(struct rg_payload *payload);

/* Sets id and addressee (seven digits, as in the subscription {"to":"0000042"}) and the stamp. */
void rg_payload_set(struct rg_payload *payload, uint64_t id, uint64_t to, uint64_t now_ns);
