/*
 * Subscription JSON from anybody: whatever is accepted has an echo that is JSON, and that
 * asks for the same when it is sent back. Listed twice it is the same once its duplicates are gone.
 */
#include "base/alloc.h"
#include "event/subscription.h"

#define FIELD(name, index, pointer)                                                                \
    "\"" name "\":{\"stable_field_index\":" index ",\"event\":{\"json_pointer\":\"" pointer "\"}}"

/* clang-format off */
static const char fields[] =
    "{\"a\":{"
        FIELD("x", "0", "/data/x") ","
        FIELD("y", "1", "/data/y") ","
        FIELD("z\\u00e9", "7", "/subject") "},"
    "\"b.c\":{"
        FIELD("x", "0", "/data/x/0") "}}";
/* clang-format on */

static const struct rg_extractors *extractors(void)
{
    static struct rg_extractors *built;
    struct rg_problems problems = {0};

    if (built == NULL) {
        rg_match_key_init();
        built = rg_extractors_new(rg_str_c(fields), &problems);
        rg_assert(built != NULL);
        rg_problems_done(&problems);
    }
    return built;
}

static void check_echo(const struct rg_subscription_set *set, size_t max)
{
    RG_CLEANUP(rg_subscription_set_free) struct rg_subscription_set *again = NULL;

    rg_assert(
        rg_subscription_parse(extractors(), rg_buf_str(&set->echo), false, max, &again, NULL) == 0);
    rg_assert(again->subscriptions_n == set->subscriptions_n);
    rg_assert(again->keys_n == set->keys_n);
    for (size_t i = 0; i < set->keys_n; i++) {
        rg_assert(rg_match_key_eq(again->keys[i].key, set->keys[i].key));
        rg_assert(rg_match_key_eq(again->keys[i].type, set->keys[i].type));
        rg_assert(again->keys[i].fields == set->keys[i].fields);
    }
    rg_assert(rg_str_eq(rg_buf_str(&again->echo), rg_buf_str(&set->echo)));
}

static void check_duplicates(struct rg_subscription_set *set, size_t max)
{
    RG_CLEANUP(rg_subscription_set_free) struct rg_subscription_set *twice = NULL;
    struct rg_subscription_set *again = NULL;
    struct rg_str echo = rg_buf_str(&set->echo);

    rg_assert(rg_subscription_parse(extractors(), echo, false, max, &twice, NULL) == 0);
    rg_assert(rg_subscription_parse(extractors(), echo, false, max, &again, NULL) == 0);
    rg_subscription_set_prepend(twice, &again);
    rg_assert(twice->subscriptions_n == 2 * set->subscriptions_n && twice->keys_n == set->keys_n);
    rg_subscription_set_unique(twice);
    rg_subscription_set_unique(set);
    rg_assert(twice->subscriptions_n == set->subscriptions_n);
    rg_assert(rg_str_eq(rg_buf_str(&twice->echo), rg_buf_str(&set->echo)));
    check_echo(set, max);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RG_CLEANUP(rg_subscription_set_free) struct rg_subscription_set *set = NULL;
    struct rg_why why = {0};
    size_t max = 32;
    int err = rg_subscription_parse(extractors(), rg_str_n((const char *)data, size), true, max,
                                    &set, &why);

    if (err < 0) {
        rg_assert(set == NULL && why.text[0] != '\0');
    } else {
        check_echo(set, max);
        check_duplicates(set, max);
    }
    return 0;
}
