/*
 * fixture.h - the extractors of client-api.md section 19, and short ways to JSON and keys.
 *
 * Thread: any.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/extractor.h"
#include "event/matchkey.h"
#include "event/subscription.h"

#define FIXTURE_FIELD(name, index, pointer)                                                        \
    "\"" name "\":{\"stable_field_index\":" index ",\"event\":{\"json_pointer\":\"" pointer "\"}}"

static inline struct rg_extractors *fixture_extractors(void)
{
    struct rg_problems problems = {0};
    /* clang-format off */
    static const char json[] =
        "{\"chat.posted\":{"
            FIXTURE_FIELD("room", "0", "/data/room") ","
            FIXTURE_FIELD("author", "1", "/data/author") ","
            FIXTURE_FIELD("size", "2", "/data/size") ","
            FIXTURE_FIELD("urgent", "3", "/data/urgent") "},"
        "\"top.level\":{"
            FIXTURE_FIELD("subj", "0", "/subject") "}}";
    /* clang-format on */
    struct rg_extractors *extractors = rg_extractors_new(rg_str_c(json), &problems);

    assert_non_null(extractors);
    assert_int_equal(problems.n, 0);
    rg_problems_done(&problems);
    return extractors;
}

static inline struct rg_json fixture_json(const char *text)
{
    struct rg_json value;

    assert_int_equal(rg_json_check(rg_str_c(text), &value, NULL), 0);
    return value;
}

/* Owned by the caller. */
static inline struct rg_subscription_set *fixture_set(const struct rg_extractors *extractors,
                                                      const char *json)
{
    struct rg_subscription_set *set = NULL;
    struct rg_why why = {0};

    if (rg_subscription_parse(extractors, rg_str_c(json), false, 100, &set, &why) < 0)
        fail_msg("%s: %s: %s", json, why.place, why.text);
    return set;
}
