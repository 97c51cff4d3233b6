/*
 * Tokens that others sign, and what the verifier makes of them: at a time that the test names,
 * except where the cache and the counters are looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "../http/origin.h"
#include "auth/verifier.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rcu.h"
#include "http/client.h"
#include "signer.h"

#define NOW     INT64_C(1700000000)
#define FOREVER "{\"exp\":4000000000,\"jti\":\"id\"}"
#define THREADS 4
#define ROUNDS  400

#define MALFORMED   "Could not verify token"
#define BAD         "Invalid signature"
#define EXPIRED     "token expired"
#define BLACKLISTED "Ignoring blacklisted JWT with ID \"id\"."

static const char *const algorithms[] = {"HS256", "HS384", "HS512", "RS256", "RS384",
                                         "RS512", "PS256", "PS384", "PS512", "ES256",
                                         "ES384", "ES512", "EdDSA"};

/* ---- making ---- */

static struct rg_verifier_settings settings_of(const char *alg, struct rg_str key)
{
    return (struct rg_verifier_settings){.alg = alg, .key = key, .session_field = "/jti"};
}

static struct rg_verifier *verifier_new(const struct rg_verifier_settings *settings)
{
    struct rg_why why;
    struct rg_verifier *verifier = rg_verifier_new(settings, &why);

    if (verifier == NULL)
        fail_msg("%s: %s", why.place, why.text);
    return verifier;
}

/* A verifier of what signer signs. */
static struct rg_verifier *verifier_of(const struct signer *signer)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf key = {0};

    signer_key(signer, &key);
    struct rg_verifier_settings settings = settings_of(signer->alg, rg_buf_str(&key));
    return verifier_new(&settings);
}

/* ---- asking ---- */

static const char *sentence_for_token(struct rg_verifier *verifier, struct rg_str token)
{
    static struct rg_why why;
    struct rg_claims *claims = NULL;
    RG_CLEANUP(rg_free_ptr) char *copy = rg_strndup(token.p, token.n);

    /* A copy of just its length, so that the address sanitizer sees a look beyond. */
    int err = rg_verifier_check_at(verifier, rg_str_n(copy, token.n), NOW, &claims, &why);
    rg_claims_unref(&claims);
    assert_true(err == 0 || err == RG_EDENIED);
    return err == 0 ? "valid" : why.text;
}

static const char *sentence_for(struct rg_verifier *verifier, const struct signer *signer,
                                const char *header, const char *payload)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};

    signer_sign(signer, rg_str_c(header), rg_str_c(payload), &token);
    return sentence_for_token(verifier, rg_buf_str(&token));
}

#define HEADER "{\"alg\":\"HS256\"}"

/* What a verifier of HS256 makes of claims. */
static void assert_claims(struct rg_verifier_settings settings, const char *payload,
                          const char *sentence)
{
    struct signer signer = signer_new("HS256");

    settings.alg = "HS256";
    settings.key = signer.secret;
    settings.session_field = "/jti";
    struct rg_verifier *verifier = verifier_new(&settings);
    const char *got = sentence_for(verifier, &signer, HEADER, payload);
    if (strcmp(got, sentence) != 0)
        fail_msg("%s: %s instead of %s", payload, got, sentence);
    rg_verifier_free(&verifier);
}

static struct rg_claims *claims_of(struct rg_verifier_settings settings, const char *payload)
{
    struct signer signer = signer_new("HS256");
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};
    struct rg_claims *claims = NULL;
    struct rg_why why;

    settings.alg = "HS256";
    settings.key = signer.secret;
    struct rg_verifier *verifier = verifier_new(&settings);
    signer_token(&signer, NULL, payload, &token);
    assert_int_equal(rg_verifier_check_at(verifier, rg_buf_str(&token), NOW, &claims, &why), 0);
    rg_verifier_free(&verifier);
    return claims;
}

/* The value of a series, "rgate_…{…}". */
static unsigned metric(const struct rg_verifier *verifier, const char *series)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    char line[128];

    rg_verifier_expose(verifier, &out);
    rg_buf_add_char(&out, '\0');
    snprintf(line, sizeof(line), "\n%s ", series);
    const char *at = strstr(out.p, line);
    assert_non_null(at);
    return (unsigned)strtoul(at + strlen(line), NULL, 10);
}

static unsigned counted(const struct rg_verifier *verifier, const char *outcome)
{
    char series[96];

    snprintf(series, sizeof(series), "rgate_tokens_total{outcome=\"%s\"}", outcome);
    return metric(verifier, series);
}

/* ---- signatures ---- */

