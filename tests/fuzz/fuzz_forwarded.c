/*
 * Forwarded and X-Forwarded-For. The first byte chooses the field (even: Forwarded), the rest are
 * its lines, each behind a LF.
 *
 * What is accepted is accepted again, with the same stations, when it is joined to one line and
 * when it is written anew; addresses are in their one form.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/err.h"
#include "proxy/forwarded.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static int read_line(bool is_x, struct rg_forwarded *forwarded, struct rg_str line)
{
    return is_x ? rg_forwarded_read_x(forwarded, line) : rg_forwarded_read(forwarded, line);
}

static bool is_part_of(struct rg_str part, struct rg_str whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void check_address(const char *address)
{
    unsigned char bytes[16];
    char again[RG_PEER_SIZE];
    int family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;

    rg_assert(inet_pton(family, address, bytes) == 1);
    inet_ntop(family, bytes, again, sizeof(again));
    rg_assert(strcmp(address, again) == 0);
    rg_assert(strncmp(address, "::ffff:", 7) != 0 || strchr(address, '.') == NULL);
}

static void check(const struct rg_forwarded *forwarded, struct rg_str text)
{
    rg_assert(forwarded->n <= RG_FORWARDED_MAX_HOPS);
    rg_assert(forwarded->bytes <= RG_FORWARDED_MAX_BYTES);
    for (size_t i = 0; i < forwarded->n; i++) {
        const struct rg_forwarded_hop *hop = &forwarded->hops[i];
        rg_assert(is_part_of(hop->node, text) && is_part_of(hop->host, text) &&
                  is_part_of(hop->proto, text));
        if (hop->address[0] != '\0')
            check_address(hop->address);
    }
}

static void check_same(const struct rg_forwarded *a, const struct rg_forwarded *b)
{
    rg_assert(a->n == b->n);
    for (size_t i = 0; i < a->n; i++)
        rg_assert(strcmp(a->hops[i].address, b->hops[i].address) == 0);
}

static void check_joined(const struct rg_forwarded *forwarded, bool is_x, struct rg_str text)
{
    static struct rg_forwarded again;
    struct rg_buf line = {0};

    while (text.p != NULL) {
        rg_buf_add_str(&line, rg_str_split(&text, '\n'));
        rg_buf_add_c(&line, text.p != NULL ? "," : "");
    }
    again.n = again.bytes = 0;
    int err = read_line(is_x, &again, rg_buf_str(&line));
    /* The commas between count, too. */
    rg_assert(err == 0 || (err == RG_EFULL && line.n > RG_FORWARDED_MAX_BYTES));
    if (err == 0)
        check_same(forwarded, &again);
    rg_buf_done(&line);
}

static void check_rewritten(const struct rg_forwarded *forwarded)
{
    static struct rg_forwarded again;
    struct rg_buf line = {0};

    for (size_t i = 0; i < forwarded->n; i++) {
        const struct rg_forwarded_hop *hop = &forwarded->hops[i];
        rg_buf_add_c(&line, i > 0 ? ", for=" : "for=");
        if (hop->address[0] != '\0' || hop->node.n == 0)
            rg_forwarded_add_address(&line, rg_str_c(hop->address));
        else
            rg_forwarded_add_value(&line, hop->node);
        rg_buf_add_c(&line, ";host=");
        rg_forwarded_add_value(&line, hop->node);
    }
    again.n = again.bytes = 0;
    int err = rg_forwarded_read(&again, rg_buf_str(&line));
    rg_assert(err == 0 || (err == RG_EFULL && line.n > RG_FORWARDED_MAX_BYTES));
    if (err == 0)
        check_same(forwarded, &again);
    rg_buf_done(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    static struct rg_forwarded forwarded;

    if (n == 0)
        return 0;
    bool is_x = input[0] % 2 != 0;
    struct rg_str text = rg_str_n((const char *)input + 1, n - 1);
    struct rg_str rest = text;
    forwarded.n = forwarded.bytes = 0;
    while (rest.p != NULL) {
        struct rg_str line = rg_str_split(&rest, '\n');
        if (read_line(is_x, &forwarded, line) < 0)
            return 0;
    }
    check(&forwarded, text);
    check_joined(&forwarded, is_x, text);
    check_rewritten(&forwarded);
    return 0;
}
