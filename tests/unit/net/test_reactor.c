#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "peer.h"

static struct rg_reactor reactor;

/* Writes its letter down, and may ask for another. */
struct note {
    struct rg_late late;
    char letter;
    struct note *another;
};

static char written[16];

static void write_down(struct rg_late *late)
{
    struct note *note = RG_CONTAINER_OF(late, struct note, late);

    written[strlen(written)] = note->letter;
    if (note->another != NULL)
        rg_reactor_run_late(&reactor, &note->another->late);
}

static int setup(void **state)
{
    (void)state;
    memset(written, 0, sizeof(written));
    peer_reactor_init(&reactor);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_reactor_done(&reactor);
    return 0;
}

static void what_is_late_runs_once_a_turn_in_order(void **state)
{
    struct note a = {.late.fn = write_down, .letter = 'a'},
                b = {.late.fn = write_down, .letter = 'b'};

    (void)state;
    rg_reactor_run_late(&reactor, &a.late);
    rg_reactor_run_late(&reactor, &b.late);
    rg_reactor_run_late(&reactor, &a.late);
    assert_string_equal(written, "");
    uv_run(&reactor.loop, UV_RUN_NOWAIT);
    assert_string_equal(written, "ab");
    uv_run(&reactor.loop, UV_RUN_NOWAIT);
    assert_string_equal(written, "ab");
}

static void what_late_things_ask_for_is_of_the_same_turn(void **state)
{
    struct note b = {.late.fn = write_down, .letter = 'b'};
    struct note a = {.late.fn = write_down, .letter = 'a', .another = &b};

    (void)state;
    rg_reactor_run_late(&reactor, &a.late);
    uv_run(&reactor.loop, UV_RUN_NOWAIT);
    assert_string_equal(written, "ab");
}

static void what_is_late_can_be_cancelled(void **state)
{
    struct note a = {.late.fn = write_down, .letter = 'a'},
                b = {.late.fn = write_down, .letter = 'b'};

    (void)state;
    rg_reactor_run_late(&reactor, &a.late);
    rg_reactor_run_late(&reactor, &b.late);
    rg_reactor_cancel_late(&a.late);
    rg_reactor_cancel_late(&a.late);
    uv_run(&reactor.loop, UV_RUN_NOWAIT);
    assert_string_equal(written, "b");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_late_runs_once_a_turn_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(what_late_things_ask_for_is_of_the_same_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_late_can_be_cancelled, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