static void each_algorithm_is_accepted_with_its_own_key_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(algorithms); i++) {
        struct signer signer = signer_new(algorithms[i]);
        struct rg_verifier *verifier = verifier_of(&signer);
        char header[64];

        snprintf(header, sizeof(header), "{\"typ\":\"JWT\",\"alg\":\"%s\"}", algorithms[i]);
        assert_string_equal(sentence_for(verifier, &signer, header, FOREVER), "valid");
        for (size_t k = 0; k < RG_COUNT_OF(algorithms); k++) {
            struct signer other = signer_new(algorithms[k]);
            snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", algorithms[k]);
            const char *sentence = sentence_for(verifier, &other, header, FOREVER);
            if (k != i)
                assert_string_equal(sentence, BAD);
            signer_done(&other);
        }
        rg_verifier_free(&verifier);
        signer_done(&signer);
    }
}

static void no_changed_character_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(algorithms); i += 3) {
        struct signer signer = signer_new(algorithms[i]);
        struct rg_verifier *verifier = verifier_of(&signer);
        RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};

        signer_token(&signer, NULL, FOREVER, &token);
        for (size_t at = 0; at < token.n; at++) {
            char before = token.p[at];
            token.p[at] = before == 'A' ? 'B' : 'A';
            assert_string_not_equal(sentence_for_token(verifier, rg_buf_str(&token)), "valid");
            token.p[at] = before;
        }
        assert_string_equal(sentence_for_token(verifier, rg_buf_str(&token)), "valid");
        rg_verifier_free(&verifier);
        signer_done(&signer);
    }
}

static void a_public_key_is_no_secret(void **state)
{
    struct signer rsa = signer_new("RS256");
    struct rg_verifier *verifier = verifier_of(&rsa);
    RG_CLEANUP(rg_buf_done) struct rg_buf pem = {0};

    (void)state;
    signer_key(&rsa, &pem);
    struct signer forger = {.alg = "HS256", .secret = rg_buf_str(&pem)};
    assert_string_equal(sentence_for(verifier, &forger, HEADER, FOREVER), BAD);
    /* Whatever the header says. */
    assert_string_equal(sentence_for(verifier, &forger, "{\"alg\":\"RS256\"}", FOREVER), BAD);
    rg_verifier_free(&verifier);
    signer_done(&rsa);
}

static void no_algorithm_but_the_configured_one_counts(void **state)
{
    static const char *const others[] = {"none",   "None",  "NONE", "hs256",     "HS256 ",
                                         " HS256", "",      "HS25", "HS2567",    "HS256\\u0000",
                                         "HS384",  "RS256", "dir",  "HS256,none"};
    struct signer signer = signer_new("HS256");
    struct rg_verifier *verifier = verifier_of(&signer);
    char header[64];

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(others); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", others[i]);
        assert_string_not_equal(sentence_for(verifier, &signer, header, FOREVER), "valid");
    }
    /* {"alg":"none"} without a signature. */
    assert_string_not_equal(
        sentence_for_token(verifier, RG_STR("eyJhbGciOiJub25lIn0.eyJleHAiOjQwMDAwMDAwMDB9.")),
        "valid");
    rg_verifier_free(&verifier);
}

static void keys_that_a_token_brings_along_are_not_looked_at(void **state)
{
    static const char *const members[] = {"\"jwk\":{\"kty\":\"oct\",\"k\":\"Zm9yZ2Vk\"}",
                                          "\"jku\":\"http://attacker.example/keys\"",
                                          "\"x5u\":\"http://attacker.example/x\"",
                                          "\"x5c\":[\"MIIB\"]", "\"kid\":\"../../../../dev/null\""};
    struct signer signer = signer_new("HS256");
    struct signer forger = {.alg = "HS256", .secret = RG_STR("forged")};
    struct rg_verifier *verifier = verifier_of(&signer);
    char header[128];

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(members); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"HS256\",%s}", members[i]);
        assert_string_equal(sentence_for(verifier, &forger, header, FOREVER), BAD);
        assert_string_equal(sentence_for(verifier, &signer, header, FOREVER), "valid");
    }
    rg_verifier_free(&verifier);
}

static void without_a_key_no_token_is_valid(void **state)
{
    struct rg_verifier_settings settings = settings_of("HS256", RG_STR(""));
    struct signer signer = {.alg = "HS256", .secret = RG_STR("")};
    struct rg_verifier *verifier = verifier_new(&settings);

    (void)state;
    assert_true(rg_verifier_is_keyless(verifier));
    assert_string_equal(sentence_for(verifier, &signer, HEADER, FOREVER), MALFORMED);
    rg_verifier_free(&verifier);
    signer = signer_new("HS256");
    verifier = verifier_of(&signer);
    assert_false(rg_verifier_is_keyless(verifier));
    rg_verifier_free(&verifier);
}

