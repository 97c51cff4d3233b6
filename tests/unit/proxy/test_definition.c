#include "definitions.h"

#define TWO(field)                                                                                 \
    "{\"" field "\":\"must be string\"},{\"" field "\":\"must have a length of at least 1\"}"
#define JWT "must be one of [\\\"jwt\\\"]"
#define RULES_OF_NOTHING                                                                           \
    TWO("name") ",{\"proxy\":\"must be present\"},{\"version_data\":\"must be present\"}"

static struct rg_api *api;

static int teardown(void **state)
{
    (void)state;
    rg_api_unref(&api);
    value_of_name_host = NULL;
    return 0;
}

static const struct rg_endpoint *endpoint(void)
{
    return &api->endpoints[0];
}

static void expect_shown(const char *json)
{
    assert_int_equal(api->shown.n, strlen(json));
    assert_memory_equal(api->shown.p, json, api->shown.n);
}

/* ---- what a definition says ---- */

static void a_definition_has_what_its_members_say(void **state)
{
    (void)state;
    value_of_name_host = "http://10.0.0.7:1/base";
    api = read_good(
        "{\"id\":\"orders\",\"name\":\"Orders\",\"auth_type\":\"jwt\",\"auth\":{\"use_header\":"
        "true,\"header_name\":\"Authorization\",\"use_query\":true,\"query_name\":\"token\"},"
        "\"version_data\":{\"default\":{\"transform_request_headers\":{\"add_headers\":{"
        "\"X-Tenant\":\"blue\"}},\"endpoints\":[{\"id\":\"list\",\"method\":\"get\",\"path_regex\":"
        "\"/orders\",\"secured\":true},{\"id\":\"item\",\"method\":\"GET\",\"path_regex\":\"/o/"
        "(.*)\",\"path_replacement\":\"/l/\\\\1\",\"transform_request_headers\":true},{\"id\":"
        "\"place\",\"method\":\"POST\",\"path_regex\":\"/orders\",\"target\":\"Kafka\",\"topic\":"
        "\"orders-in\",\"schema\":\"s\",\"response_from\":\"HTTP_ASYNC\"}]}},\"proxy\":{"
        "\"use_env\":true,\"target_url\":\"NAME_HOST\",\"port\":8080}}");
    assert_int_equal(api->dialect, RG_DIALECT_APIS);
    assert_string_equal(api->id, "orders");
    assert_string_equal(api->name, "Orders");
    assert_true(api->is_matched && api->is_active && !api->is_versioned);
    assert_true(api->checks_tokens && api->use_header && api->use_query);
    assert_string_equal(api->header_name, "Authorization");
    assert_string_equal(api->query_name, "token");
    assert_int_equal(api->add_headers_n, 1);
    assert_string_equal(api->add_headers[0].name, "x-tenant");
    assert_string_equal(api->add_headers[0].value, "blue");
    assert_int_equal(api->endpoints_n, 3);
    assert_int_equal(api->ref_number, 0);
    assert_true(api->may_retry);

    const struct rg_endpoint *list = &api->endpoints[0];
    assert_ptr_equal(list->api, api);
    assert_string_equal(list->id, "list");
    assert_string_equal(list->method, "GET");
    assert_string_equal(list->path_regex, "/orders");
    assert_true(list->is_secured);
    assert_false(list->adds_headers);
    assert_non_null(list->pattern);
    assert_null(list->rewrite);
    assert_int_equal(list->target, RG_TARGET_HTTP);
    assert_int_equal(list->response_from, RG_FROM_HTTP);
    assert_null(list->topic);
    assert_string_equal(list->host, "10.0.0.7:8080");
    assert_string_equal(list->target_text, "NAME_HOST");
    assert_non_null(list->service);
    assert_string_equal(list->definition, "{\"id\":\"list\",\"method\":\"GET\",\"path_regex\":"
                                          "\"/orders\",\"secured\":true}");

    const struct rg_endpoint *item = &api->endpoints[1];
    assert_non_null(item->rewrite);
    assert_true(item->adds_headers);
    assert_false(item->is_secured);

    const struct rg_endpoint *place = &api->endpoints[2];
    assert_int_equal(place->target, RG_TARGET_KAFKA);
    assert_int_equal(place->response_from, RG_FROM_HTTP_ASYNC);
    assert_string_equal(place->topic, "orders-in");
    assert_string_equal(place->schema, "s");
}

static void defaults_are_filled_in_where_nothing_is_given(void **state)
{
    (void)state;
    api = read_good(WITH_MEMBERS(""));
    expect_shown("{" NAMED "," PROXY "," VERSION
                 ",\"auth_type\":\"none\",\"versioned\":false,\"auth\":{\"use_header\":false,"
                 "\"header_name\":\"\",\"use_query\":false,\"query_name\":\"\"}}");
    assert_true(api->is_active);
    assert_false(api->checks_tokens || api->use_header || api->use_query);
    assert_string_equal(api->header_name, "");
    /* 2022-03-04T05:06:07.891011Z */
    assert_int_equal(strlen(api->timestamp), 27);
    assert_true(api->timestamp[26] == 'Z' && api->timestamp[10] == 'T');
}

