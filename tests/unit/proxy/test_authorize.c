#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "auth/jwt.h"
#include "base/rcu.h"
#include "proxy/authorize.h"

#define SECRET "of the tests"

static struct rg_blacklist *blacklist;
static struct rg_verifier *verifier;
static struct rg_buf good, banned; /* tokens, NUL-terminated */

static void mint(const char *jti, struct rg_buf *out)
{
    struct rg_buf claims = {0};

    rg_buf_addf(&claims, "{\"jti\":\"%s\",\"exp\":%lld}", jti, (long long)time(NULL) + 600);
    assert_int_equal(rg_jwt_mint("HS256", RG_STR(SECRET), rg_buf_str(&claims), out, NULL), 0);
    rg_buf_add_char(out, '\0');
    rg_buf_done(&claims);
}

static int setup(void **state)
{
    (void)state;
    rg_rcu_thread_start();
    blacklist = rg_blacklist_new();
    struct rg_verifier_settings settings = {.alg = "HS256",
                                            .key = RG_STR(SECRET),
                                            .session_field = "/jti",
                                            .cache_entries = 10,
                                            .blacklist = blacklist};
    verifier = rg_verifier_new(&settings, NULL);
    mint("good", &good);
    mint("banned", &banned);
    return rg_blacklist_add(blacklist, RG_STR("banned"), 600);
}

static int teardown(void **state)
{
    (void)state;
    rg_buf_done(&good);
    rg_buf_done(&banned);
    rg_verifier_free(&verifier);
    rg_blacklist_free(&blacklist);
    rg_rcu_thread_stop();
    return 0;
}

static struct rg_api api_2017 = {.dialect = RG_DIALECT_2017};

static const struct rg_api *api = &api_2017;
static const char *field_name = "Authorization";

/* Templates, in which @ stands for the good token and ! for the banned one. */
static void fill(const char *template, struct rg_buf *out)
{
    for (; *template != '\0'; template ++) {
        if (*template == '@')
            rg_buf_add_c(out, good.p);
        else if (*template == '!')
            rg_buf_add_c(out, banned.p);
        else
            rg_buf_add_char(out, *template);
    }
}

static int try(const char *query, const char *first, const char *second)
{
    const char *values[] = {first, second};
    struct rg_request req = {0};
    struct rg_claims *claims = NULL;
    struct rg_buf texts[3] = {0};

    for (size_t i = 0; i < 2; i++) {
        if (values[i] == NULL)
            continue;
        fill(values[i], &texts[i]);
        req.fields[req.fields_n++] =
            (struct rg_http_field){rg_str_c(field_name), rg_buf_str(&texts[i])};
    }
    if (query != NULL) {
        fill(query, &texts[2]);
        req.query = rg_buf_str(&texts[2]);
    }
    int err = rg_authorize(verifier, api, &req, false, &claims);
    assert_true((err == 0) == (claims != NULL));
    if (err == 0)
        assert_true(rg_str_eq(claims->jti, RG_STR("good")));
    rg_claims_unref(&claims);
    for (size_t i = 0; i < 3; i++)
        rg_buf_done(&texts[i]);
    return err;
}

static void a_token_may_come_in_every_place(void **state)
{
    (void)state;
    assert_int_equal(try(NULL, "@", NULL), 0);
    assert_int_equal(try(NULL, "Bearer @", NULL), 0);
    assert_int_equal(try(NULL, "BEARER   @", NULL), 0);
    assert_int_equal(try("token=@", NULL, NULL), 0);
    assert_int_equal(try("a=b&token=@&c", NULL, NULL), 0);
}

static void one_valid_token_is_enough(void **state)
{
    (void)state;
    assert_int_equal(try("token=bad%20@", NULL, NULL), 0);
    assert_int_equal(try("token=bad+%0A%09@", NULL, NULL), 0);
    assert_int_equal(try("token=bad", "bad", "@"), 0);
    assert_int_equal(try("token=!", "Basic eDp5", "Bearer @"), 0);
}

static void without_a_valid_token_there_is_no_way(void **state)
{
    (void)state;
    assert_int_equal(try(NULL, NULL, NULL), RG_EDENIED);
    assert_int_equal(try("token=", "", "Bearer "), RG_EDENIED);
    assert_int_equal(try("token=bad%20worse", "bad", "Basic @"), RG_EDENIED);
    assert_int_equal(try("tokens=@", NULL, NULL), RG_EDENIED);
    assert_int_equal(try("token=%", NULL, NULL), RG_EDENIED);
    assert_int_equal(try(NULL, "@,@", NULL), RG_EDENIED);
}

