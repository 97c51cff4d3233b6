/*
 * A list of subscriptions, LF, and any text: a glance at the text and the full reading of it must
 * come to the same end for whatever the full reading accepts.
 */
#include "base/alloc.h"
#include "base/rcu.h"
#include "event/envelope.h"
#include "event/interest.h"
#include "event/subscription.h"

#define FIELD(name, index, pointer)                                                                \
    "\"" name "\":{\"stable_field_index\":" index ",\"event\":{\"json_pointer\":\"" pointer "\"}}"

/* clang-format off */
static const char fields[] =
    "{\"chat\":{"
        FIELD("room", "0", "/data/room") ","
        FIELD("deep", "1", "/data/0/who") ","
        FIELD("id", "2", "/id") ","
        FIELD("data", "3", "/data") "},"
    "\"top\":{"
        FIELD("subject", "0", "/subject") "}}";
/* clang-format on */

/* One reading of the text, with what it found. */
struct reading {
    struct rg_projector *projector;
    struct rg_buf scratch;
    struct rg_envelope envelope;
    struct rg_interest_match matches[RG_MAX_FIELD_SETS];
    size_t n;
};

static struct rg_extractors *extractors;
static struct rg_interest *interest;
static struct rg_match_key_builder builder;
static struct reading full, glanced;

static void prepare(void)
{
    struct rg_problems problems = {0};

    rg_rcu_thread_start();
    rg_match_key_init();
    extractors = rg_extractors_new(rg_str_c(fields), &problems);
    rg_assert(extractors != NULL);
    interest = rg_interest_new();
    full.projector = rg_projector_new(rg_extractors_projection(extractors));
    glanced.projector = rg_projector_new(rg_extractors_projection(extractors));
}

static void match(struct reading *reading, struct rg_str type)
{
    reading->n = rg_interest_match(interest, type, rg_extractors_find(extractors, type),
                                   reading->projector, &builder, reading->matches);
}

static bool wanted(void *arg, struct rg_str type, const struct rg_extractor_type **ret_type,
                   uint64_t *ret_fields)
{
    (void)arg;
    *ret_type = rg_extractors_find(extractors, type);
    return rg_interest_of_type(interest, type, ret_fields);
}

static void assert_same_matches(void)
{
    rg_assert(glanced.n == full.n);
    for (size_t i = 0; i < full.n; i++) {
        rg_assert(rg_match_key_eq(glanced.matches[i].key, full.matches[i].key));
        rg_assert(glanced.matches[i].reactors == full.matches[i].reactors);
    }
}

static void compare(struct rg_str text)
{
    struct rg_why why;
    int err = rg_envelope_parse(full.projector, text, &full.scratch, &full.envelope, &why);
    int seen = rg_envelope_glance(glanced.projector, text, wanted, NULL, &glanced.scratch,
                                  &glanced.envelope, &why);

    if (err < 0) {
        rg_assert(seen == err || seen > 0);
        return;
    }
    rg_assert(seen >= 0);
    match(&full, full.envelope.type);
    if (seen == 0) {
        rg_assert(rg_str_eq(glanced.envelope.type, full.envelope.type));
        rg_assert(rg_str_eq(glanced.envelope.id, full.envelope.id));
    }
    if (seen == 1)
        rg_assert(full.n == 0);
    else
        match(&glanced, full.envelope.type);
    if (seen != 1)
        assert_same_matches();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    RG_CLEANUP(rg_subscription_set_free) struct rg_subscription_set *set = NULL;
    struct rg_str text = rg_str_n((const char *)data, n);
    struct rg_str subscriptions = rg_str_split(&text, '\n');
    struct rg_why why;

    if (extractors == NULL)
        prepare();
    if (rg_subscription_parse(extractors, subscriptions, false, 64, &set, &why) < 0)
        return 0;
    for (size_t i = 0; i < set->keys_n; i++)
        rg_assert(rg_interest_add(interest, 0, &set->keys[i]) == 0);
    compare(text);
    for (size_t i = 0; i < set->keys_n; i++)
        rg_interest_remove(interest, 0, &set->keys[i]);
    return 0;
}