static void settings_that_cannot_work_name_their_variable(void **state)
{
    const struct {
        struct rg_verifier_settings settings;
        const char *place;
    } cases[] = {
        {settings_of("none", RG_STR("a")), "JWT_ALG"},
        {settings_of("hs256", RG_STR("a")), "JWT_ALG"},
        {settings_of("", RG_STR("")), "JWT_ALG"},
        {settings_of("RS256", RG_STR("a secret")), "JWT_SECRET_KEY"},
        {{.alg = "HS256", .jwks = "/nowhere/keys.json", .session_field = "/jti"}, "JWT_JWKS"},
        {{.alg = "HS256", .key = RG_STR("a"), .session_field = "jti"}, "JWT_SESSION_FIELD"},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_why why;
        assert_null(rg_verifier_new(&cases[i].settings, &why));
        assert_string_equal(why.place, cases[i].place);
        assert_true(why.text[0] != '\0');
    }
}

/* ---- claims ---- */

static void exp_must_be_a_number_in_the_future(void **state)
{
    static const struct {
        const char *claims, *sentence;
    } cases[] = {
        {"{\"exp\":1700000001}", "valid"},
        {"{\"exp\":1700000000.5}", "valid"},
        {"{\"exp\":17.00000001e8}", "valid"},
        {"{\"exp\":1e300}", "valid"},
        {"{\"exp\":99999999999999999999999999}", "valid"},
        {"{\"exp\":1700000000}", EXPIRED},
        {"{\"exp\":1699999999}", EXPIRED},
        {"{\"exp\":0}", EXPIRED},
        {"{\"exp\":-1}", EXPIRED},
        {"{\"exp\":-1e300}", EXPIRED},
        {"{}", EXPIRED},
        {"{\"exp\":null}", EXPIRED},
        {"{\"exp\":true}", EXPIRED},
        {"{\"exp\":\"never\"}", EXPIRED},
        {"{\"exp\":\"4000000000\"}", EXPIRED},
        {"{\"exp\":[4000000000]}", EXPIRED},
        {"{\"EXP\":4000000000}", EXPIRED},
        {"{\"exp\":1e999}", MALFORMED},
        {"{\"exp\":NaN}", MALFORMED},
        {"{\"exp\":Infinity}", MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++)
        assert_claims((struct rg_verifier_settings){0}, cases[i].claims, cases[i].sentence);
}

static void nbf_is_honoured(void **state)
{
    struct rg_verifier_settings none = {0};

    (void)state;
    assert_claims(none, "{\"exp\":4e9,\"nbf\":1700000000}", "valid");
    assert_claims(none, "{\"exp\":4e9,\"nbf\":-1e300}", "valid");
    assert_claims(none, "{\"exp\":4e9,\"nbf\":1700000000.5}", MALFORMED);
    assert_claims(none, "{\"exp\":4e9,\"nbf\":1700000001}", MALFORMED);
    assert_claims(none, "{\"exp\":4e9,\"nbf\":1e300}", MALFORMED);
    assert_claims(none, "{\"exp\":4e9,\"nbf\":\"1\"}", MALFORMED);
    assert_claims(none, "{\"exp\":4e9,\"nbf\":null}", MALFORMED);
    /* Nobody has to say when it was issued. */
    assert_claims(none, "{\"exp\":4e9,\"iat\":5e9}", "valid");
}

static void the_leeway_stretches_both_ends(void **state)
{
    const struct rg_verifier_settings leeway = {.leeway_s = 10, .session_field = "/jti"};

    (void)state;
    assert_claims(leeway, "{\"exp\":1699999991}", "valid");
    assert_claims(leeway, "{\"exp\":1699999990}", EXPIRED);
    assert_claims(leeway, "{\"exp\":4e9,\"nbf\":1700000010}", "valid");
    assert_claims(leeway, "{\"exp\":4e9,\"nbf\":1700000011}", MALFORMED);
    /* Whoever looks at the time later goes by the same end. */
    struct rg_claims *claims = claims_of(leeway, "{\"exp\":1699999991}");
    assert_true(claims->exp_s == NOW + 1);
    rg_claims_unref(&claims);
}

static void issuer_and_audience_are_compared_where_they_are_configured(void **state)
{
    const struct rg_verifier_settings issuer = {.issuer = "me"};
    const struct rg_verifier_settings audience = {.audience = "you"};

    (void)state;
    assert_claims((struct rg_verifier_settings){0}, "{\"exp\":4e9,\"iss\":\"x\",\"aud\":7}",
                  "valid");
    assert_claims(issuer, "{\"exp\":4e9,\"iss\":\"me\"}", "valid");
    assert_claims(issuer, "{\"exp\":4e9,\"iss\":\"Me\"}", MALFORMED);
    assert_claims(issuer, "{\"exp\":4e9,\"iss\":\"me\\u0000\"}", MALFORMED);
    assert_claims(issuer, "{\"exp\":4e9,\"iss\":[\"me\"]}", MALFORMED);
    assert_claims(issuer, "{\"exp\":4e9}", MALFORMED);
    assert_claims(audience, "{\"exp\":4e9,\"aud\":\"you\"}", "valid");
    assert_claims(audience, "{\"exp\":4e9,\"aud\":[\"x\",\"you\"]}", "valid");
    assert_claims(audience, "{\"exp\":4e9,\"aud\":[\"x\",7]}", MALFORMED);
    assert_claims(audience, "{\"exp\":4e9,\"aud\":[[\"you\"]]}", MALFORMED);
    assert_claims(audience, "{\"exp\":4e9,\"aud\":{\"you\":1}}", MALFORMED);
    assert_claims(audience, "{\"exp\":4e9,\"aud\":\"you\\u0000\"}", MALFORMED);
    assert_claims(audience, "{\"exp\":4e9}", MALFORMED);
}

static void claims_must_be_an_object_that_means_one_thing(void **state)
{
    static const char *const payloads[] = {
        "",
        "foo",
        "[]",
        "\"exp\"",
        "4000000000",
        "{\"exp\":4e9",
        "{\"exp\":4e9}x",
        "{\"exp\":4e9}{\"exp\":4e9}",
        "\xef\xbb\xbf{\"exp\":4e9}",
        "{\"exp\":1,\"exp\":4e9}",
        "{\"exp\":4e9,\"exp\":1}",
        "{\"exp\":4e9,\"ex\\u0070\":4e9}",
        "{\"exp\":4e9,\"a\":{\"b\":1,\"b\":2}}",
        "{\"exp\":4e9,\"a\":\"\xff\"}",
    };
    RG_CLEANUP(rg_buf_done) struct rg_buf deep = {0};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(payloads); i++)
        assert_claims((struct rg_verifier_settings){0}, payloads[i], MALFORMED);
    rg_buf_add_c(&deep, "{\"exp\":4e9,\"a\":");
    for (int i = 0; i < 2000; i++)
        rg_buf_add_char(&deep, '[');
    for (int i = 0; i < 2000; i++)
        rg_buf_add_char(&deep, ']');
    rg_buf_add_c(&deep, "}");
    rg_buf_add_char(&deep, '\0');
    assert_claims((struct rg_verifier_settings){0}, deep.p, MALFORMED);
}

