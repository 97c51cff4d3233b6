#include <pthread.h>

#include "definitions.h"
#include "proxy/catalogue.h"

static struct rg_catalogue *catalogue;

/* A definition with this id and members behind it. */
static struct rg_api *made(const char *id, const char *members)
{
    char text[512];

    snprintf(text, sizeof(text), "{\"id\":\"%s\",\"name\":\"n\"," PROXY "," VERSION "%s}", id,
             members);
    return read_good(text);
}

static int setup(void **state)
{
    (void)state;
    rg_rcu_thread_start();
    catalogue = rg_catalogue_new(NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_catalogue_free(&catalogue);
    assert_null(catalogue);
    rg_rcu_thread_stop();
    return 0;
}

static int add(const char *id)
{
    return rg_catalogue_add(catalogue, made(id, ""));
}

static int replace(const char *id, const char *members)
{
    return rg_catalogue_replace(catalogue, made(id, members));
}

static int remove_id(const char *id)
{
    return rg_catalogue_remove(catalogue, rg_str_c(id));
}

static void expect_number(const char *id, uint64_t number)
{
    struct rg_api *api = rg_catalogue_get(catalogue, rg_str_c(id));

    assert_non_null(api);
    assert_string_equal(api->id, id);
    assert_true(api->is_active);
    assert_int_equal(api->ref_number, number);
    rg_api_unref(&api);
}

static void expect_none(const char *id)
{
    assert_null(rg_catalogue_get(catalogue, rg_str_c(id)));
}

/* The ids of the list, with commas. */
static void expect_list(const char *ids)
{
    struct rg_buf out = {0};
    struct rg_api **list;
    size_t n = rg_catalogue_list(catalogue, &list);

    for (size_t i = 0; i < n; i++) {
        rg_buf_addf(&out, "%s%s", i > 0 ? "," : "", list[i]->id);
        rg_api_unref(&list[i]);
    }
    rg_free(list);
    rg_buf_add_char(&out, '\0');
    assert_string_equal(out.p, ids);
    rg_buf_done(&out);
}

static void an_id_is_active_once(void **state)
{
    (void)state;
    expect_none("a");
    assert_int_equal(add("a"), 0);
    expect_number("a", 0);
    assert_int_equal(add("a"), RG_EINVAL);
    expect_number("a", 0);
}

static void the_list_is_sorted_by_bytes(void **state)
{
    (void)state;
    expect_list("");
    assert_int_equal(add("b"), 0);
    assert_int_equal(add("a"), 0);
    assert_int_equal(add("aa"), 0);
    assert_int_equal(add("B"), 0);
    assert_int_equal(add("\xc3\xa9"), 0);
    assert_int_equal(add("a!"), 0);
    expect_list("B,a,a!,aa,b,\xc3\xa9");
    assert_int_equal(remove_id("a!"), 0);
    expect_list("B,a,aa,b,\xc3\xa9");
}

static void each_change_is_the_next_number(void **state)
{
    (void)state;
    assert_int_equal(add("a"), 0);
    assert_int_equal(replace("a", ",\"x\":1"), 0);
    expect_number("a", 1);
    assert_int_equal(replace("a", ""), 0);
    expect_number("a", 2);
    assert_int_equal(remove_id("a"), 0);
    expect_none("a");
    assert_int_equal(remove_id("a"), RG_ENOTFOUND);
    /* The deletion was number 3. */
    assert_int_equal(add("a"), 0);
    expect_number("a", 4);
}

static void what_is_not_active_cannot_be_replaced(void **state)
{
    (void)state;
    assert_int_equal(replace("a", ""), RG_ENOTFOUND);
    assert_int_equal(add("a"), 0);
    assert_int_equal(remove_id("a"), 0);
    assert_int_equal(replace("a", ""), RG_ENOTFOUND);
    assert_int_equal(remove_id("zzz"), RG_ENOTFOUND);
}

static void one_that_says_so_is_not_active(void **state)
{
    (void)state;
    assert_int_equal(add("a"), 0);
    assert_int_equal(replace("a", ",\"active\":false"), 0);
    expect_none("a");
    expect_list("");
    assert_int_equal(replace("a", ""), RG_ENOTFOUND);
    /* What is added in its place is active, whatever it says, unless it is versioned. */
    assert_int_equal(rg_catalogue_add(catalogue, made("a", ",\"active\":false")), 0);
    expect_number("a", 2);

    assert_int_equal(rg_catalogue_add(catalogue, made("b", ",\"active\":false")), 0);
    expect_none("b");
    assert_int_equal(rg_catalogue_add(catalogue, made("b", ",\"active\":false,\"versioned\":true")),
                     0);
    expect_number("b", 1);
    struct rg_api *api = rg_catalogue_get(catalogue, RG_STR("b"));
    assert_false(api->is_matched);
    rg_api_unref(&api);
}

static void who_has_changed_an_older_one_is_told(void **state)
{
    (void)state;
    assert_int_equal(add("a"), 0);
    struct rg_api *old = rg_catalogue_get(catalogue, RG_STR("a"));
    assert_int_equal(rg_catalogue_exchange(catalogue, old, made("a", ",\"x\":1")), 0);
    assert_int_equal(rg_catalogue_exchange(catalogue, old, made("a", ",\"x\":2")), RG_EAGAIN);
    expect_number("a", 1);
    assert_int_equal(remove_id("a"), 0);
    assert_int_equal(rg_catalogue_exchange(catalogue, old, made("a", "")), RG_ENOTFOUND);
    rg_api_unref(&old);
}

static void it_starts_with_what_it_is_given(void **state)
{
    struct rg_api *apis[3] = {made("b", ""), made("a", ""), made("c", ",\"active\":false")};

    (void)state;
    rg_catalogue_free(&catalogue);
    catalogue = rg_catalogue_new(apis, 3);
    for (size_t i = 0; i < 3; i++)
        rg_api_unref(&apis[i]);
    expect_list("a,b");
    assert_int_equal(add("c"), 0);
    expect_number("c", 1);
}

static void the_list_of_2017_is_in_force_but_not_listed(void **state)
{
    struct rg_problems problems = {0};
    struct rg_buf warnings = {0};
    struct rg_api **apis;
    size_t n;

    (void)state;
    assert_int_equal(rg_definitions_read(RG_STR("[{\"host\":\"A\",\"port\":1,\"path\":\"/a\","
                                                "\"method\":\"GET\",\"auth\":false}]"),
                                         definition_env, &problems, &warnings, &apis, &n),
                     0);
    rg_catalogue_free(&catalogue);
    catalogue = rg_catalogue_new(apis, n);
    assert_int_equal(atomic_load(&apis[0]->refs) >= 2, 1);
    expect_list("");
    expect_none("");
    assert_int_equal(remove_id(""), RG_ENOTFOUND);
    assert_int_equal(add("a"), 0);
    expect_list("a");
    rg_api_unref(&apis[0]);
    rg_free(apis);
}

static void a_table_that_a_reader_has_stays(void **state)
{
    (void)state;
    rg_rcu_read_lock();
    const struct rg_table *before = rg_catalogue_table(catalogue);
    assert_non_null(before);
    assert_int_equal(add("a"), 0);
    assert_ptr_not_equal(rg_catalogue_table(catalogue), before);
    assert_int_equal(rg_table_endpoints(before), 0); /* the sanitizer looks on */
    rg_rcu_read_unlock();
}

static void metrics_tell_what_there_is(void **state)
{
    struct rg_buf out = {0};

    (void)state;
    assert_int_equal(add("a"), 0);
    assert_int_equal(add("b"), 0);
    assert_int_equal(replace("a", ""), 0);
    assert_int_equal(remove_id("b"), 0);
    rg_catalogue_expose(catalogue, &out);
    rg_buf_add_char(&out, '\0');
    assert_non_null(strstr(out.p, "\nrgate_api_definitions 1\n"));
    assert_non_null(strstr(out.p, "\nrgate_api_endpoints 0\n"));
    assert_non_null(strstr(out.p, "\nrgate_api_changes_total{change=\"added\"} 2\n"));
    assert_non_null(strstr(out.p, "\nrgate_api_changes_total{change=\"replaced\"} 1\n"));
    assert_non_null(strstr(out.p, "\nrgate_api_changes_total{change=\"removed\"} 1\n"));
    rg_buf_done(&out);
}

/* Without all that costs time. */
static struct rg_api *inactive(const char *id)
{
    struct rg_api *api = rg_zalloc(sizeof(*api));

    atomic_init(&api->refs, 1);
    api->id = rg_strndup(id, strlen(id));
    return api;
}

static void of_very_many_that_were_deleted_the_oldest_is_forgotten(void **state)
{
    char id[32];

    (void)state;
    for (int i = 0; i <= RG_CATALOGUE_MAX_GRAVES; i++) {
        snprintf(id, sizeof(id), "x%d", i);
        assert_int_equal(rg_catalogue_add(catalogue, inactive(id)), 0);
    }
    assert_int_equal(add("x0"), 0);
    expect_number("x0", 0);
    assert_int_equal(add("x1"), 0);
    expect_number("x1", 1);
    snprintf(id, sizeof(id), "x%d", RG_CATALOGUE_MAX_GRAVES);
    assert_int_equal(add(id), 0);
    expect_number(id, 1);
}

/* ---- threads ---- */

enum {
    WRITERS = 8,
    ROUNDS = 100
};

static atomic_int added;

static void *race_to_add(void *arg)
{
    (void)arg;
    rg_rcu_thread_start();
    for (int i = 0; i < ROUNDS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "r%d", i);
        if (add(id) == 0)
            atomic_fetch_add(&added, 1);
    }
    rg_rcu_thread_stop();
    return NULL;
}

