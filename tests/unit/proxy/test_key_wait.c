/* A request whose token needs a key that is being fetched, and what may go meanwhile. */
#include <semaphore.h>

#include "../auth/signer.h"
#include "../http/origin.h"
#include "stage.h"

static struct origin origin;
static struct signer signer;

/* The origin has been asked for the key set, and says nothing yet. */
static int setup(void **state)
{
    struct rg_buf set = {0};

    (void)state;
    origin_start(&origin);
    signer = signer_new("ES256");
    rg_buf_add_c(&set, "{\"keys\":[");
    signer_jwk(&signer, ",\"kid\":\"new\"", &set);
    rg_buf_add_c(&set, "]}");
    origin_answer(&origin, "200 OK", "", rg_buf_str(&set));
    rg_buf_done(&set);
    origin_hold(&origin);
    key_client = rg_http_client_new(&rg_http_client_default_settings);
    key_set = origin.url;
    stage_open(false);
    origin_await(&origin, 1);
    rg_buf_clear(&token);
    signer_token(&signer, "new", "{\"exp\":4e9,\"username\":\"ada\",\"jti\":\"ja\"}", &token);
    rg_buf_add_char(&token, '\0');
    return 0;
}

static int teardown(void **state)
{
    stage_teardown(state);
    origin_stop(&origin);
    signer_done(&signer);
    return 0;
}

static void note(void *arg)
{
    sem_post(arg);
}

/* Those who wait are told in their order, so the requests have been when this returns. */
static void await_keys(void)
{
    sem_t is_over;

    sem_init(&is_over, 0, 0);
    assert_int_equal(rg_verifier_wait(verifier, note, &is_over), 0);
    origin_go_on(&origin);
    while (sem_wait(&is_over) < 0)
        ;
    sem_destroy(&is_over);
    peer_turn(&reactor);
}

static void ask_and_wait(void)
{
    ask("GET /mine HTTP/1.1\r\n" HOST "authorization: Bearer @\r\n\r\n");
    assert_true(service_is_alone(&reactor, &service));
    assert_int_equal(peer_take(&client, SIZE_MAX), 0);
}

static void it_goes_on_with_the_key(void **state)
{
    (void)state;
    ask_and_wait();
    await_keys();
    expect_asked("GET /mine HTTP/1.1\r\n");
    answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    expect_answer("\r\n\r\nok");
}

static void without_the_key_it_is_401(void **state)
{
    (void)state;
    origin_answer(&origin, "200 OK", "", RG_STR("{\"keys\":[]}"));
    ask_and_wait();
    await_keys();
    expect_answer("HTTP/1.1 401 ");
    assert_true(service_is_alone(&reactor, &service));
}

static void a_client_that_leaves_is_forgotten(void **state)
{
    (void)state;
    ask_and_wait();
    peer_close(&client);
    peer_turn(&reactor);
    await_keys();
    assert_true(service_is_alone(&reactor, &service));
}

static void a_definition_that_goes_is_not_found(void **state)
{
    (void)state;
    ask_and_wait();
    assert_int_equal(rg_catalogue_remove(catalogue, RG_STR("shop")), 0);
    await_keys();
    expect_answer("HTTP/1.1 404 ");
    assert_true(service_is_alone(&reactor, &service));
}

/* As serve does: requests end, then nothing is fetched any more, which tells those who wait. */
static void the_process_may_end(void **state)
{
    (void)state;
    ask_and_wait();
    rg_http_server_close_all(server);
    peer_turn(&reactor);
    rg_http_client_free(&key_client);
    peer_turn(&reactor);
    assert_true(service_is_alone(&reactor, &service));
}

#define WAITING(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAITING(it_goes_on_with_the_key),
        WAITING(without_the_key_it_is_401),
        WAITING(a_client_that_leaves_is_forgotten),
        WAITING(a_definition_that_goes_is_not_found),
        WAITING(the_process_may_end),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