static void a_session_is_named_by_what_stands_at_its_field(void **state)
{
    static const struct {
        const char *field, *claims, *session, *jti;
    } cases[] = {
        {"/jti", "{\"exp\":4e9,\"jti\":\"a\"}", "a", "a"},
        {"/sid", "{\"exp\":4e9,\"sid\":\"z\",\"jti\":\"q\"}", "z", "q"},
        {"/sid", "{\"exp\":4e9,\"sid\":7,\"jti\":8}", "7", "8"},
        {"/sid", "{\"exp\":4e9,\"sid\":1.50}", "1.50", ""},
        {"/sid", "{\"exp\":4e9,\"sid\":12345678901234567890}", "12345678901234567890", ""},
        {"/sid", "{\"exp\":4e9,\"sid\":true}", "true", ""},
        {"/sid", "{\"exp\":4e9,\"sid\":false}", "false", ""},
        {"/sid", "{\"exp\":4e9,\"sid\":\"\"}", "", ""},
        {"/sid", "{\"exp\":4e9,\"sid\":null}", "", ""},
        {"/sid", "{\"exp\":4e9,\"sid\":[\"z\"]}", "", ""},
        {"/sid", "{\"exp\":4e9,\"sid\":{\"a\":1}}", "", ""},
        {"/sid", "{\"exp\":4e9}", "", ""},
        {"/a/1/b~1c~0", "{\"exp\":4e9,\"a\":[0,{\"b/c~\":\"deep\"}]}", "deep", ""},
        {"/sid", "{\"exp\":4e9,\"sid\":\"\\u00e4\\n\"}", "\xc3\xa4\n", ""},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_verifier_settings settings = {.session_field = cases[i].field};
        struct rg_claims *claims = claims_of(settings, cases[i].claims);
        assert_true(rg_str_eq(claims->session, rg_str_c(cases[i].session)));
        assert_true(rg_str_eq(claims->jti, rg_str_c(cases[i].jti)));
        rg_claims_unref(&claims);
    }
}

static void claims_are_the_text_that_was_signed(void **state)
{
    const struct rg_verifier_settings settings = {.session_field = "/jti"};
    struct rg_claims *claims = claims_of(settings, " {\"exp\":1700000001.25, \"a\":1.50}\n");

    (void)state;
    assert_true(rg_str_eq(claims->text, RG_STR("{\"exp\":1700000001.25, \"a\":1.50}")));
    assert_true(claims->exp_s == NOW + 2);
    rg_claims_unref(&claims);
}

/* ---- one reason each ---- */

