#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "net/networks.h"

static struct rg_networks *networks_of(const char *list)
{
    struct rg_networks *networks = rg_networks_new();
    struct rg_str rest = rg_str_c(list);
    struct rg_why why;

    while (rest.n > 0) {
        if (rg_networks_add(networks, rg_str_split(&rest, ','), &why) < 0)
            fail_msg("%s: %s", list, why.text);
    }
    return networks;
}

static void assert_has(const char *list, const char *address, bool wanted)
{
    struct rg_networks *networks = networks_of(list);

    if (rg_networks_has(networks, rg_str_c(address)) != wanted)
        fail_msg("%s %s %s", list, wanted ? "lacks" : "has", address);
    rg_networks_free(&networks);
    assert_null(networks);
}

static void a_network_has_the_addresses_with_its_first_bits(void **state)
{
    (void)state;
    assert_has("10.0.0.0/8", "10.0.0.0", true);
    assert_has("10.0.0.0/8", "10.255.255.255", true);
    assert_has("10.0.0.0/8", "11.0.0.0", false);
    assert_has("10.0.0.0/8", "9.255.255.255", false);
    assert_has("172.16.0.0/12", "172.31.0.1", true);
    assert_has("172.16.0.0/12", "172.32.0.1", false);
    assert_has("192.0.2.128/25", "192.0.2.127", false);
    assert_has("192.0.2.128/25", "192.0.2.128", true);
    assert_has("2001:db8::/32", "2001:db8:ffff::1", true);
    assert_has("2001:db8::/32", "2001:db9::1", false);
    assert_has("2001:db8:8000::/33", "2001:db8:7fff::", false);
    assert_has("2001:db8:8000::/33", "2001:db8:8000::", true);
}

static void an_address_alone_is_itself(void **state)
{
    (void)state;
    assert_has("192.0.2.7", "192.0.2.7", true);
    assert_has("192.0.2.7", "192.0.2.6", false);
    assert_has("192.0.2.7/32", "192.0.2.7", true);
    assert_has("2001:db8::7", "2001:DB8:0::0:7", true);
    assert_has("2001:db8::7/128", "2001:db8::8", false);
    assert_has(" 192.0.2.7 ", "192.0.2.7", true);
}

static void any_of_several_will_do(void **state)
{
    (void)state;
    const char *list = "192.0.2.7,10.0.0.0/8,fd00::/8";
    assert_has(list, "10.1.2.3", true);
    assert_has(list, "192.0.2.7", true);
    assert_has(list, "fd12::1", true);
    assert_has(list, "192.0.2.8", false);
    assert_has("", "192.0.2.8", false);
}

static void ipv4_is_the_same_in_ipv6_form(void **state)
{
    (void)state;
    assert_has("10.0.0.0/8", "::ffff:10.1.2.3", true);
    assert_has("::ffff:10.0.0.0/104", "10.1.2.3", true);
    assert_has("::ffff:10.0.0.0/104", "11.1.2.3", false);
}

static void everything_of_one_family_is_nothing_of_the_other(void **state)
{
    (void)state;
    assert_has("0.0.0.0/0", "203.0.113.9", true);
    assert_has("0.0.0.0/0", "2001:db8::1", false);
    assert_has("::/0", "2001:db8::1", true);
    assert_has("::/0", "203.0.113.9", false);
    assert_has("::/0", "::ffff:203.0.113.9", false);
}

static void what_is_no_address_is_in_no_network(void **state)
{
    static const char *const others[] = {
        "",
        "unknown",
        "10.0.0",
        "10.0.0.1:80",
        "[::1]",
        "10.0.0.1 ",
        "::1%lo",
        "0x0a000001",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(others); i++)
        assert_has("0.0.0.0/0,::/0", others[i], false);
    struct rg_networks *networks = networks_of("0.0.0.0/0");
    assert_false(rg_networks_has(networks, rg_str_n("10.0.0.1\0x", 10)));
    rg_networks_free(&networks);
    assert_false(rg_networks_has(NULL, RG_STR("10.0.0.1")));
}

static void what_is_neither_is_refused_with_a_reason(void **state)
{
    static const char *const bad[][2] = {
        {"", "must be an address"},
        {"proxy.example", "must be an address"},
        {"10.0.0.0/", "from 0 to 32"},
        {"10.0.0.0/33", "from 0 to 32"},
        {"10.0.0.0/8/8", "from 0 to 32"},
        {"10.0.0.0/-1", "from 0 to 32"},
        {"10.0.0.0/0008", "from 0 to 32"},
        {"2001:db8::/129", "from 0 to 128"},
        {"/8", "must be an address"},
        {"10.0.0.1/8", "bits behind the first 8 are set"},
        {"2001:db8::1/32", "bits behind the first 32 are set"},
        {"[2001:db8::1]", "must be an address"},
    };

    (void)state;
    struct rg_networks *networks = rg_networks_new();
    for (size_t i = 0; i < RG_COUNT_OF(bad); i++) {
        struct rg_why why = {0};
        assert_int_equal(rg_networks_add(networks, rg_str_c(bad[i][0]), &why), RG_ESYNTAX);
        if (strstr(why.text, bad[i][1]) == NULL)
            fail_msg("%s: %s", bad[i][0], why.text);
    }
    assert_false(rg_networks_has(networks, RG_STR("10.0.0.1")));
    rg_networks_free(&networks);
}

/* Against the definition, bit by bit. */
static void any_length_is_compared_bit_by_bit(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 32; bits++) {
        uint32_t mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
        uint32_t base = 0xc0a8a5a5u & mask;
        char text[40];
        snprintf(text, sizeof(text), "%u.%u.%u.%u/%u", base >> 24, base >> 16 & 255,
                 base >> 8 & 255, base & 255, bits);
        for (unsigned flipped = 0; flipped < 32; flipped++) {
            uint32_t other = base ^ (1u << flipped);
            char address[20];
            snprintf(address, sizeof(address), "%u.%u.%u.%u", other >> 24, other >> 16 & 255,
                     other >> 8 & 255, other & 255);
            assert_has(text, address, (other & mask) == base);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_has_the_addresses_with_its_first_bits),
        cmocka_unit_test(an_address_alone_is_itself),
        cmocka_unit_test(any_of_several_will_do),
        cmocka_unit_test(ipv4_is_the_same_in_ipv6_form),
        cmocka_unit_test(everything_of_one_family_is_nothing_of_the_other),
        cmocka_unit_test(what_is_no_address_is_in_no_network),
        cmocka_unit_test(what_is_neither_is_refused_with_a_reason),
        cmocka_unit_test(any_length_is_compared_bit_by_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
