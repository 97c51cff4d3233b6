#include "net/networks.h"

#include <arpa/inet.h>

#include "base/alloc.h"

/* ---- addresses ---- */

#define IPV4_PREFIX 96 /* bits of ::ffff:0:0/96, below which IPv4 has its place */

/* IPv4 too, in its IPv6 form, so that one comparison does for both. */
struct address {
    unsigned char bytes[16];
};

static const unsigned char v4_prefix[IPV4_PREFIX / 8] = {[10] = 0xff, [11] = 0xff};

static bool read_v4(const char *text, struct address *ret)
{
    memcpy(ret->bytes, v4_prefix, sizeof(v4_prefix));
    return inet_pton(AF_INET, text, ret->bytes + sizeof(v4_prefix)) == 1;
}

static bool is_v4(const struct address *address)
{
    return memcmp(address->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

/* Sets *ret_width to the bits that a prefix length of this form may have at most. */
static bool read_address(struct rg_str text, struct address *ret, unsigned *ret_width)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.n == 0 || text.n >= sizeof(copy) || memchr(text.p, '\0', text.n) != NULL)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    *ret_width = 32;
    if (read_v4(copy, ret))
        return true;
    *ret_width = 128;
    return inet_pton(AF_INET6, copy, ret->bytes) == 1;
}

/* ---- sets ---- */

struct network {
    struct address address;
    unsigned bits; /* of the IPv6 form */
    bool is_v4;    /* ::/0 is all of IPv6, but no IPv4 */
};

struct rg_networks {
    struct network *list;
    size_t n;
};

struct rg_networks *rg_networks_new(void)
{
    return rg_zalloc(sizeof(struct rg_networks));
}

void rg_networks_free(struct rg_networks **networksp)
{
    if (*networksp != NULL)
        rg_free((*networksp)->list);
    rg_free(*networksp);
    *networksp = NULL;
}

static bool are_equal_for(const struct address *a, const struct address *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(a->bytes, b->bytes, whole) != 0)
        return false;
    return rest == 0 || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0;
}

/* Who writes 10.1.2.3/8 means another network or another length: better to ask. */
static bool has_bits_behind(const struct address *address, unsigned bits)
{
    for (unsigned i = bits; i < 128; i++) {
        if (address->bytes[i / 8] & (0x80u >> (i % 8)))
            return true;
    }
    return false;
}

static int read_network(struct rg_str text, struct network *ret, struct rg_why *why)
{
    const char *slash = text.n > 0 ? memchr(text.p, '/', text.n) : NULL;
    struct rg_str address = rg_str_n(text.p, slash != NULL ? (size_t)(slash - text.p) : text.n);
    struct rg_str length = rg_str_c(NULL);
    unsigned width;
    uint64_t bits;

    if (!read_address(address, &ret->address, &width))
        return rg_why_set(why, RG_ESYNTAX, "", "must be an address or a network like 10.0.0.0/8");
    bits = width;
    if (slash != NULL)
        length = rg_str_n(slash + 1, text.n - address.n - 1);
    if (slash != NULL && (length.n > 3 || rg_str_to_u64(length, width, &bits) < 0))
        return rg_why_set(why, RG_ESYNTAX, "", "has no number from 0 to %u behind the slash",
                          width);
    ret->bits = (unsigned)bits + (width == 32 ? IPV4_PREFIX : 0);
    ret->is_v4 = is_v4(&ret->address) && ret->bits >= IPV4_PREFIX;
    if (has_bits_behind(&ret->address, ret->bits))
        return rg_why_set(why, RG_ESYNTAX, "",
                          "is an address inside of a network: bits behind the first %u are set",
                          (unsigned)bits);
    return 0;
}

int rg_networks_add(struct rg_networks *networks, struct rg_str text, struct rg_why *why)
{
    struct network network;
    int err = read_network(rg_str_trim(text), &network, why);

    if (err < 0)
        return err;
    networks->list = rg_realloc_array(networks->list, networks->n + 1, sizeof(networks->list[0]));
    networks->list[networks->n++] = network;
    return 0;
}

bool rg_networks_has(const struct rg_networks *networks, struct rg_str address)
{
    struct address wanted;
    unsigned width;

    if (networks == NULL || networks->n == 0 || !read_address(address, &wanted, &width))
        return false;
    bool wants_v4 = is_v4(&wanted);
    for (size_t i = 0; i < networks->n; i++) {
        const struct network *network = &networks->list[i];
        if (network->is_v4 == wants_v4 && are_equal_for(&network->address, &wanted, network->bits))
            return true;
    }
    return false;
}