static void each_refusal_has_one_reason_and_one_sentence(void **state)
{
    struct signer hs256 = signer_new("HS256"), hs384 = signer_new("HS384");
    struct signer forger = {.alg = "HS256", .secret = RG_STR("forged")};
    struct rg_verifier_settings settings = settings_of("HS256", hs256.secret);
    const struct {
        const char *header, *payload;
        const struct signer *signer;
        const char *reason, *sentence;
    } cases[] = {
        {"{\"alg\":\"HS384\"}", FOREVER, &hs384, "algorithm", BAD},
        {HEADER, FOREVER, &forger, "signature", BAD},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", FOREVER, &hs256, "header", MALFORMED},
        {"{\"alg\":\"HS256\",\"b64\":true}", FOREVER, &hs256, "header", MALFORMED},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", FOREVER, &hs256, "malformed", MALFORMED},
        {"{\"alg\":7}", FOREVER, &hs256, "malformed", MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":7}", FOREVER, &hs256, "malformed", MALFORMED},
        {"[]", FOREVER, &hs256, "malformed", MALFORMED},
        {HEADER, "[]", &hs256, "claims", MALFORMED},
        {HEADER, "{\"exp\":4e9,\"exp\":4e9}", &hs256, "claims", MALFORMED},
        {HEADER, "{\"exp\":1}", &hs256, "expired", EXPIRED},
        {HEADER, "{\"exp\":4e9,\"nbf\":4e9}", &hs256, "not_yet", MALFORMED},
        {HEADER, "{\"exp\":4e9}", &hs256, "issuer", MALFORMED},
        {HEADER, "{\"exp\":4e9,\"iss\":\"me\"}", &hs256, "audience", MALFORMED},
    };

    (void)state;
    settings.issuer = "me";
    settings.audience = "you";
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_verifier *verifier = verifier_new(&settings);
        RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};
        struct rg_claims *claims = NULL;
        struct rg_why why;

        signer_sign(cases[i].signer, rg_str_c(cases[i].header), rg_str_c(cases[i].payload), &token);
        assert_int_equal(rg_verifier_check(verifier, rg_buf_str(&token), &claims, &why),
                         RG_EDENIED);
        assert_null(claims);
        assert_string_equal(why.text, cases[i].sentence);
        assert_int_equal(counted(verifier, cases[i].reason), 1);
        assert_int_equal(counted(verifier, "verified") + counted(verifier, "cached"), 0);
        rg_verifier_free(&verifier);
    }
}

static void a_token_has_a_longest_length(void **state)
{
    struct signer signer = signer_new("HS256");
    struct rg_verifier *verifier = verifier_of(&signer);
    RG_CLEANUP(rg_buf_done) struct rg_buf payload = {0};
    struct rg_claims *claims = NULL;
    struct rg_why why;

    (void)state;
    rg_buf_add_c(&payload, "{\"exp\":4e9,\"a\":\"");
    while (payload.n < 12200)
        rg_buf_add_char(&payload, 'x');
    size_t inside = payload.n;
    rg_buf_add_c(&payload, "\"}");
    for (int i = 0; i < 2; i++) {
        RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};
        signer_sign(&signer, RG_STR(HEADER), rg_buf_str(&payload), &token);
        int err = rg_verifier_check(verifier, rg_buf_str(&token), &claims, &why);
        assert_int_equal(err, i == 0 ? 0 : RG_EDENIED);
        assert_true((token.n <= 16384) == (i == 0));
        rg_claims_unref(&claims);
        payload.n = inside;
        for (int k = 0; k < 100; k++)
            rg_buf_add_char(&payload, 'x');
        rg_buf_add_c(&payload, "\"}");
    }
    assert_string_equal(why.text, MALFORMED);
    assert_int_equal(counted(verifier, "oversized"), 1);
    rg_verifier_free(&verifier);
}

static void what_is_no_token_is_malformed(void **state)
{
    static const char *const texts[] = {"",
                                        "foobar",
                                        ".",
                                        "..",
                                        "...",
                                        "a.b.c",
                                        "Bearer a.b.c",
                                        "eyJhbGciOiJIUzI1NiJ9",
                                        "eyJhbGciOiJIUzI1NiJ9.e30",
                                        "eyJhbGciOiJIUzI1NiJ9.e30.a.a",
                                        "{\"payload\":\"e30\"}"};
    struct signer signer = signer_new("HS256");
    struct rg_verifier *verifier = verifier_of(&signer);

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(texts); i++)
        assert_string_equal(sentence_for_token(verifier, rg_str_c(texts[i])), MALFORMED);
    assert_string_equal(sentence_for_token(verifier, rg_str_c(NULL)), MALFORMED);
    rg_verifier_free(&verifier);
}

/* ---- cache and blacklist ---- */

static int check(struct rg_verifier *verifier, struct rg_str token, struct rg_why *why)
{
    struct rg_claims *claims = NULL;
    int err = rg_verifier_check(verifier, token, &claims, why);

    assert_true((err == 0) == (claims != NULL));
    rg_claims_unref(&claims);
    return err;
}