static void what_the_gateway_sets_is_not_taken_from_a_definition(void **state)
{
    (void)state;
    api = read_good(WITH_MEMBERS(",\"ref_number\":7,\"timestamp\":\"t\",\"node_name\":\"x\","
                                 "\"phx_ref\":\"a\",\"phx_ref_prev\":\"b\",\"active\":true,"
                                 "\"x-owner\":\"me\",\"auth_type\":\"none\",\"versioned\":false,"
                                 "\"auth\":{\"a\":1}"));
    assert_int_equal(api->ref_number, 0);
    /* What is not known is kept, and a given auth replaces the default as a whole. */
    expect_shown("{" NAMED "," PROXY "," VERSION ",\"x-owner\":\"me\",\"auth_type\":\"none\","
                 "\"versioned\":false,\"auth\":{\"a\":1}}");
}

static void tokens_are_looked_for_in_the_header_unless_it_is_said_otherwise(void **state)
{
    (void)state;
    api = read_good(JWT_WITH_E("", ""));
    assert_true(api->use_header);
    assert_string_equal(api->header_name, "Authorization");
    assert_false(api->use_query);
    rg_api_unref(&api);

    api = read_good(JWT_WITH_E(",\"auth\":{\"use_query\":true,\"query_name\":\"t\"}", ""));
    assert_true(api->use_header && api->use_query);
    assert_string_equal(api->query_name, "t");
    rg_api_unref(&api);

    api = read_good(JWT_WITH_E(",\"auth\":{\"use_header\":false,\"header_name\":\"\","
                               "\"use_query\":true,\"query_name\":\"t\"}",
                               ""));
    assert_false(api->use_header);
    assert_string_equal(api->header_name, "");
    rg_api_unref(&api);

    api = read_good(JWT_WITH_E(",\"auth\":{\"header_name\":\"x-token\"}", ""));
    assert_true(api->use_header);
    assert_string_equal(api->header_name, "x-token");
}

static void put_stores_auth_as_it_is(void **state)
{
    struct rg_faults faults = {0};

    (void)state;
    api = read_as(JWT_WITH_E("", ""), RG_DEFINITION_PUT, &faults);
    assert_non_null(api);
    assert_false(api->use_header);
    expect_shown(JWT_WITH_E("", ""));
}

static void what_put_merges_need_not_fit_the_old_auth(void **state)
{
    static const char text[] =
        WITH_MEMBERS(",\"auth\":{\"use_header\":true,\"header_name\":\"a\",\"claim_headers\":{"
                     "\"x-user\":\"/sub\"}}");
    struct rg_faults faults = {0};

    (void)state;
    expect_faults_as(text, RG_DEFINITION_PUT,
                     "{\"q\":[{\"auth_type\":\"" JWT "\"},{\"auth_type\":\"" JWT "\"}]}",
                     "/auth/use_header,/auth/claim_headers");
    api = read_as(text, RG_DEFINITION_MERGED, &faults);
    assert_non_null(api);
    assert_false(api->use_header);
    assert_int_equal(api->claim_headers_n, 0);
}

static void expect_state(const char *members, bool is_active, bool is_matched)
{
    char text[512];

    snprintf(text, sizeof(text), WITH_MEMBERS("%s"), members);
    api = read_good(text);
    assert_int_equal(api->is_active, is_active);
    assert_int_equal(api->is_matched, is_matched);
    rg_api_unref(&api);
}

static void only_true_is_active_and_what_is_no_no_is_versioned(void **state)
{
    (void)state;
    expect_state("", true, true);
    expect_state(",\"active\":true", true, true);
    expect_state(",\"active\":false", false, false);
    expect_state(",\"active\":\"true\"", false, false);
    expect_state(",\"active\":1", false, false);
    expect_state(",\"versioned\":true", true, false);
    expect_state(",\"versioned\":\"no\"", true, false);
    expect_state(",\"versioned\":null", true, true);
    expect_state(",\"auth_type\":\"basic\"", true, true);
}

static void only_the_default_version_is_used(void **state)
{
    (void)state;
    api = read_good("{" NAMED "," PROXY ",\"version_data\":{\"v2\":{\"endpoints\":[{}]}}}");
    assert_int_equal(api->endpoints_n, 0);
}

/* ---- the rules, in order ---- */

static void every_rule_of_an_api_is_told_in_order(void **state)
{
    (void)state;
    expect_faults("{}", "{\"api\":[" TWO("id") "," RULES_OF_NOTHING "]}",
                  "/id,/name,/proxy,/version_data");
    expect_faults("{\"id\":\"q\"}", "{\"api\":[" RULES_OF_NOTHING "]}", NULL);
    expect_faults(
        "{\"id\":null,\"name\":\"\",\"proxy\":null,\"version_data\":null}",
        "{\"api\":[" TWO(
            "id") ",{\"name\":\"must have a length of at least 1\"},"
                  "{\"proxy\":\"must be present\"},{\"version_data\":\"must be present\"}]}",
        NULL);
    expect_faults("{\"id\":5,\"name\":[],\"proxy\":5,\"version_data\":[],\"auth_type\":1,"
                  "\"auth\":\"x\"}",
                  "{\"api\":[{\"id\":\"must be string\"},{\"name\":\"must be string\"},"
                  "{\"proxy\":\"must be object\"},{\"version_data\":\"must be object\"},"
                  "{\"auth_type\":\"must be string\"},{\"auth\":\"must be object\"}]}",
                  "/id,/name,/proxy,/version_data,/auth_type,/auth");
    expect_faults("[]", "{\"api\":[{\"api\":\"must be object\"}]}", "");
}

