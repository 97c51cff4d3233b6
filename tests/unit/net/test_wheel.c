#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "net/wheel.h"

#define TICK RG_WHEEL_TICK_MS
#define TURN ((uint64_t)RG_WHEEL_TICK_MS * RG_WHEEL_SLOTS)

/* A wheel and the time it is told. */
static struct rg_wheel wheel;
static uint64_t now;

/* A timer that remembers when it fired, and may do something then. */
struct probe {
    struct rg_timer timer;
    unsigned fired;
    uint64_t fired_at_ms;
    void (*then)(struct probe *probe);
    struct probe *other;
};

static void on_fire(struct rg_timer *timer)
{
    struct probe *probe = RG_CONTAINER_OF(timer, struct probe, timer);

    assert_false(rg_timer_is_pending(timer));
    probe->fired++;
    probe->fired_at_ms = now;
    if (probe->then != NULL)
        probe->then(probe);
}

static void begin(uint64_t at_ms)
{
    now = at_ms;
    rg_wheel_init(&wheel, now);
}

static void advance(uint64_t to_ms)
{
    now = to_ms;
    rg_wheel_advance(&wheel, now);
}

static void set_in(struct probe *probe, uint64_t delay_ms)
{
    probe->timer.fn = on_fire;
    rg_wheel_set(&wheel, &probe->timer, now + delay_ms);
}

static void timers_fire_late_by_less_than_a_tick_and_never_early(void **state)
{
    (void)state;
    for (uint64_t offset = 0; offset < TICK; offset += 7) {
        for (uint64_t delay = 1; delay < 5 * TICK; delay += 13) {
            struct probe probe = {0};
            begin(1000 * TICK + offset);
            set_in(&probe, delay);
            uint64_t deadline = now + delay;
            while (probe.fired == 0)
                advance(now + 1);
            assert_true(probe.fired_at_ms >= deadline);
            assert_true(probe.fired_at_ms < deadline + TICK);
        }
    }
}

static void a_timer_fires_once(void **state)
{
    struct probe probe = {0};

    (void)state;
    begin(0);
    set_in(&probe, 10);
    assert_true(rg_timer_is_pending(&probe.timer));
    advance(3 * TURN);
    advance(6 * TURN);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(wheel.pending, 0);
}

static void a_deadline_that_has_passed_fires_at_the_next_tick(void **state)
{
    struct probe probe = {.timer.fn = on_fire};

    (void)state;
    begin(10 * TICK + 5);
    rg_wheel_set(&wheel, &probe.timer, 3 * TICK);
    assert_int_equal(probe.fired, 0);
    advance(now + TICK);
    assert_int_equal(probe.fired, 1);
}

static void moving_replaces_the_deadline(void **state)
{
    struct probe later = {0}, sooner = {0};

    (void)state;
    begin(777);
    set_in(&later, 2 * TICK);
    set_in(&later, 20 * TICK);
    set_in(&sooner, 20 * TICK);
    set_in(&sooner, 2 * TICK);
    assert_int_equal(wheel.pending, 2);
    advance(now + 4 * TICK);
    assert_int_equal(later.fired, 0);
    assert_int_equal(sooner.fired, 1);
    advance(now + 20 * TICK);
    assert_int_equal(later.fired, 1);
    assert_int_equal(sooner.fired, 1);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
    struct probe probe = {0};

    (void)state;
    begin(1);
    set_in(&probe, 100);
    rg_wheel_cancel(&wheel, &probe.timer);
    rg_wheel_cancel(&wheel, &probe.timer);
    assert_false(rg_timer_is_pending(&probe.timer));
    assert_int_equal(wheel.pending, 0);
    advance(now + TURN);
    assert_int_equal(probe.fired, 0);
}

static void cancel_other(struct probe *probe)
{
    rg_wheel_cancel(&wheel, &probe->other->timer);
}

static void a_callback_may_cancel_another_timer_that_is_due(void **state)
{
    struct probe a = {.then = cancel_other}, b = {.then = cancel_other}, c = {0};

    (void)state;
    begin(0);
    a.other = &b;
    b.other = &a;
    set_in(&a, TICK);
    set_in(&b, TICK);
    set_in(&c, TICK);
    advance(TICK);
    assert_int_equal(a.fired + b.fired, 1);
    assert_int_equal(c.fired, 1);
    assert_int_equal(wheel.pending, 0);
}