static void a_signature_is_checked_once(void **state)
{
    struct signer signer = signer_new("HS256");
    struct rg_verifier_settings settings = settings_of("HS256", signer.secret);
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};

    (void)state;
    settings.cache_entries = 100;
    struct rg_verifier *verifier = verifier_new(&settings);
    signer_token(&signer, NULL, FOREVER, &token);
    for (int i = 0; i < 5; i++)
        assert_int_equal(check(verifier, rg_buf_str(&token), NULL), 0);
    assert_int_equal(counted(verifier, "verified"), 1);
    assert_int_equal(counted(verifier, "cached"), 4);
    /* What is refused is not remembered: it could push out what is not. */
    token.p[token.n - 1] = token.p[token.n - 1] == 'A' ? 'E' : 'A';
    for (int i = 0; i < 3; i++)
        assert_int_equal(check(verifier, rg_buf_str(&token), NULL), RG_EDENIED);
    assert_int_equal(counted(verifier, "signature"), 3);
    rg_verifier_free(&verifier);
}

static void without_room_every_signature_is_checked(void **state)
{
    struct signer signer = signer_new("HS256");
    struct rg_verifier *verifier = verifier_of(&signer);
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};

    (void)state;
    signer_token(&signer, NULL, FOREVER, &token);
    for (int i = 0; i < 3; i++)
        assert_int_equal(check(verifier, rg_buf_str(&token), NULL), 0);
    assert_int_equal(counted(verifier, "verified"), 3);
    rg_verifier_free(&verifier);
}

static _Atomic uint64_t blacklist_ms;

static uint64_t blacklist_clock(void)
{
    return atomic_load(&blacklist_ms);
}

/* Bans what, and looks at a token that has been accepted before. */
static void assert_banned_while_it_lasts(const char *field, const char *claims, struct rg_str what)
{
    struct signer signer = signer_new("HS256");
    struct rg_verifier_settings settings = settings_of("HS256", signer.secret);
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};
    struct rg_why why;

    settings.session_field = field;
    settings.cache_entries = 100;
    settings.blacklist = rg_blacklist_new_with(10, blacklist_clock);
    struct rg_verifier *verifier = verifier_new(&settings);
    signer_token(&signer, NULL, claims, &token);
    assert_int_equal(check(verifier, rg_buf_str(&token), &why), 0);
    assert_int_equal(rg_blacklist_add(settings.blacklist, what, 60), 0);
    assert_int_equal(check(verifier, rg_buf_str(&token), &why), RG_EDENIED);
    assert_string_equal(why.text, BLACKLISTED);
    assert_int_equal(counted(verifier, "blacklisted"), 1);
    assert_string_equal(sentence_for_token(verifier, rg_buf_str(&token)), BLACKLISTED);
    /* It is not remembered any more, so it is verified again when the ban is over. */
    atomic_fetch_add(&blacklist_ms, 100000);
    assert_int_equal(check(verifier, rg_buf_str(&token), &why), 0);
    assert_int_equal(counted(verifier, "verified"), 2);
    rg_verifier_free(&verifier);
    rg_blacklist_free(&settings.blacklist);
}

static void a_banned_session_or_jti_is_refused(void **state)
{
    (void)state;
    assert_banned_while_it_lasts("/jti", FOREVER, RG_STR("id"));
    assert_banned_while_it_lasts("/sid", "{\"exp\":4e9,\"sid\":\"z\",\"jti\":\"id\"}", RG_STR("z"));
    assert_banned_while_it_lasts("/sid", "{\"exp\":4e9,\"sid\":\"z\",\"jti\":\"id\"}",
                                 RG_STR("id"));
    assert_banned_while_it_lasts("/sid", "{\"exp\":4e9,\"sid\":\"id\"}", RG_STR("id"));
}

/* ---- key sets ---- */

static struct origin origin;
static struct rg_http_client *http;

static int start(void **state)
{
    (void)state;
    origin_start(&origin);
    http = rg_http_client_new(&rg_http_client_default_settings);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rg_http_client_free(&http);
    origin_stop(&origin);
    return 0;
}

/* The set that is served: signer's key under kid. */
static void serve(const struct signer *signer, const char *kid)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf set = {0};
    char members[64];

    snprintf(members, sizeof(members), ",\"kid\":\"%s\"", kid);
    rg_buf_add_c(&set, "{\"keys\":[");
    signer_jwk(signer, members, &set);
    rg_buf_add_c(&set, "]}");
    origin_answer(&origin, "200 OK", "", rg_buf_str(&set));
}

static void note(void *arg)
{
    sem_post(arg);
}

static void await_refresh(struct rg_verifier *verifier)
{
    sem_t is_over;

    sem_init(&is_over, 0, 0);
    assert_int_equal(rg_verifier_wait(verifier, note, &is_over), 0);
    while (sem_wait(&is_over) < 0)
        ;
    sem_destroy(&is_over);
}

