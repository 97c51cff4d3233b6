#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/alloc.h"
#include "kafka/embedded.h"
#include "kafka/settings.h"

static struct {
    const char *name, *value;
} environment[16];
static size_t environment_n;
static struct rg_kafka_settings settings;
static struct rg_problems problems;

static const char *fake_getenv(const char *name)
{
    for (size_t i = 0; i < environment_n; i++) {
        if (strcmp(environment[i].name, name) == 0)
            return environment[i].value;
    }
    return NULL;
}

static void set(const char *name, const char *value)
{
    environment[environment_n].name = name;
    environment[environment_n++].value = value;
}

static void check(void)
{
    rg_options_parse(rg_kafka_options, rg_kafka_options_n, fake_getenv, &settings, &problems);
    rg_kafka_settings_check(&settings, &problems);
    rg_buf_add_char(&problems.lines, '\0');
}

static int forget(void **state)
{
    (void)state;
    rg_options_done(rg_kafka_options, rg_kafka_options_n, &settings);
    memset(&settings, 0, sizeof(settings));
    rg_problems_done(&problems);
    environment_n = 0;
    return 0;
}

static bool is_told(const char *text)
{
    return strstr(problems.lines.p, text) != NULL;
}

static void assert_fine(void)
{
    check();
    if (problems.n > 0)
        fail_msg("%s", problems.lines.p);
}

static void assert_refused(const char *text)
{
    check();
    assert_int_equal(problems.n, 1);
    if (!is_told(text))
        fail_msg("\"%s\" is not in: %s", text, problems.lines.p);
}

static void without_variables_kafka_is_off(void **state)
{
    (void)state;
    assert_fine();
    assert_false(rg_kafka_is_on(&settings));
    assert_string_equal(settings.source_topics.items[0], "rig");
    assert_string_equal(settings.group_id, "rig-kafka-to-filter");
    assert_int_equal(settings.restart_delay_ms, 20000);
    assert_int_equal(settings.consume, RG_CONSUME_GROUP);
    assert_true(settings.ssl_verify);
}

static void missing_port_becomes_9092(void **state)
{
    (void)state;
    set("KAFKA_BROKERS", "localhost, b.example:19092 ,[::1],[::1]:1");
    assert_fine();
    assert_int_equal(settings.brokers.n, 4);
    assert_string_equal(settings.brokers.items[0], "localhost:9092");
    assert_string_equal(settings.brokers.items[1], "b.example:19092");
    assert_string_equal(settings.brokers.items[2], "[::1]:9092");
    assert_string_equal(settings.brokers.items[3], "[::1]:1");
}

static void bad_broker_is_named(void **state)
{
    static const char *const bad[] = {"localhost:xyz", "localhost:0", "localhost:65536", ":9092",
                                      "a b:9092",      "::1",         "localhost:"};

    for (size_t i = 0; i < RG_COUNT_OF(bad); i++) {
        set("KAFKA_BROKERS", bad[i]);
        assert_refused("KAFKA_BROKERS");
        assert_true(is_told(bad[i]));
        forget(state);
    }
}

static void old_name_of_the_brokers_still_works(void **state)
{
    (void)state;
    set("KAFKA_HOSTS", "old");
    assert_fine();
    assert_string_equal(settings.brokers.items[0], "old:9092");
}

static void new_name_of_the_brokers_wins(void **state)
{
    (void)state;
    set("KAFKA_HOSTS", "old:xyz");
    set("KAFKA_BROKERS", "new");
    assert_fine();
    assert_int_equal(settings.brokers.n, 1);
    assert_string_equal(settings.brokers.items[0], "new:9092");
}

static void assert_topics(const char *topics)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf got = {0};

    assert_fine();
    for (size_t i = 0; i < settings.source_topics.n; i++)
        rg_buf_addf(&got, "%s%s", i > 0 ? "," : "", settings.source_topics.items[i]);
    rg_buf_add_char(&got, '\0');
    assert_string_equal(got.p, topics);
    forget(NULL);
}

