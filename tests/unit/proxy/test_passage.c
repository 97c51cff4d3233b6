/* What the access log is told of requests, whatever becomes of them. */
#include "stage.h"

#include <stdlib.h>

static FILE *file;
static struct rg_access_log *access_log;

static int setup(void **state)
{
    stage_setup(state);
    file = tmpfile();
    assert_non_null(file);
    const struct rg_access_log_settings settings = {RG_ACCESS_JSON, 1000000, fileno(file)};
    access_log = rg_access_log_new(&settings);
    proxy->settings.access_log = access_log;
    return 0;
}

static int teardown(void **state)
{
    rg_access_log_free(&access_log);
    fclose(file);
    return stage_teardown(state);
}

/* The lines so far, of requests that have ended; the log is closed. */
static const char *read_log(void)
{
    static char text[16384];

    rg_http_server_close_all(server);
    rg_forwarder_close(forwarder);
    peer_turn(&reactor);
    proxy->settings.access_log = NULL;
    rg_access_log_free(&access_log);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    return text;
}

static void expect_line(const char *log, const char *const *parts, size_t n)
{
    assert_ptr_equal(strchr(log, '\n'), log + strlen(log) - 1);
    for (size_t i = 0; i < n; i++) {
        if (strstr(log, parts[i]) == NULL)
            fail_msg("no %s in %s", parts[i], log);
    }
}
#define EXPECT_LINE(...)                                                                           \
    do {                                                                                           \
        const char *const parts_[] = {__VA_ARGS__};                                                \
        expect_line(read_log(), parts_, RG_COUNT_OF(parts_));                                      \
    } while (0)

static void a_request_that_was_answered(void **state)
{
    (void)state;
    ask("POST /items?token=secret HTTP/1.1\r\n" HOST "content-length: 4\r\n\r\nbody");
    expect_asked("\r\n\r\nbody");
    answer("HTTP/1.1 201 Created\r\ncontent-length: 7\r\n\r\ncreated");
    expect_answer("created");
    EXPECT_LINE("\"method\":\"POST\"", "\"/items\"", "\"api\":\"shop\"", "\"endpoint\":\"e2\"",
                "\"status\":201", "\"outcome\":\"ok\"", "\"HTTP/1.1\"", ":4,", ":7", "127.0.0.1:");
}

static void one_that_nobody_has(void **state)
{
    (void)state;
    ask("GET /nowhere HTTP/1.1\r\n" HOST "\r\n");
    expect_answer("Not Found");
    EXPECT_LINE("\"/nowhere\"", "\"status\":404", "\"outcome\":\"not_found\"");
}

static void one_without_a_token(void **state)
{
    (void)state;
    ask("GET /mine HTTP/1.1\r\n" HOST "\r\n");
    expect_answer("Authentication failed.");
    EXPECT_LINE("\"api\":\"shop\"", "\"status\":401", "\"outcome\":\"unauthorized\"");
}

static void one_whose_session_is_known(void **state)
{
    (void)state;
    ask("GET /mine HTTP/1.1\r\n" HOST "authorization: Bearer @\r\n\r\n");
    expect_asked("\r\n\r\n");
    answer("HTTP/1.1 204 No Content\r\n\r\n");
    expect_answer("HTTP/1.1 204 ");
    EXPECT_LINE("\"status\":204", "\"ja\"");
}

static void one_whose_service_fails(void **state)
{
    (void)state;
    service_close(&service);
    ask("GET /items HTTP/1.1\r\n" HOST "\r\n");
    expect_answer("Bad gateway.");
    EXPECT_LINE("\"status\":502", "\"outcome\":\"unreachable\"");
}

static void one_whose_client_has_left(void **state)
{
    (void)state;
    ask("GET /items HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("\r\n\r\n");
    peer_close(&client);
    service_expect_end(&reactor, &upstream);
    EXPECT_LINE("\"status\":0", "\"outcome\":\"client_gone\"");
}

static void one_whose_answer_breaks_off(void **state)
{
    (void)state;
    ask("GET /items HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("\r\n\r\n");
    answer("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    expect_answer("half");
    peer_close(&upstream);
    service_expect_end(&reactor, &client);
    EXPECT_LINE("\"status\":200", "\"outcome\":\"aborted\"");
}

static void one_that_became_a_tunnel(void **state)
{
    (void)state;
    ask("GET /socket HTTP/1.1\r\n" HOST "connection: upgrade\r\nupgrade: x\r\n\r\n");
    expect_asked("\r\n\r\n");
    answer("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    expect_answer("\r\n\r\n");
    ask("twelve bytes");
    expect_asked("twelve bytes");
    peer_close(&client);
    service_expect_end(&reactor, &upstream);
    peer_close(&upstream);
    peer_turn(&reactor);
    EXPECT_LINE("\"status\":101", ":12,", "\"outcome\":\"ok\"");
}

static void one_that_was_answered_from_afar(void **state)
{
    (void)state;
    ask("POST /later HTTP/1.1\r\n" HOST "content-length: 1\r\n\r\nx");
    expect_asked("\r\n\r\nx");
    answer("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
    peer_let_pass(&reactor, 1000);
    expect_answer("HTTP/1.1 504 ");
    EXPECT_LINE("\"status\":504", "\"outcome\":\"response_timeout\"", "127.0.0.1:");
}

#define LOGGED(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOGGED(a_request_that_was_answered),
        LOGGED(one_that_nobody_has),
        LOGGED(one_without_a_token),
        LOGGED(one_whose_session_is_known),
        LOGGED(one_whose_service_fails),
        LOGGED(one_whose_client_has_left),
        LOGGED(one_whose_answer_breaks_off),
        LOGGED(one_that_became_a_tunnel),
        LOGGED(one_that_was_answered_from_afar),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