static void a_banned_token_is_not_valid(void **state)
{
    (void)state;
    assert_int_equal(try("token=!", "!", "Bearer !"), RG_EDENIED);
}

static void not_any_number_of_tokens_is_looked_at(void **state)
{
    (void)state;
    assert_int_equal(try("token=1+2+3+4+5+6+7+@", NULL, NULL), 0);
    assert_int_equal(try("token=1+2+3+4+5+6+7+8+@", NULL, NULL), RG_EDENIED);
    assert_int_equal(try("token=1+2+3+4+5+6+7+8", "@", NULL), RG_EDENIED);
}

/* ---- definitions ---- */

static void use(struct rg_api *given, const char *name)
{
    api = given;
    field_name = name;
}

static void stop_using(void)
{
    use(&api_2017, "Authorization");
}

static char authorization[] = "AUTHORIZATION", x_token[] = "X-Token", other[] = "token",
            parameter[] = "t", nothing[] = "";

static void a_credential_must_say_that_it_is_a_bearers(void **state)
{
    struct rg_api given = {.use_header = true, .header_name = authorization, .query_name = nothing};

    (void)state;
    use(&given, "authorization");
    assert_int_equal(try(NULL, "Bearer @", NULL), 0);
    assert_int_equal(try(NULL, "bearer   @", NULL), 0);
    assert_int_equal(try(NULL, "Basic abc, Bearer @", NULL), 0);
    assert_int_equal(try(NULL, "Bearer bad", "Basic x,BEARER @ ,Digest"), 0);
    assert_int_equal(try(NULL, "@", NULL), RG_EDENIED);
    assert_int_equal(try(NULL, "Basic @", "Bearer !"), RG_EDENIED);
    assert_int_equal(try("token=@&t=@", NULL, NULL), RG_EDENIED);
    stop_using();
}

static void any_other_field_has_the_token_itself(void **state)
{
    struct rg_api given = {.use_header = true, .header_name = x_token, .query_name = nothing};

    (void)state;
    use(&given, "x-token");
    assert_int_equal(try(NULL, "@", NULL), 0);
    assert_int_equal(try(NULL, "bad", "Bearer @"), 0);
    assert_int_equal(try(NULL, "!", NULL), RG_EDENIED);
    given.header_name = other;
    use(&given, "TOKEN");
    assert_int_equal(try(NULL, "@", NULL), 0);
    use(&given, "authorization");
    assert_int_equal(try(NULL, "Bearer @", NULL), RG_EDENIED);
    stop_using();
}

static void a_parameter_has_a_list_of_tokens(void **state)
{
    struct rg_api given = {.use_query = true, .header_name = nothing, .query_name = parameter};

    (void)state;
    use(&given, "authorization");
    assert_int_equal(try("t=@", NULL, NULL), 0);
    assert_int_equal(try("a=b&t=bad,%20@", NULL, NULL), 0);
    assert_int_equal(try("t=bad%2C@", NULL, NULL), 0);
    assert_int_equal(try("token=@", "Bearer @", NULL), RG_EDENIED);
    assert_int_equal(try("t=!", NULL, NULL), RG_EDENIED);
    given.use_header = true;
    given.header_name = authorization;
    assert_int_equal(try("t=bad", "Bearer @", NULL), 0);
    stop_using();
}

static void where_tokens_are_nowhere_there_is_no_way(void **state)
{
    struct rg_api given = {.header_name = authorization, .query_name = parameter};

    (void)state;
    use(&given, "authorization");
    assert_int_equal(try("t=@", "Bearer @", NULL), RG_EDENIED);
    stop_using();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_may_come_in_every_place),
        cmocka_unit_test(one_valid_token_is_enough),
        cmocka_unit_test(without_a_valid_token_there_is_no_way),
        cmocka_unit_test(a_banned_token_is_not_valid),
        cmocka_unit_test(not_any_number_of_tokens_is_looked_at),
        cmocka_unit_test(a_credential_must_say_that_it_is_a_bearers),
        cmocka_unit_test(any_other_field_has_the_token_itself),
        cmocka_unit_test(a_parameter_has_a_list_of_tokens),
        cmocka_unit_test(where_tokens_are_nowhere_there_is_no_way),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