static void old_name_of_the_brokers_brings_the_old_topic(void **state)
{
    (void)state;
    set("KAFKA_HOSTS", "old");
    assert_topics("rig,message");
    set("KAFKA_HOSTS", "old");
    set("KAFKA_SOURCE_TOPICS", "mine");
    assert_topics("mine");
    set("KAFKA_HOSTS", "same:9092");
    set("KAFKA_BROKERS", "same:9092");
    assert_topics("rig");
    set("KAFKA_BROKERS", "new");
    set("KAFKA_SOURCE_TOPICS", " , ");
    assert_topics("rig");
}

static void topics_have_the_format_that_is_chosen_for_them(void **state)
{
    (void)state;
    set("KAFKA_SOURCE_TOPICS", "a,ab,b,c");
    set("KAFKA_TOPIC_FORMATS", "b=messages, ab = CloudEvents ,c=auto,b=messages");
    assert_fine();
    assert_int_equal(rg_kafka_topic_format(&settings, "a"), RG_FORMAT_AUTO);
    assert_int_equal(rg_kafka_topic_format(&settings, "ab"), RG_FORMAT_CLOUDEVENTS);
    assert_int_equal(rg_kafka_topic_format(&settings, "b"), RG_FORMAT_MESSAGES);
    assert_int_equal(rg_kafka_topic_format(&settings, "c"), RG_FORMAT_AUTO);
    forget(state);
    set("KAFKA_HOSTS", "old");
    set("KAFKA_TOPIC_FORMATS", "message=messages");
    assert_fine();
}

static void bad_format_is_named(void **state)
{
    static const struct {
        const char *formats, *told;
    } cases[] = {
        {"a=xml", "a=xml"},
        {"a", "topic=format"},
        {"a=", "topic=format"},
        {"other=auto", "not among those of KAFKA_SOURCE_TOPICS"},
        {"=auto", "not among those of KAFKA_SOURCE_TOPICS"},
        {"a=auto,a=messages", "another format already"},
    };

    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        set("KAFKA_SOURCE_TOPICS", "a,b");
        set("KAFKA_TOPIC_FORMATS", cases[i].formats);
        assert_refused("KAFKA_TOPIC_FORMATS");
        assert_true(is_told(cases[i].told));
        forget(state);
    }
}

static void bad_topic_is_named(void **state)
{
    (void)state;
    set("KAFKA_SOURCE_TOPICS", "good,^all.*,good");
    assert_refused("KAFKA_SOURCE_TOPICS");
    assert_true(is_told("^all.*"));
    assert_int_equal(settings.source_topics.n, 2);
}

static void sasl_needs_a_known_mechanism_user_and_password(void **state)
{
    static const char *const bad[] = {"scram:u:p", "plain:u", "plain::p",
                                      "plain:u:",  "plain",   "oauthbearer:x"};

    for (size_t i = 0; i < RG_COUNT_OF(bad); i++) {
        set("KAFKA_BROKERS", "localhost");
        set("KAFKA_SASL", bad[i]);
        assert_refused("KAFKA_SASL");
        assert_false(is_told(bad[i]));
        forget(state);
    }
}

static void all_sasl_mechanisms_make_a_client(void **state)
{
    static const char *const good[] = {"plain:u:a:b", "PLAIN:u:p", "scram-sha-256:u:p",
                                       "scram-sha-512:u:p"};

    for (size_t i = 0; i < RG_COUNT_OF(good); i++) {
        set("KAFKA_BROKERS", "localhost");
        set("KAFKA_SASL", good[i]);
        assert_fine();
        forget(state);
    }
    set("KAFKA_BROKERS", "localhost");
    set("KAFKA_SASL", "oauthbearer");
    set("KAFKA_PROPERTIES", "enable.sasl.oauthbearer.unsecure.jwt=true,"
                            "sasl.oauthbearer.config=principal=admin");
    assert_fine();
}