static void an_empty_proxy_is_told_with_what_it_lacks(void **state)
{
    (void)state;
    expect_faults(
        WITH_PROXY(""),
        "{\"api\":[{\"proxy\":\"must be present\"}," TWO("target_url") ",{\"port\":"
                                                                       "\"must be integer\"}]}",
        "/proxy,/proxy/target_url,/proxy/port");
}

static void expect_port_fault(const char *port, const char *message)
{
    char text[256], json[128];

    snprintf(text, sizeof(text), WITH_PROXY("\"target_url\":\"a\",\"port\":%s"), port);
    snprintf(json, sizeof(json), "{\"api\":[{\"port\":\"%s\"}]}", message);
    expect_faults(text, json, "/proxy/port");
}

static void a_port_is_a_number_from_1_to_65535(void **state)
{
    (void)state;
    expect_port_fault("0", "must be between 1 and 65535");
    expect_port_fault("-1", "must be between 1 and 65535");
    expect_port_fault("65536", "must be between 1 and 65535");
    expect_port_fault("\"80\"", "must be integer");
    expect_port_fault("80.5", "must be integer");
    expect_port_fault("null", "must be integer");
    expect_good(WITH_PROXY("\"target_url\":\"a\",\"port\":1"));
    expect_good(WITH_PROXY("\"target_url\":\"a\",\"port\":65535"));
}

static void versions_need_lists_of_endpoints(void **state)
{
#define WITH_VERSIONS(v) "{" NAMED "," PROXY ",\"version_data\":{" v "}}"
    (void)state;
    expect_faults(WITH_VERSIONS(""),
                  "{\"api\":[{\"version_data\":\"must be present\"},{\"version_data\":\"must have "
                  "at least one version, e.g. default\"}]}",
                  "/version_data");
    expect_faults(WITH_VERSIONS("\"default\":{}"), "{\"api\":[{\"endpoints\":\"must be list\"}]}",
                  "/version_data/default/endpoints");
    expect_faults(WITH_VERSIONS("\"default\":{\"endpoints\":{}},\"v/2\":5"),
                  "{\"api\":[{\"endpoints\":\"must be list\"},{\"endpoints\":\"must be list\"}]}",
                  "/version_data/default/endpoints,/version_data/v~12/endpoints");
}

static void names_for_tokens_are_needed_where_tokens_are_looked_for(void **state)
{
    (void)state;
    expect_faults(JWT_WITH_E(",\"auth\":{\"use_header\":true}", ""),
                  "{\"q\":[{\"header_name\":\"must be present\"}]}", "/auth/header_name");
    expect_faults(JWT_WITH_E(",\"auth\":{\"use_query\":true,\"query_name\":\"\"}", ""),
                  "{\"q\":[{\"query_name\":\"must be present\"}]}", "/auth/query_name");
    /* "Present" is more than true. */
    expect_faults(JWT_WITH_E(",\"auth\":{\"use_header\":\"yes\",\"use_query\":1}", ""),
                  "{\"q\":[{\"header_name\":\"must be present\"},{\"query_name\":\"must be "
                  "present\"}]}",
                  NULL);
    expect_good(JWT_WITH_E(",\"auth\":{\"use_header\":\"\",\"use_query\":[]}", ""));
    expect_faults(JWT_WITH_E(",\"auth\":{\"use_header\":true,\"header_name\":5}", ""),
                  "{\"q\":[{\"header_name\":\"must be string\"}]}", NULL);
    expect_faults(JWT_WITH_E(",\"auth\":{\"header_name\":\"a b\"}", ""),
                  "{\"q\":[{\"header_name\":\"must be the name of a field\"}]}", NULL);
}

static void tokens_are_looked_for_with_jwt_only(void **state)
{
    (void)state;
    expect_faults(WITH_MEMBERS(",\"auth\":{\"use_query\":true,\"query_name\":\"t\"}"),
                  "{\"q\":[{\"auth_type\":\"" JWT "\"}]}", "/auth/use_query");
    expect_faults(WITH_MEMBERS(",\"auth_type\":\"JWT\",\"auth\":{\"use_header\":true}"),
                  "{\"q\":[{\"header_name\":\"must be present\"},{\"auth_type\":\"" JWT "\"}]}",
                  NULL);
    /* Rule 11 is about true. */
    expect_good(WITH_MEMBERS(",\"auth\":{\"use_query\":1,\"query_name\":\"t\"}"));
}