static struct rg_verifier_settings settings_of_set(void)
{
    return (struct rg_verifier_settings){.alg = "RS256",
                                         .jwks = origin.url,
                                         .jwks_interval_ms = 3600000,
                                         .session_field = "/jti",
                                         .cache_entries = 100,
                                         .http = http};
}

static void a_token_waits_for_the_first_key_set(void **state)
{
    struct signer signer = signer_new("RS256");
    struct rg_verifier_settings settings = settings_of_set();
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};

    (void)state;
    serve(&signer, "k1");
    origin_hold(&origin);
    struct rg_verifier *verifier = verifier_new(&settings);
    assert_false(rg_verifier_is_keyless(verifier));
    signer_token(&signer, "k1", FOREVER, &token);
    assert_int_equal(check(verifier, rg_buf_str(&token), NULL), RG_EAGAIN);
    /* A look from outside waits for nothing. */
    assert_string_equal(sentence_for_token(verifier, rg_buf_str(&token)), BAD);
    origin_await(&origin, 1);
    origin_go_on(&origin);
    await_refresh(verifier);
    assert_int_equal(check(verifier, rg_buf_str(&token), NULL), 0);
    assert_int_equal(counted(verifier, "verified"), 1);
    assert_int_equal(metric(verifier, "rgate_jwks_keys"), 1);
    /* Waiting was not an outcome. */
    assert_int_equal(counted(verifier, "unknown_key"), 0);
    rg_http_client_free(&http);
    rg_verifier_free(&verifier);
    signer_done(&signer);
}

static void a_set_that_never_comes_blocks_only_who_needs_it(void **state)
{
    struct signer mine = signer_new("HS256"), theirs = signer_new("ES256");
    struct rg_verifier_settings settings = settings_of_set();
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0}, foreign = {0};

    (void)state;
    origin_hold(&origin);
    settings.alg = "HS256";
    settings.key = mine.secret;
    struct rg_verifier *verifier = verifier_new(&settings);
    signer_token(&mine, NULL, FOREVER, &token);
    assert_int_equal(check(verifier, rg_buf_str(&token), NULL), 0);
    signer_token(&theirs, "k1", FOREVER, &foreign);
    assert_int_equal(check(verifier, rg_buf_str(&foreign), NULL), RG_EAGAIN);
    rg_http_client_free(&http);
    /* There is nothing to wait for any more. */
    await_refresh(verifier);
    rg_verifier_free(&verifier);
    signer_done(&theirs);
}

static void a_key_that_is_gone_takes_its_remembered_tokens_along(void **state)
{
    struct signer old = signer_new("ES256"), new = signer_new("ES256");
    struct rg_verifier_settings settings = settings_of_set();
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};
    struct rg_why why;

    (void)state;
    serve(&old, "k1");
    settings.jwks_interval_ms = 1; /* so that the next set comes by itself */
    struct rg_verifier *verifier = verifier_new(&settings);
    await_refresh(verifier);
    signer_token(&old, "k1", FOREVER, &token);
    assert_int_equal(check(verifier, rg_buf_str(&token), &why), 0);
    serve(&new, "k1");
    /* When the second from now begins, the first has been taken in. */
    origin_await(&origin, origin_requests(&origin) + 2);
    assert_int_equal(check(verifier, rg_buf_str(&token), &why), RG_EDENIED);
    assert_string_equal(why.text, BAD);
    rg_http_client_free(&http);
    rg_verifier_free(&verifier);
    signer_done(&old);
    signer_done(&new);
}

/* ---- secrecy ---- */

static void no_token_reaches_the_log(void **state)
{
    struct signer signer = signer_new("HS256");
    struct rg_verifier *verifier = verifier_of(&signer);
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0}, forged = {0};
    char log[4096] = "";
    FILE *file = tmpfile();

    (void)state;
    assert_non_null(file);
    rg_log_set_fd(fileno(file));
    rg_log_configure(RG_LOG_DEBUG, RG_LOG_TEXT);
    signer_token(&signer, NULL, FOREVER, &token);
    assert_int_equal(check(verifier, rg_buf_str(&token), NULL), 0);
    signer_token(&(struct signer){.alg = "HS256", .secret = RG_STR("x")}, NULL, FOREVER, &forged);
    assert_int_equal(check(verifier, rg_buf_str(&forged), NULL), RG_EDENIED);
    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    rg_log_set_fd(1);
    assert_true(pread(fileno(file), log, sizeof(log) - 1, 0) > 0);
    assert_non_null(strstr(log, "token refused"));
    for (const char *part = forged.p; part + 8 <= forged.p + forged.n; part += 8) {
        char piece[9] = {0};
        memcpy(piece, part, 8);
        assert_null(strstr(log, piece));
    }
    fclose(file);
    rg_verifier_free(&verifier);
}

/* ---- several threads ---- */