static void properties_reach_the_library(void **state)
{
    (void)state;
    set("KAFKA_BROKERS", "localhost");
    set("KAFKA_PROPERTIES",
        " fetch.min.bytes = 10 ,partition.assignment.strategy=range\\,roundrobin,,acks=1");
    assert_fine();
}

static void unknown_property_is_named(void **state)
{
    (void)state;
    set("KAFKA_PROPERTIES", "no.such.thing=1");
    assert_refused("no.such.thing");
    assert_true(is_told("KAFKA_PROPERTIES"));
}

static void bad_property_value_is_named(void **state)
{
    (void)state;
    set("KAFKA_PROPERTIES", "linger.ms=abc,fetch.min.bytes=0,group.id=x,nothing");
    check();
    assert_int_equal(problems.n, 4);
    assert_true(is_told("linger.ms"));
    assert_true(is_told("fetch.min.bytes"));
    assert_true(is_told("group.id"));
    assert_true(is_told("nothing"));
}

static void values_that_exclude_each_other_are_told(void **state)
{
    (void)state;
    set("KAFKA_BROKERS", "localhost");
    set("KAFKA_PROPERTIES", "session.timeout.ms=400000");
    assert_refused("KAFKA_PROPERTIES");
    assert_true(is_told("session.timeout.ms"));
}

static void unknown_assignor_is_told(void **state)
{
    (void)state;
    set("KAFKA_BROKERS", "localhost");
    set("KAFKA_PROPERTIES", "partition.assignment.strategy=foo");
    assert_refused("KAFKA_PROPERTIES");
}

/* ---------------------------------------------------------------------- TLS */

static char folder[] = "/tmp/rg-kafka-XXXXXX";
static char certificate_path[64], key_path[64], other_key_path[64], locked_key_path[64];

static void write_key(const char *path, EVP_PKEY *key, const char *password)
{
    FILE *f = fopen(path, "we");

    assert_int_equal(
        PEM_write_PKCS8PrivateKey(f, key, password != NULL ? EVP_aes_128_cbc() : NULL, password,
                                  password != NULL ? (int)strlen(password) : 0, NULL, NULL),
        1);
    fclose(f);
}

static void write_certificate(const char *path, EVP_PKEY *key)
{
    FILE *f = fopen(path, "we");
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);

    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(f, certificate), 1);
    X509_free(certificate);
    fclose(f);
}

static int make_files(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    EVP_PKEY *other = EVP_EC_gen("P-256");

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(certificate_path, sizeof(certificate_path), "%s/cert.pem", folder);
    snprintf(key_path, sizeof(key_path), "%s/key.pem", folder);
    snprintf(other_key_path, sizeof(other_key_path), "%s/other.pem", folder);
    snprintf(locked_key_path, sizeof(locked_key_path), "%s/locked.pem", folder);
    write_certificate(certificate_path, key);
    write_key(key_path, key, NULL);
    write_key(other_key_path, other, NULL);
    write_key(locked_key_path, key, "secret");
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(certificate_path);
    unlink(key_path);
    unlink(other_key_path);
    unlink(locked_key_path);
    rmdir(folder);
    return 0;
}

static void set_tls(const char *ca, const char *certificate, const char *key)
{
    set("KAFKA_BROKERS", "localhost");
    set("KAFKA_SSL_ENABLED", "1");
    set("KAFKA_SSL_CA_CERTFILE", ca);
    set("KAFKA_SSL_CERTFILE", certificate);
    set("KAFKA_SSL_KEYFILE", key);
}

static void missing_default_files_are_named(void **state)
{
    (void)state;
    set("KAFKA_SSL_ENABLED", "1");
    check();
    assert_int_equal(problems.n, 3);
    assert_true(is_told("KAFKA_SSL_CA_CERTFILE"));
    assert_true(is_told("KAFKA_SSL_CERTFILE"));
    assert_true(is_told("KAFKA_SSL_KEYFILE"));
}

static void empty_names_switch_the_files_off(void **state)
{
    set_tls("", "", "");
    assert_fine();
    forget(state);
    set_tls(certificate_path, "", "");
    assert_fine();
}