static void every_rule_of_an_endpoint_is_told_in_order(void **state)
{
    (void)state;
    expect_faults(WITH_ENDPOINTS("{}"),
                  "{\"q/\":[" TWO("id") "," TWO("path_regex") "," TWO("method") "]}",
                  "/version_data/default/endpoints/0/id,/version_data/default/endpoints/0/"
                  "path_regex,/version_data/default/endpoints/0/method");
    expect_faults(WITH_ENDPOINTS("{\"id\":\"e\",\"path_regex\":\"\",\"method\":\"GET\"}"),
                  "{\"q/e\":[{\"path_regex\":\"must have a length of at least 1\"}]}", NULL);
    expect_faults(WITH_ENDPOINTS("{\"id\":\"e\",\"path_regex\":1,\"method\":{},\"secured\":true,"
                                 "\"target\":\"nats\",\"schema\":5,\"response_from\":\"me\"}"),
                  "{\"q/e\":[{\"path_regex\":\"must be string\"},{\"method\":\"must be string\"},"
                  "{\"auth_type\":\"" JWT "\"},{\"topic\":\"must be present\"},{\"schema\":\"must "
                  "be string\"},{\"response_from\":\"must be one of [\\\"http\\\", \\\"kafka\\\", "
                  "\\\"http_async\\\", \\\"kinesis\\\", \\\"nats\\\"]\"}]}",
                  NULL);
    /* Both are told, although neither has an id. */
    expect_faults(WITH_ENDPOINTS("{\"path_regex\":\"/\",\"method\":\"GET\"},5"),
                  "{\"q/\":[" TWO("id") ",{\"endpoint\":\"must be object\"}]}",
                  "/version_data/default/endpoints/0/id,/version_data/default/endpoints/1");
}

static void an_api_without_id_still_has_its_faults_told(void **state)
{
    (void)state;
    expect_faults("{\"name\":\"n\"," PROXY ",\"auth\":{\"use_header\":true},\"version_data\":{"
                  "\"default\":{\"endpoints\":[{\"id\":\"e\"}]}}}",
                  "{\"api\":[" TWO("id") "],\"\":[{\"header_name\":\"must be present\"},"
                                         "{\"auth_type\":\"" JWT
                                         "\"}],\"/e\":[" TWO("path_regex") "," TWO("method") "]}",
                  NULL);
}

static void what_is_sent_as_an_event_needs_a_topic(void **state)
{
    static const char *const targets[] = {"kafka", "kinesis", "nats", "KAFKA"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(targets); i++) {
        char text[512];
        snprintf(text, sizeof(text), WITH_E(",\"target\":\"%s\""), targets[i]);
        expect_fault_of_e(text, "\"topic\":\"must be present\"", "topic");
        snprintf(text, sizeof(text), WITH_E(",\"target\":\"%s\",\"topic\":\"\""), targets[i]);
        expect_fault_of_e(text, "\"topic\":\"must be present\"", "topic");
        snprintf(text, sizeof(text), WITH_E(",\"target\":\"%s\",\"topic\":\"t\""), targets[i]);
        expect_good(text);
    }
    expect_good(WITH_E(",\"target\":\"http\""));
    expect_fault_of_e(WITH_E(",\"target\":\"kafka\",\"topic\":5"), "\"topic\":\"must be string\"",
                      "topic");
}

static void a_schema_needs_a_target(void **state)
{
    (void)state;
    expect_fault_of_e(WITH_E(",\"schema\":\"s\""), "\"target\":\"must be present\"", "schema");
    expect_good(WITH_E(",\"schema\":\"\""));
    expect_good(WITH_E(",\"schema\":\"s\",\"target\":\"kafka\",\"topic\":\"t\""));
}

static void unknown_targets_are_refused(void **state)
{
#define TARGETS "must be one of [\\\"http\\\", \\\"kafka\\\", \\\"kinesis\\\", \\\"nats\\\"]"
    (void)state;
    expect_fault_of_e(WITH_E(",\"target\":\"foo\""), "\"target\":\"" TARGETS "\"", "target");
    expect_fault_of_e(WITH_E(",\"target\":7"), "\"target\":\"must be string\"", "target");
    expect_good(WITH_E(",\"target\":null,\"response_from\":null"));
}

static void what_is_secured_needs_jwt_and_is_true_or_false(void **state)
{
    (void)state;
    expect_fault_of_e(WITH_E(",\"secured\":true"), "\"auth_type\":\"" JWT "\"", "secured");
    expect_fault_of_e(JWT_WITH_E("", ",\"secured\":\"true\""), "\"secured\":\"must be boolean\"",
                      "secured");
    expect_good(WITH_E(",\"secured\":false"));
    expect_good(JWT_WITH_E("", ",\"secured\":true"));
}

static void the_reason_of_a_wrong_pattern_is_not_in_the_message(void **state)
{
    static const char text[] = WITH_ENDPOINTS("{\"id\":\"e\",\"method\":\"GET\","
                                              "\"path_regex\":\"/x(\"}");
    struct rg_faults faults = {0};

    (void)state;
    expect_fault_of_e(text, "\"path_regex\":\"must be a valid regular expression\"", "path_regex");
    assert_null(read_as(text, RG_DEFINITION_NEW, &faults));
    assert_non_null(faults.list[0].reason);
    assert_null(strstr(faults.list[0].reason, "must be"));
    rg_faults_done(&faults);
}