static void run(pthread_t threads[WRITERS], void *(*fn)(void *arg))
{
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fn, NULL), 0);
}

static void join(pthread_t threads[WRITERS])
{
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void of_many_who_add_the_same_one_succeeds(void **state)
{
    pthread_t threads[WRITERS];

    (void)state;
    atomic_store(&added, 0);
    run(threads, race_to_add);
    join(threads);
    assert_int_equal(atomic_load(&added), ROUNDS);
}

/* As PUT does it: of what is there, until nobody was faster. */
static void *count_up(void *arg)
{
    (void)arg;
    rg_rcu_thread_start();
    for (int i = 0; i < ROUNDS; i++) {
        int err = RG_EAGAIN;
        while (err == RG_EAGAIN) {
            struct rg_api *old = rg_catalogue_get(catalogue, RG_STR("a"));
            err = rg_catalogue_exchange(catalogue, old, made("a", ""));
            rg_api_unref(&old);
        }
        assert_int_equal(err, 0);
    }
    rg_rcu_thread_stop();
    return NULL;
}

static atomic_bool is_over;

static void *look(void *arg)
{
    uint64_t last = 0;

    (void)arg;
    rg_rcu_thread_start();
    while (!atomic_load(&is_over)) {
        rg_rcu_read_lock();
        assert_int_equal(rg_table_endpoints(rg_catalogue_table(catalogue)), 0);
        rg_rcu_read_unlock();
        struct rg_api *api = rg_catalogue_get(catalogue, RG_STR("a"));
        assert_true(api->ref_number >= last);
        last = api->ref_number;
        rg_api_unref(&api);
    }
    rg_rcu_thread_stop();
    return NULL;
}

static void no_change_is_lost_and_readers_go_on(void **state)
{
    pthread_t threads[WRITERS], reader;

    (void)state;
    assert_int_equal(add("a"), 0);
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&reader, NULL, look, NULL), 0);
    run(threads, count_up);
    join(threads);
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(reader, NULL), 0);
    expect_number("a", WRITERS * ROUNDS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_id_is_active_once),
        TEST(the_list_is_sorted_by_bytes),
        TEST(each_change_is_the_next_number),
        TEST(what_is_not_active_cannot_be_replaced),
        TEST(one_that_says_so_is_not_active),
        TEST(who_has_changed_an_older_one_is_told),
        TEST(it_starts_with_what_it_is_given),
        TEST(the_list_of_2017_is_in_force_but_not_listed),
        TEST(a_table_that_a_reader_has_stays),
        TEST(metrics_tell_what_there_is),
        TEST(of_very_many_that_were_deleted_the_oldest_is_forgotten),
        TEST(of_many_who_add_the_same_one_succeeds),
        TEST(no_change_is_lost_and_readers_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