static struct rg_verifier *shared;
static struct rg_buf good[8], bad[8];

static void *check_many(void *arg)
{
    size_t offset = (size_t)(uintptr_t)arg;

    rg_rcu_thread_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        struct rg_claims *claims = NULL;
        struct rg_why why;
        const struct rg_buf *token = &good[(i + offset) % RG_COUNT_OF(good)];

        int err = rg_verifier_check(shared, rg_buf_str(token), &claims, &why);
        /* Session 0 comes and goes. */
        rg_assert(err == 0 || strstr(why.text, "\"s0\"") != NULL);
        rg_claims_unref(&claims);
        token = &bad[(i + offset) % RG_COUNT_OF(bad)];
        err = rg_verifier_check(shared, rg_buf_str(token), &claims, &why);
        rg_assert(err == RG_EDENIED && claims == NULL);
    }
    rg_rcu_thread_stop();
    return NULL;
}

static void threads_may_check_at_the_same_time(void **state)
{
    struct signer signer = signer_new("ES256");
    struct rg_verifier_settings settings = settings_of_set();
    pthread_t threads[THREADS];
    RG_CLEANUP(rg_buf_done) struct rg_buf key = {0};

    (void)state;
    serve(&signer, "k1");
    settings.jwks_interval_ms = 1;
    settings.cache_entries = 4; /* so that they push each other out */
    settings.blacklist = rg_blacklist_new_with(10, blacklist_clock);
    shared = verifier_new(&settings);
    await_refresh(shared);
    for (size_t i = 0; i < RG_COUNT_OF(good); i++) {
        char claims[64];
        snprintf(claims, sizeof(claims), "{\"exp\":4e9,\"jti\":\"s%zu\"}", i);
        signer_token(&signer, "k1", claims, &good[i]);
        rg_buf_add_str(&bad[i], rg_buf_str(&good[i]));
        bad[i].p[bad[i].n - 20] ^= 1;
    }
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_many, (void *)i), 0);
    for (int i = 0; i < 50; i++) {
        /* The same key in another text is another set. */
        serve(&signer, i % 2 == 0 ? "k1\",\"x\":\"y" : "k1");
        rg_blacklist_add(settings.blacklist, RG_STR("s0"), 1);
        atomic_fetch_add(&blacklist_ms, 3000);
        origin_await(&origin, origin_requests(&origin) + 1);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    rg_http_client_free(&http);
    rg_verifier_free(&shared);
    rg_blacklist_free(&settings.blacklist);
    for (size_t i = 0; i < RG_COUNT_OF(good); i++) {
        rg_buf_done(&good[i]);
        rg_buf_done(&bad[i]);
    }
    signer_done(&signer);
}

static int start_thread(void **state)
{
    (void)state;
    rg_rcu_thread_start();
    return 0;
}

static int stop_thread(void **state)
{
    (void)state;
    rg_rcu_barrier();
    rg_rcu_thread_stop();
    return 0;
}

#define WITH_ORIGIN(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_algorithm_is_accepted_with_its_own_key_only),
        cmocka_unit_test(no_changed_character_is_accepted),
        cmocka_unit_test(a_public_key_is_no_secret),
        cmocka_unit_test(no_algorithm_but_the_configured_one_counts),
        cmocka_unit_test(keys_that_a_token_brings_along_are_not_looked_at),
        cmocka_unit_test(without_a_key_no_token_is_valid),
        cmocka_unit_test(settings_that_cannot_work_name_their_variable),
        cmocka_unit_test(exp_must_be_a_number_in_the_future),
        cmocka_unit_test(nbf_is_honoured),
        cmocka_unit_test(the_leeway_stretches_both_ends),
        cmocka_unit_test(issuer_and_audience_are_compared_where_they_are_configured),
        cmocka_unit_test(claims_must_be_an_object_that_means_one_thing),
        cmocka_unit_test(a_session_is_named_by_what_stands_at_its_field),
        cmocka_unit_test(claims_are_the_text_that_was_signed),
        cmocka_unit_test(each_refusal_has_one_reason_and_one_sentence),
        cmocka_unit_test(a_token_has_a_longest_length),
        cmocka_unit_test(what_is_no_token_is_malformed),
        cmocka_unit_test(a_signature_is_checked_once),
        cmocka_unit_test(without_room_every_signature_is_checked),
        cmocka_unit_test(a_banned_session_or_jti_is_refused),
        WITH_ORIGIN(a_token_waits_for_the_first_key_set),
        WITH_ORIGIN(a_set_that_never_comes_blocks_only_who_needs_it),
        WITH_ORIGIN(a_key_that_is_gone_takes_its_remembered_tokens_along),
        cmocka_unit_test(no_token_reaches_the_log),
        WITH_ORIGIN(threads_may_check_at_the_same_time),
    };

    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    return cmocka_run_group_tests(tests, start_thread, stop_thread);
}