static void what_is_no_replacement_is_none(void **state)
{
    (void)state;
    api = read_good(WITH_E(",\"path_replacement\":\"\""));
    assert_null(endpoint()->rewrite);
    rg_api_unref(&api);
    api = read_good(WITH_E(",\"path_replacement\":5"));
    assert_null(endpoint()->rewrite);
}

static void ids_have_a_limit(void **state)
{
    char text[2048], json[3072], id[1026];

    (void)state;
    memset(id, 'x', sizeof(id) - 1);
    id[1025] = '\0';
    snprintf(text, sizeof(text), "{\"id\":\"%s\",\"name\":\"n\"," PROXY "," VERSION "}", id);
    expect_faults(text, "{\"api\":[{\"id\":\"must have a length of at most 1024\"}]}", "/id");
    id[1024] = '\0';
    snprintf(text, sizeof(text), "{\"id\":\"%s\",\"name\":\"n\"," PROXY "," VERSION "}", id);
    expect_good(text);
    /* What is told of it is not longer than it may be. */
    memset(id, 'x', 1025);
    snprintf(text, sizeof(text),
             WITH_ENDPOINTS("{\"id\":\"%s\",\"method\":\"GET\","
                            "\"path_regex\":\"/\"}"),
             id);
    id[1024] = '\0';
    snprintf(json, sizeof(json), "{\"q/%s\":[{\"id\":\"must have a length of at most 1024\"}]}",
             id);
    expect_faults(text, json, NULL);
}

/* ---- services ---- */

static void expect_host(const char *target_url, const char *host)
{
    char text[512];

    snprintf(text, sizeof(text),
             "{" NAMED ",\"proxy\":{\"target_url\":\"%s\",\"port\":9100},\"version_data\":{"
             "\"default\":{\"endpoints\":[{" E "}]}}}",
             target_url);
    api = read_good(text);
    assert_string_equal(endpoint()->host, host);
    assert_string_equal(endpoint()->target_text, target_url);
    rg_api_unref(&api);
}

static void the_port_of_target_url_does_not_count(void **state)
{
    (void)state;
    expect_host("localhost", "localhost:9100");
    expect_host("http://127.0.0.1:1/base", "127.0.0.1:9100");
    expect_host("myhost:8080", "myhost:9100");
    expect_host("[::1]:8080", "[::1]:9100");
}

static void expect_env_host(const char *value, const char *host)
{
    value_of_name_host = value;
    api = read_good("{" NAMED ",\"proxy\":{\"use_env\":true,\"target_url\":\"NAME_HOST\",\"port\":"
                    "9100},\"version_data\":{\"default\":{\"endpoints\":[{" E "}]}}}");
    assert_string_equal(endpoint()->host, host);
    assert_string_equal(endpoint()->target_text, "NAME_HOST");
    rg_api_unref(&api);
}

static void a_variable_that_is_not_set_is_localhost(void **state)
{
    (void)state;
    expect_env_host(NULL, "localhost:9100");
    expect_env_host("", "localhost:9100");
    expect_env_host("  ", "localhost:9100");
    expect_env_host("10.1.1.1", "10.1.1.1:9100");
    value_of_name_host = "ftp://a";
    expect_faults(WITH_PROXY("\"use_env\":true,\"target_url\":\"NAME_HOST\",\"port\":1"),
                  "{\"api\":[{\"target_url\":\"names a variable whose value must begin with "
                  "http:// or https:// or be a host\"}]}",
                  "/proxy/target_url");
    /* Only true counts. */
    expect_good(WITH_PROXY("\"use_env\":\"true\",\"target_url\":\"NAME_HOST\",\"port\":1"));
}

static void other_schemes_are_refused(void **state)
{
    (void)state;
    expect_faults(WITH_PROXY("\"target_url\":\"ftp://a\",\"port\":1"),
                  "{\"api\":[{\"target_url\":\"must begin with http:// or https:// or be a "
                  "host\"}]}",
                  "/proxy/target_url");
}

