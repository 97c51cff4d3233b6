/*
 * Records from Kafka. The input is a digit for the topic's format, text headers, "name: value\n"
 * each, an empty line, and the value; without an empty line it is all value.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "event/json.h"
#include "kafka/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_headers(struct rg_str *input, struct rg_record_header *headers, size_t max)
{
    struct rg_str rest = *input;
    size_t n = 0;

    while (n < max && rest.n > 0) {
        struct rg_str line = rg_str_split(&rest, '\n');
        if (line.n == 0) {
            *input = rest;
            return n;
        }
        headers[n].name = rg_str_split(&line, ':');
        headers[n].value = rg_str_trim(line);
        n++;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rg_record_header headers[RG_DECODE_MAX_HEADERS + 1];
    RG_CLEANUP(rg_buf_done) struct rg_buf scratch = {0};
    enum rg_format topic_format = size > 0 ? (enum rg_format)(data[0] % 3) : RG_FORMAT_AUTO;
    enum rg_format format = topic_format;
    struct rg_str value = {(const char *)data + 1, size > 0 ? size - 1 : 0};
    struct rg_why why = {0};
    struct rg_str event;
    struct rg_json json;
    size_t n = read_headers(&value, headers, RG_COUNT_OF(headers));

    int err = rg_decode_record(headers, n, value, &format, &scratch, &event, &why);
    if (topic_format != RG_FORMAT_AUTO && format != topic_format)
        abort();
    if (err < 0) {
        if (why.text[0] == '\0')
            abort();
        return 0;
    }
    if (format != RG_FORMAT_CLOUDEVENTS && event.p != value.p)
        abort();
    /* What was composed here, and not forwarded, must be JSON. */
    if (event.p == scratch.p && rg_json_check(event, &json, NULL) < 0)
        abort();
    return 0;
}
