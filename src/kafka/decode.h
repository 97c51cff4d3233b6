/*
 * decode.h - from a Kafka record to a structured CloudEvent (configuration.md 6.3, client-api.md
 * 17) or the text of a message.
 *
 * Thread: any; a decoder belongs to one thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "event/envelope.h"
#include "event/format.h"
#include "kafka/message.h"

#define RG_DECODE_MAX_HEADERS RG_RECORD_MAX_HEADERS

/*
 * Sets *ret to the text to be dispatched: value itself, or what was composed into scratch (cleared
 * first). *format is what the topic may have, and becomes what this record may be:
 *
 * RG_FORMAT_MESSAGES: value, whatever the headers say (legacy-channels.md 11.3).
 * RG_FORMAT_CLOUDEVENTS: a structured CloudEvent, by the mode that the content-type header asks
 * for. RG_FORMAT_AUTO: the same where a header speaks of CloudEvents (content type, ce_
 * attributes), and *format becomes RG_FORMAT_CLOUDEVENTS; without a content type, value as it is;
 * with another one and no ce_ attributes value is no event (17.2), so *format becomes
 * RG_FORMAT_NO_EVENT.
 *
 * Returns a negative code with why where the record cannot be anything (empty value, batch, foreign
 * encoding, Avro without a registry).
 */
int rg_decode_record(const struct rg_record_header *headers, size_t headers_n, struct rg_str value,
                     enum rg_format *format, struct rg_buf *scratch, struct rg_str *ret,
                     struct rg_why *why);