static void a_service_may_have_several_addresses(void **state)
{
    (void)state;
    api = read_good("{" NAMED ",\"proxy\":{\"targets\":[\"10.0.0.7:8080\",\"[::1]\"],\"port\":9},"
                    "\"version_data\":{\"default\":{\"endpoints\":[{" E "}]}}}");
    assert_string_equal(endpoint()->host, "10.0.0.7:8080");
    assert_string_equal(endpoint()->target_text, "10.0.0.7:8080, [::1]");
    rg_api_unref(&api);
    expect_good(WITH_PROXY("\"targets\":[\"a:1\",\"b:2\"]"));
    expect_faults(WITH_PROXY("\"targets\":[\"a:1\",\"b\"]"),
                  "{\"api\":[{\"port\":\"must be integer\"}]}", "/proxy/port");
    expect_faults(WITH_PROXY("\"targets\":[\"a\",5,\"x y\",\"https://b\"],\"port\":1"),
                  "{\"api\":[{\"targets\":\"must be string\"},{\"targets\":\"must be a host like "
                  "orders.example, 10.0.0.7 or [::1], or http:// or https:// and a host\"},"
                  "{\"targets\":\"must all have the same scheme\"}]}",
                  "/proxy/targets/1,/proxy/targets/2,/proxy/targets/3");
    expect_faults(WITH_PROXY("\"targets\":[],\"port\":1"),
                  "{\"api\":[{\"targets\":\"must have between 1 and 64 members\"}]}", NULL);
    expect_faults(WITH_PROXY("\"targets\":{},\"port\":1"),
                  "{\"api\":[{\"targets\":\"must be list\"}]}", NULL);
    expect_faults(WITH_PROXY("\"targets\":[\"a\"],\"target_url\":\"b\",\"use_env\":true,"
                             "\"port\":1"),
                  "{\"api\":[{\"target_url\":\"must be left out where targets are given\"},"
                  "{\"use_env\":\"must be left out where targets are given\"}]}",
                  NULL);
}

static void expect_tls_faults(const char *proxy, const char *faults, const char *pointers)
{
    char text[512], json[512];

    snprintf(text, sizeof(text), WITH_PROXY("%s,\"port\":1"), proxy);
    snprintf(json, sizeof(json), "{\"api\":[%s]}", faults);
    expect_faults(text, json, pointers);
}

static void settings_of_tls_are_checked(void **state)
{
    (void)state;
    expect_tls_faults("\"target_url\":\"http://a\",\"tls\":{}",
                      "{\"tls\":\"must be left out where the service is http://\"}", "/proxy/tls");
    expect_tls_faults("\"target_url\":\"a\",\"tls\":true", "{\"tls\":\"must be object\"}",
                      "/proxy/tls");
    expect_tls_faults("\"target_url\":\"https://a\",\"tls\":{\"verify\":1,\"cert_file\":\"c\","
                      "\"server_name\":\"\"}",
                      "{\"verify\":\"must be boolean\"},{\"key_file\":\"must be present\"},"
                      "{\"server_name\":\"must have a length of at least 1\"}",
                      "/proxy/tls/verify,/proxy/tls/key_file,/proxy/tls/server_name");
    expect_tls_faults("\"target_url\":\"a\",\"tls\":{\"ca_file\":\"/no/such/file\"}",
                      "{\"ca_file\":\"must be a file that can be read\"}", "/proxy/tls/ca_file");
    expect_tls_faults("\"target_url\":\"a\",\"tls\":{\"ca_file\":\"/dev/null\"}",
                      "{\"ca_file\":\"must be a regular file\"}", "/proxy/tls/ca_file");
}

static void limits_and_times_are_checked(void **state)
{
    (void)state;
    api = read_good(WITH_PROXY("\"target_url\":\"a\",\"port\":1,\"connect_timeout_ms\":1,"
                               "\"response_timeout_ms\":2,\"idle_timeout_ms\":3,"
                               "\"max_body_bytes\":4,\"max_header_bytes\":4096,"
                               "\"max_connections\":6,\"retry\":false"));
    assert_int_equal(api->connect_timeout_ms, 1);
    assert_int_equal(api->response_timeout_ms, 2);
    assert_int_equal(api->idle_timeout_ms, 3);
    assert_int_equal(api->max_body_bytes, 4);
    assert_int_equal(api->max_head_bytes, 4096);
    assert_false(api->may_retry);
    expect_faults(
        WITH_PROXY("\"target_url\":\"a\",\"port\":1,\"connect_timeout_ms\":0,"
                   "\"response_timeout_ms\":\"5\",\"idle_timeout_ms\":2147483648,"
                   "\"max_body_bytes\":-1,\"max_header_bytes\":1023,\"max_connections\":1.5,"
                   "\"retry\":\"no\""),
        "{\"api\":[{\"connect_timeout_ms\":\"must be between 1 and 2147483647\"},"
        "{\"response_timeout_ms\":\"must be integer\"},{\"idle_timeout_ms\":\"must be between 1 "
        "and 2147483647\"},{\"max_body_bytes\":\"must be between 0 and 9007199254740992\"},"
        "{\"max_header_bytes\":\"must be between 1024 and 1048576\"},{\"max_connections\":\"must "
        "be integer\"},{\"retry\":\"must be boolean\"}]}",
        NULL);
}

/* ---- fields ---- */

static void expect_header_faults(const char *members, const char *faults)
{
    char text[512], json[512];

    snprintf(text, sizeof(text),
             "{" NAMED "," PROXY ",\"version_data\":{\"default\":{\"endpoints\":[],"
             "\"transform_request_headers\":{\"add_headers\":{%s}}}}}",
             members);
    snprintf(json, sizeof(json), "{\"q\":[%s]}", faults);
    expect_faults(text, json, NULL);
}