static void certificate_with_its_key_is_taken(void **state)
{
    set_tls(certificate_path, certificate_path, key_path);
    assert_fine();
    forget(state);
    set_tls(certificate_path, certificate_path, locked_key_path);
    set("KAFKA_SSL_KEYFILE_PASS", "secret");
    assert_fine();
}

static void key_of_another_certificate_is_refused(void **state)
{
    (void)state;
    set_tls(certificate_path, certificate_path, other_key_path);
    assert_refused("KAFKA_SSL_KEYFILE");
}

static void wrong_passphrase_is_named_but_not_shown(void **state)
{
    set_tls(certificate_path, certificate_path, locked_key_path);
    set("KAFKA_SSL_KEYFILE_PASS", "guess");
    assert_refused("KAFKA_SSL_KEYFILE_PASS");
    assert_false(is_told("guess"));
    forget(state);
    set_tls(certificate_path, certificate_path, locked_key_path);
    assert_refused("KAFKA_SSL_KEYFILE_PASS");
}

static void key_and_certificate_need_each_other(void **state)
{
    set_tls(certificate_path, certificate_path, "");
    assert_refused("KAFKA_SSL_KEYFILE");
    forget(state);
    set_tls(certificate_path, "", key_path);
    assert_refused("KAFKA_SSL_CERTFILE");
}

static void file_that_is_not_pem_is_refused(void **state)
{
    (void)state;
    set_tls(key_path, "", "");
    assert_refused("KAFKA_SSL_CA_CERTFILE");
}

/* ---------------------------------------------------------------------- try */

static void try_lists_brokers_and_topics(void **state)
{
    char topic[] = "rig";
    char *items[] = {topic};
    struct rg_option_list topics = {items, 1};
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_why why = {0};
    struct rg_embedded_kafka *kafka = rg_embedded_kafka_start(&topics, 3, &why);

    (void)state;
    assert_non_null(kafka);
    set("KAFKA_BROKERS", rg_embedded_kafka_bootstrap(kafka));
    assert_fine();
    assert_int_equal(rg_kafka_try(&settings, 5000, &out, &why), 0);
    rg_buf_add_char(&out, '\0');
    assert_non_null(strstr(out.p, rg_embedded_kafka_bootstrap(kafka)));
    assert_non_null(strstr(out.p, "topic rig: 3 partitions"));
    rg_embedded_kafka_stop(&kafka);
}

static void try_says_why_nobody_answers(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_why why = {0};

    (void)state;
    set("KAFKA_BROKERS", "127.0.0.1:1");
    assert_fine();
    assert_true(rg_kafka_try(&settings, 1000, &out, &why) < 0);
    assert_non_null(strstr(why.text, "127.0.0.1:1"));
}

#define TEST(f) cmocka_unit_test_teardown(f, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_variables_kafka_is_off),
        TEST(missing_port_becomes_9092),
        TEST(bad_broker_is_named),
        TEST(old_name_of_the_brokers_still_works),
        TEST(new_name_of_the_brokers_wins),
        TEST(old_name_of_the_brokers_brings_the_old_topic),
        TEST(topics_have_the_format_that_is_chosen_for_them),
        TEST(bad_format_is_named),
        TEST(bad_topic_is_named),
        TEST(sasl_needs_a_known_mechanism_user_and_password),
        TEST(all_sasl_mechanisms_make_a_client),
        TEST(properties_reach_the_library),
        TEST(unknown_property_is_named),
        TEST(bad_property_value_is_named),
        TEST(values_that_exclude_each_other_are_told),
        TEST(unknown_assignor_is_told),
        TEST(missing_default_files_are_named),
        TEST(empty_names_switch_the_files_off),
        TEST(certificate_with_its_key_is_taken),
        TEST(key_of_another_certificate_is_refused),
        TEST(wrong_passphrase_is_named_but_not_shown),
        TEST(key_and_certificate_need_each_other),
        TEST(file_that_is_not_pem_is_refused),
        TEST(try_lists_brokers_and_topics),
        TEST(try_says_why_nobody_answers),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