static void set_again(struct probe *probe)
{
    if (probe->fired < 3)
        set_in(probe, TICK);
}

static void a_callback_may_set_its_own_timer_again(void **state)
{
    struct probe probe = {.then = set_again};

    (void)state;
    begin(0);
    set_in(&probe, TICK);
    advance(TICK);
    assert_int_equal(probe.fired, 1);
    advance(2 * TICK);
    assert_int_equal(probe.fired, 2);
    advance(3 * TICK);
    advance(TURN);
    assert_int_equal(probe.fired, 3);
}

static void set_other_in_the_past(struct probe *probe)
{
    probe->other->timer.fn = on_fire;
    rg_wheel_set(&wheel, &probe->other->timer, 0);
}

static void a_callback_may_set_a_deadline_that_has_passed(void **state)
{
    struct probe other = {0};
    struct probe probe = {.then = set_other_in_the_past, .other = &other};

    (void)state;
    begin(5 * TICK);
    set_in(&probe, TICK);
    advance(now + TICK);
    advance(now + TICK);
    assert_int_equal(other.fired, 1);
}

static void set_other_far_away(struct probe *probe)
{
    set_in(probe->other, 2 * TURN);
}

/* The moved timer is in the slot that is being fired. */
static void a_callback_may_move_another_timer_that_is_due(void **state)
{
    struct probe other = {0};
    struct probe probe = {.then = set_other_far_away, .other = &other};

    (void)state;
    begin(0);
    set_in(&probe, TICK);
    set_in(&other, TICK);
    advance(TICK);
    assert_int_equal(other.fired, 0);
    advance(2 * TURN);
    assert_int_equal(other.fired, 0);
    advance(2 * TURN + TICK);
    assert_int_equal(other.fired, 1);
}

static void deadlines_beyond_one_turn_wait_for_theirs(void **state)
{
    static const uint64_t delays[] = {
        TURN - 1, TURN, TURN + 1, TURN + TICK, 3 * TURN + 7, 3600 * (uint64_t)1000, 10 * TURN + 1};
    struct probe probes[RG_COUNT_OF(delays)] = {0};
    uint64_t start = 123457;

    (void)state;
    begin(start);
    for (size_t i = 0; i < RG_COUNT_OF(delays); i++)
        set_in(&probes[i], delays[i]);
    /* set_in() counts from now, which stands still so far. */
    while (wheel.pending > 0)
        advance(now + 50);
    for (size_t i = 0; i < RG_COUNT_OF(delays); i++) {
        assert_int_equal(probes[i].fired, 1);
        assert_true(probes[i].fired_at_ms >= start + delays[i]);
        assert_true(probes[i].fired_at_ms < start + delays[i] + TICK + 50);
    }
}

static void after_a_jump_of_the_clock_all_that_is_due_fires_and_nothing_else(void **state)
{
    enum {
        N = 300
    };
    struct probe probes[N] = {0};
    uint64_t start = 99;

    (void)state;
    begin(start);
    for (uint64_t i = 0; i < N; i++)
        set_in(&probes[i], i * TURN / 50);
    advance(start + 4 * TURN);
    for (uint64_t i = 0; i < N; i++) {
        uint64_t deadline = start + i * TURN / 50;
        if (deadline + TICK <= now)
            assert_int_equal(probes[i].fired, 1);
        if (deadline > now)
            assert_int_equal(probes[i].fired, 0);
    }
    advance(start + 100 * TURN);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(probes[i].fired, 1);
    assert_int_equal(wheel.pending, 0);
}

static void a_clock_that_stands_still_or_goes_back_fires_nothing(void **state)
{
    struct probe probe = {0};

    (void)state;
    begin(100 * TICK);
    set_in(&probe, TICK);
    advance(now);
    advance(now - 50 * TICK);
    assert_int_equal(probe.fired, 0);
    advance(102 * TICK);
    assert_int_equal(probe.fired, 1);
}

static void the_farthest_deadline_never_fires(void **state)
{
    struct probe probe = {.timer.fn = on_fire};

    (void)state;
    begin(5000);
    rg_wheel_set(&wheel, &probe.timer, UINT64_MAX);
    advance(5000 + TICK);
    advance(5000 + 10 * TURN);
    assert_int_equal(probe.fired, 0);
    assert_true(rg_timer_is_pending(&probe.timer));
}