static void added_fields_must_be_fields(void **state)
{
    (void)state;
    expect_header_faults("\"x-a\":5,\"x-b\":\"a\\r\\nb\",\"x c\":\"1\",\"\":\"1\"",
                         "{\"x-a\":\"must be string\"},{\"x-b\":\"must have no line breaks or "
                         "other control characters\"},{\"x c\":\"must be the name of a field\"},"
                         "{\"\":\"must be the name of a field\"}");
    expect_header_faults("\"Content-Length\":\"1\",\"connection\":\"x\",\"TE\":\"x\"",
                         "{\"Content-Length\":\"must not be a field of framing or connection\"},"
                         "{\"connection\":\"must not be a field of framing or connection\"},"
                         "{\"TE\":\"must not be a field of framing or connection\"}");
    expect_header_faults("\"x-a\":\"1\",\"X-A\":\"2\"",
                         "{\"X-A\":\"must differ from other names by more than case\"}");
    expect_faults("{" NAMED "," PROXY ",\"version_data\":{\"default\":{\"endpoints\":[],"
                  "\"transform_request_headers\":{\"add_headers\":{\"a/b\":\"\"}}}}}",
                  "{\"q\":[{\"a/b\":\"must be the name of a field\"}]}",
                  "/version_data/default/transform_request_headers/add_headers/a~1b");
    /* 7: an explicit host is honoured. */
    api = read_good("{" NAMED "," PROXY ",\"version_data\":{\"default\":{\"endpoints\":[],"
                    "\"transform_request_headers\":{\"add_headers\":{\"Host\":\"o\\tp\"}}}}}");
    assert_string_equal(api->add_headers[0].name, "host");
}

static void claims_become_fields_with_jwt_only(void **state)
{
    (void)state;
    api = read_good(JWT_WITH_E(",\"auth\":{\"claim_headers\":{\"X-User\":\"/sub\",\"x-all\":\"\","
                               "\"x-e\":\"/a~1b/~0\"}}",
                               ""));
    assert_int_equal(api->claim_headers_n, 3);
    assert_string_equal(api->claim_headers[0].name, "x-user");
    assert_string_equal(api->claim_headers[0].value, "/sub");
    rg_api_unref(&api);
    expect_faults(JWT_WITH_E(",\"auth\":{\"claim_headers\":{\"x-a\":\"sub\",\"host\":\"/sub\","
                             "\"x-b\":\"/a~\",\"x-c\":1}}",
                             ""),
                  "{\"q\":[{\"x-a\":\"must be a JSON pointer like /sub\"},{\"host\":\"must not be "
                  "host\"},{\"x-b\":\"must be a JSON pointer like /sub\"},{\"x-c\":\"must be "
                  "string\"}]}",
                  "/auth/claim_headers/x-a,/auth/claim_headers/host,/auth/claim_headers/x-b,/auth/"
                  "claim_headers/x-c");
    expect_faults(WITH_MEMBERS(",\"auth\":{\"claim_headers\":{\"x-a\":\"/sub\"}}"),
                  "{\"q\":[{\"auth_type\":\"" JWT "\"}]}", "/auth/claim_headers");
}

static void there_are_at_most_64_fields_to_add(void **state)
{
    struct rg_buf members = {0};
    char json[128];

    (void)state;
    for (int i = 0; i < 65; i++)
        rg_buf_addf(&members, "%s\"x-%d\":\"/a\"", i > 0 ? "," : "", i);
    rg_buf_add_char(&members, '\0');
    char text[4096];
    snprintf(text, sizeof(text), JWT_WITH_E(",\"auth\":{\"claim_headers\":{%s}}", ""), members.p);
    snprintf(json, sizeof(json), "{\"q\":[{\"claim_headers\":\"must have at most 64 members\"}]}");
    expect_faults(text, json, "/auth/claim_headers");
    rg_buf_done(&members);
}

/* ---- endpoints beyond RIG ---- */

static void a_rate_has_requests_and_the_rest_by_default(void **state)
{
    (void)state;
    api = read_good(WITH_E(",\"rate_limit\":{\"requests\":100}"));
    assert_int_equal(endpoint()->rate.requests, 100);
    assert_int_equal(endpoint()->rate.period_ms, 1000);
    assert_int_equal(endpoint()->rate.burst, 100);
    assert_false(endpoint()->rate.by_session);
    rg_api_unref(&api);
    api =
        read_good(JWT_WITH_E("", ",\"secured\":true,\"rate_limit\":{\"requests\":6,\"seconds\":60,"
                                 "\"burst\":2,\"by\":\"Session\",\"note\":1}"));
    assert_int_equal(endpoint()->rate.period_ms, 60000);
    assert_int_equal(endpoint()->rate.burst, 2);
    assert_true(endpoint()->rate.by_session);
    rg_api_unref(&api);
    api = read_good(WITH_E(""));
    assert_int_equal(endpoint()->rate.requests, 0);
}

