#include <stdlib.h>
#include <unistd.h>

#include "definitions.h"
#include "proxy/service_tls.h"

static const char certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBdDCCARugAwIBAgIUdCQcYUshb1EiZ7ocPhLzb0YAVOAwCgYIKoZIzj0EAwIw\n"
    "DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjQxNzAxNTBaGA8yMTI2MTAzMTE3MDE1\n"
    "MFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABK+P\n"
    "8VEbMqEFIY4g5Bxx9f8F7ig6NZHAaZo/jbQV4Di8vuX7B+8KtCwJ3zrfMkm73OPc\n"
    "G21rx4Z/5zADKXTlpS+jUzBRMB0GA1UdDgQWBBRHXYhnedSRo8LGAlHXz0K1RaRo\n"
    "4jAfBgNVHSMEGDAWgBRHXYhnedSRo8LGAlHXz0K1RaRo4jAPBgNVHRMBAf8EBTAD\n"
    "AQH/MAoGCCqGSM49BAMCA0cAMEQCIDEUEVJf+YEPzbRLJ9OMTAXLr8acaKcaF/KN\n"
    "16UxxXaoAiB161ADjGvcVgjL4qFKcVrg8Vc4W+XwTc5CRyFCw9csZw==\n"
    "-----END CERTIFICATE-----\n";

static char path[] = "/tmp/rgate-test-XXXXXX";
static struct rg_buf name;

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    (void)state;
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(certificate);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_service_tls_forget();
    rg_buf_done(&name);
    unlink(path);
    return 0;
}

static struct rg_str name_of(const struct rg_tls_client_settings *settings)
{
    rg_buf_clear(&name);
    rg_service_tls_name(settings, &name);
    return rg_buf_str(&name);
}

static struct rg_tls_client *get(uint64_t now_ms)
{
    struct rg_tls_client_settings settings = {.ca_file = path};
    struct rg_why why = {0};
    struct rg_tls_client *client = rg_service_tls_get(&settings, name_of(&settings), now_ms, &why);

    if (client == NULL)
        fail_msg("%s: %s", why.place, why.text);
    return client;
}

static void what_was_read_is_shared_for_a_minute(void **state)
{
    struct rg_tls_client *first = get(1000), *second = get(60999), *third = get(61000);

    (void)state;
    assert_ptr_equal(first, second);
    /* Both are still held, so it is another one. */
    assert_ptr_not_equal(first, third);
    rg_tls_client_unref(&first);
    rg_tls_client_unref(&second);
    rg_tls_client_unref(&third);
}

static void a_file_that_changes_is_read_again(void **state)
{
    struct rg_tls_client *first = get(1000);
    char twice[2 * sizeof(certificate)];

    (void)state;
    snprintf(twice, sizeof(twice), "%s%s", certificate, certificate);
    write_file(twice);
    struct rg_tls_client *second = get(1000);
    assert_ptr_not_equal(first, second);
    rg_tls_client_unref(&first);
    rg_tls_client_unref(&second);
}

static void names_tell_settings_apart(void **state)
{
    const struct rg_tls_client_settings different[] = {
        {0},
        {.is_unverified = true},
        {.ca_file = path},
        {.cert_file = path},
        {.key_file = path},
        {.cert_file = path, .key_file = path},
        {.ca_file = "/a", .cert_file = "/b"},
        {.ca_file = "/a;2:/b"},
    };
    struct rg_buf other = {0};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(different); i++) {
        rg_buf_clear(&other);
        rg_service_tls_name(&different[i], &other);
        for (size_t k = 0; k < RG_COUNT_OF(different); k++)
            assert_int_equal(rg_str_eq(name_of(&different[k]), rg_buf_str(&other)), i == k);
    }
    rg_buf_done(&other);
}

static void expect_wrong(const char *file, const char *text)
{
    struct rg_tls_client_settings settings = {.ca_file = file};
    struct rg_why why = {0};

    assert_null(rg_service_tls_get(&settings, name_of(&settings), 0, &why));
    assert_string_equal(why.place, "ca_file");
    assert_true(why.text[0] != '\0');
    if (text != NULL)
        assert_string_equal(why.text, text);
}

static void files_that_cannot_be_read_are_told(void **state)
{
    (void)state;
    expect_wrong("/no/such/file", "must be a file that can be read");
    expect_wrong("/tmp", "must be a regular file");
    expect_wrong("/dev/zero", "must be a regular file");
    write_file("no certificate");
    expect_wrong(path, NULL);
}

static void of_very_many_the_oldest_makes_room(void **state)
{
    struct rg_tls_client *first = get(0), *again;
    struct rg_tls_client_settings settings = {.ca_file = path};

    (void)state;
    for (int i = 0; i < 64; i++) {
        char other[24];
        snprintf(other, sizeof(other), "name %d", i);
        struct rg_tls_client *client = rg_service_tls_get(&settings, rg_str_c(other), 0, NULL);
        assert_non_null(client);
        rg_tls_client_unref(&client);
    }
    again = get(0);
    assert_ptr_not_equal(first, again);
    rg_tls_client_unref(&first);
    rg_tls_client_unref(&again);
}

static void a_definition_speaks_tls_where_it_says_so(void **state)
{
    char text[512];

    (void)state;
    snprintf(text, sizeof(text),
             WITH_PROXY("\"target_url\":\"https://a\",\"port\":443,\"tls\":{\"ca_file\":\"%s\","
                        "\"server_name\":\"b\"}"),
             path);
    expect_good(text);
    snprintf(text, sizeof(text),
             WITH_PROXY("\"targets\":[\"a:1\",\"b:2\"],\"tls\":{\"ca_file\":\"%s\"}"), path);
    expect_good(text);
    expect_good(WITH_PROXY("\"target_url\":\"https://a\",\"port\":443,\"tls\":{\"verify\":false}"));
    write_file("no certificate");
    struct rg_faults faults = {0};
    assert_null(read_as(text, RG_DEFINITION_NEW, &faults));
    assert_int_equal(faults.n, 1);
    assert_string_equal(faults.list[0].pointer, "/proxy/tls/ca_file");
    assert_string_equal(faults.list[0].field, "ca_file");
    rg_faults_done(&faults);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_read_is_shared_for_a_minute),
        TEST(a_file_that_changes_is_read_again),
        TEST(names_tell_settings_apart),
        TEST(files_that_cannot_be_read_are_told),
        TEST(of_very_many_the_oldest_makes_room),
        TEST(a_definition_speaks_tls_where_it_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