/* ---- against a plain list of deadlines ---- */

enum {
    MODEL_TIMERS = 200,
    MODEL_STEPS = 20000
};

struct model_timer {
    struct rg_timer timer;
    bool is_set;
    uint64_t deadline_ms, set_at_ms;
};
static struct model_timer model[MODEL_TIMERS];
static uint64_t random_state;
static uint64_t last_advance_ms;
static unsigned model_fired;

/* xorshift64*: the same numbers on every machine. */
static uint64_t random_below(uint64_t bound)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dULL % bound;
}

static void model_set(struct model_timer *m)
{
    static const uint64_t spans[] = {1, TICK, 10 * TICK, TURN, 5 * TURN};
    uint64_t span = spans[random_below(RG_COUNT_OF(spans))];

    m->is_set = true;
    m->set_at_ms = now;
    m->deadline_ms = now + random_below(span + 1);
    rg_wheel_set(&wheel, &m->timer, m->deadline_ms);
}

static void model_cancel(struct model_timer *m)
{
    m->is_set = false;
    rg_wheel_cancel(&wheel, &m->timer);
}

static void on_model_fire(struct rg_timer *timer)
{
    struct model_timer *m = RG_CONTAINER_OF(timer, struct model_timer, timer);

    assert_true(m->is_set);
    assert_true(m->deadline_ms <= now);
    /* It could not have fired before: either it was due less than a tick before the time told
     * last, or it was set since then. */
    assert_true(m->deadline_ms + TICK > last_advance_ms || m->set_at_ms >= last_advance_ms);
    m->is_set = false;
    model_fired++;
    if (random_below(3) == 0)
        model_set(m);
    if (random_below(4) == 0)
        model_set(&model[random_below(MODEL_TIMERS)]);
    if (random_below(4) == 0)
        model_cancel(&model[random_below(MODEL_TIMERS)]);
}

static void model_check(void)
{
    size_t n = 0;

    for (size_t i = 0; i < MODEL_TIMERS; i++) {
        assert_int_equal(model[i].is_set, rg_timer_is_pending(&model[i].timer));
        n += model[i].is_set;
        /* What is pending is not overdue by a tick or more, except for what was just set. */
        if (model[i].is_set && model[i].set_at_ms != now)
            assert_true(model[i].deadline_ms + TICK > now);
    }
    assert_int_equal(wheel.pending, n);
}

static void model_advance(void)
{
    uint64_t step = random_below(20) == 0 ? random_below(3 * TURN) : random_below(2 * TICK);

    last_advance_ms = now;
    advance(now + step);
}

static void random_operations_agree_with_a_plain_list(void **state)
{
    (void)state;
    random_state = 20240506;
    begin(1234567);
    for (size_t i = 0; i < MODEL_TIMERS; i++)
        model[i].timer.fn = on_model_fire;
    for (size_t i = 0; i < MODEL_STEPS; i++) {
        switch (random_below(4)) {
        case 0:
            model_advance();
            break;
        case 1:
            model_cancel(&model[random_below(MODEL_TIMERS)]);
            break;
        default:
            model_set(&model[random_below(MODEL_TIMERS)]);
            break;
        }
        model_check();
    }
    assert_true(model_fired > MODEL_STEPS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_late_by_less_than_a_tick_and_never_early),
        cmocka_unit_test(a_timer_fires_once),
        cmocka_unit_test(a_deadline_that_has_passed_fires_at_the_next_tick),
        cmocka_unit_test(moving_replaces_the_deadline),
        cmocka_unit_test(a_cancelled_timer_does_not_fire),
        cmocka_unit_test(a_callback_may_cancel_another_timer_that_is_due),
        cmocka_unit_test(a_callback_may_set_its_own_timer_again),
        cmocka_unit_test(a_callback_may_set_a_deadline_that_has_passed),
        cmocka_unit_test(a_callback_may_move_another_timer_that_is_due),
        cmocka_unit_test(deadlines_beyond_one_turn_wait_for_theirs),
        cmocka_unit_test(after_a_jump_of_the_clock_all_that_is_due_fires_and_nothing_else),
        cmocka_unit_test(a_clock_that_stands_still_or_goes_back_fires_nothing),
        cmocka_unit_test(the_farthest_deadline_never_fires),
        cmocka_unit_test(random_operations_agree_with_a_plain_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