static void a_rate_that_cannot_be_is_refused(void **state)
{
    (void)state;
    expect_fault_of_e(WITH_E(",\"rate_limit\":5"), "\"rate_limit\":\"must be object\"",
                      "rate_limit");
    expect_fault_of_e(WITH_E(",\"rate_limit\":{}"), "\"requests\":\"must be present\"",
                      "rate_limit/requests");
    expect_fault_of_e(WITH_E(",\"rate_limit\":{\"requests\":0}"),
                      "\"requests\":\"must be between 1 and 1000000000\"", "rate_limit/requests");
    expect_fault_of_e(WITH_E(",\"rate_limit\":{\"requests\":1,\"by\":\"me\"}"),
                      "\"by\":\"must be one of [\\\"address\\\", \\\"session\\\"]\"",
                      "rate_limit/by");
    expect_fault_of_e(WITH_E(",\"rate_limit\":{\"requests\":1,\"by\":\"session\"}"),
                      "\"by\":\"must be \\\"address\\\" where the endpoint is not secured\"",
                      "rate_limit/by");
    expect_fault_of_e(WITH_E(",\"rate_limit\":{\"requests\":1,\"seconds\":86401}"),
                      "\"seconds\":\"must be between 1 and 86400\"", "rate_limit/seconds");
    expect_fault_of_e(WITH_E(",\"rate_limit\":{\"requests\":1,\"burst\":\"2\"}"),
                      "\"burst\":\"must be integer\"", "rate_limit/burst");
}

static void upgrades_and_encoded_slashes_are_off_unless_true(void **state)
{
    (void)state;
    api = read_good(WITH_E(",\"upgrade\":true,\"encoded_slashes\":true"));
    assert_true(endpoint()->takes_upgrades && endpoint()->takes_encoded_slashes);
    rg_api_unref(&api);
    api = read_good(WITH_E(""));
    assert_false(endpoint()->takes_upgrades || endpoint()->takes_encoded_slashes);
    expect_fault_of_e(WITH_E(",\"upgrade\":1"), "\"upgrade\":\"must be boolean\"", "upgrade");
}

/* ---- many and long ---- */

static void faults_of_huge_definitions_have_bounds(void **state)
{
    struct rg_faults faults = {0};
    struct rg_buf text = {0};

    (void)state;
    rg_buf_add_c(&text, "{\"version_data\":{\"");
    for (int i = 0; i < 100000; i++)
        rg_buf_add_char(&text, 'v');
    rg_buf_add_c(&text, "\":5,\"default\":{\"endpoints\":[");
    for (int i = 0; i < 5000; i++)
        rg_buf_add_c(&text, i > 0 ? ",5" : "5");
    rg_buf_add_c(&text, "]}}}");
    rg_buf_add_char(&text, '\0');
    assert_null(read_as(text.p, RG_DEFINITION_NEW, &faults));
    assert_int_equal(faults.n, RG_FAULTS_MAX);
    /* id and name, proxy, the version; and the endpoints. */
    assert_int_equal(rg_faults_count(&faults), 4 + 1 + 1 + 5000);
    for (size_t i = 0; i < faults.n; i++)
        assert_true(strlen(faults.list[i].pointer) < 600);
    /* A name that is too long is not told: the pointer ends above it. */
    assert_string_equal(faults.list[5].pointer, "/version_data/endpoints");
    rg_faults_done(&faults);
    rg_buf_done(&text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_definition_has_what_its_members_say),
        TEST(defaults_are_filled_in_where_nothing_is_given),
        TEST(what_the_gateway_sets_is_not_taken_from_a_definition),
        TEST(tokens_are_looked_for_in_the_header_unless_it_is_said_otherwise),
        TEST(put_stores_auth_as_it_is),
        TEST(what_put_merges_need_not_fit_the_old_auth),
        TEST(only_true_is_active_and_what_is_no_no_is_versioned),
        TEST(only_the_default_version_is_used),
        TEST(every_rule_of_an_api_is_told_in_order),
        TEST(an_empty_proxy_is_told_with_what_it_lacks),
        TEST(a_port_is_a_number_from_1_to_65535),
        TEST(versions_need_lists_of_endpoints),
        TEST(names_for_tokens_are_needed_where_tokens_are_looked_for),
        TEST(tokens_are_looked_for_with_jwt_only),
        TEST(every_rule_of_an_endpoint_is_told_in_order),
        TEST(an_api_without_id_still_has_its_faults_told),
        TEST(what_is_sent_as_an_event_needs_a_topic),
        TEST(a_schema_needs_a_target),
        TEST(unknown_targets_are_refused),
        TEST(what_is_secured_needs_jwt_and_is_true_or_false),
        TEST(the_reason_of_a_wrong_pattern_is_not_in_the_message),
        TEST(what_is_no_replacement_is_none),
        TEST(ids_have_a_limit),
        TEST(the_port_of_target_url_does_not_count),
        TEST(a_variable_that_is_not_set_is_localhost),
        TEST(other_schemes_are_refused),
        TEST(a_service_may_have_several_addresses),
        TEST(settings_of_tls_are_checked),
        TEST(limits_and_times_are_checked),
        TEST(added_fields_must_be_fields),
        TEST(claims_become_fields_with_jwt_only),
        TEST(there_are_at_most_64_fields_to_add),
        TEST(a_rate_has_requests_and_the_rest_by_default),
        TEST(a_rate_that_cannot_be_is_refused),
        TEST(upgrades_and_encoded_slashes_are_off_unless_true),
        TEST(faults_of_huge_definitions_have_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
