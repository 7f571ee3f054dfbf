
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "unit.h"
#include "canary_course.h"


static canary_course_t      course;
static canary_rollout_t     rollout;
static canary_course_sum_t  sums[CANARY_SIDES];


static int
begin(void **state)
{
    (void) state;

    memset(&course, 0, sizeof(course));
    memset(&rollout, 0, sizeof(rollout));
    memset(sums, 0, sizeof(sums));

    rollout.number = 7;
    rollout.phase = CANARY_PROGRESSING;
    rollout.stable = 2;
    rollout.canary = 3;
    rollout.weight = 100000;

    return 0;
}


/* As the control loop does. */

static void
look(uint64_t now)
{
    canary_course_moment_t  moment;

    moment.now = now;
    moment.time = 1000000 + now;
    moment.rollout = &rollout;
    moment.sums[CANARY_SIDE_STABLE] = &sums[CANARY_SIDE_STABLE];
    moment.sums[CANARY_SIDE_CANARY] = &sums[CANARY_SIDE_CANARY];

    if (canary_course_is_due(&course, &rollout, now)) {
        canary_course_take(&course, &moment);
    }
}


static void
count(int side, uint32_t attempts, uint32_t errors, uint64_t us)
{
    sums[side].attempts += attempts;
    sums[side].errors += errors;
    sums[side].times[canary_histogram_index(us)] += attempts;
}


static unsigned
points(canary_course_point_t *list)
{
    unsigned  n;
    uint64_t  number;

    for (n = 0, number = 0;
         canary_course_next(&course, rollout.number, &number, &list[n]);
         n++)
    {
        assert_true(n < CANARY_COURSE_POINTS);
    }

    return n;
}


static void
a_point_is_what_came_in_five_seconds(void **state)
{
    canary_course_point_t  list[CANARY_COURSE_POINTS + 1];

    (void) state;

    count(CANARY_SIDE_STABLE, 1000, 10, 100);

    look(50);
    assert_int_equal(points(list), 0);

    count(CANARY_SIDE_STABLE, 90, 0, 2000);
    count(CANARY_SIDE_CANARY, 10, 4, 8000);
    sums[CANARY_SIDE_CANARY].client_errors += 3;
    rollout.weight = 200000;

    look(5049);
    assert_int_equal(points(list), 0);

    look(5050);
    assert_int_equal(points(list), 1);

    assert_int_equal(list[0].time, 1000050);
    assert_int_equal(list[0].weight, 100000);
    assert_int_equal(list[0].sides[CANARY_SIDE_STABLE].attempts, 90);
    assert_int_equal(list[0].sides[CANARY_SIDE_STABLE].errors, 0);
    assert_int_equal(list[0].sides[CANARY_SIDE_CANARY].attempts, 10);
    assert_int_equal(list[0].sides[CANARY_SIDE_CANARY].errors, 4);
    assert_int_equal(list[0].sides[CANARY_SIDE_CANARY].client_errors, 3);
    assert_in_range(list[0].sides[CANARY_SIDE_STABLE].p50, 1968, 2032);
    assert_in_range(list[0].sides[CANARY_SIDE_CANARY].p99, 7875, 8125);

    look(10050);
    assert_int_equal(points(list), 2);
    assert_int_equal(list[1].weight, 200000);
    assert_int_equal(list[1].sides[CANARY_SIDE_CANARY].attempts, 0);
    assert_int_equal(list[1].sides[CANARY_SIDE_CANARY].p50, 0);
}


static void
the_end_of_a_rollout_ends_its_last_point(void **state)
{
    uint32_t               ids[CANARY_SIDES];
    canary_course_point_t  list[CANARY_COURSE_POINTS + 1];

    (void) state;

    look(0);
    count(CANARY_SIDE_CANARY, 20, 20, 500);

    rollout.phase = CANARY_IDLE;
    rollout.canary = CANARY_NO_RELEASE;
    rollout.weight = 0;

    canary_course_releases(&course, &rollout, ids);
    assert_int_equal(ids[CANARY_SIDE_STABLE], 2);
    assert_int_equal(ids[CANARY_SIDE_CANARY], 3);

    look(700);
    assert_int_equal(points(list), 1);
    assert_int_equal(list[0].weight, 100000);
    assert_int_equal(list[0].sides[CANARY_SIDE_CANARY].errors, 20);

    count(CANARY_SIDE_CANARY, 20, 20, 500);
    look(10000);
    assert_int_equal(points(list), 1);
}


static void
ten_minutes_are_kept(void **state)
{
    unsigned               i;
    uint64_t               number;
    canary_course_point_t  list[CANARY_COURSE_POINTS + 1], one;

    (void) state;

    for (i = 0; i <= 300; i++) {
        look(i * CANARY_COURSE_PERIOD);
        count(CANARY_SIDE_STABLE, i, 0, 100);
    }

    assert_int_equal(points(list), CANARY_COURSE_POINTS);

    for (i = 0; i < CANARY_COURSE_POINTS; i++) {
        assert_int_equal(list[i].sides[CANARY_SIDE_STABLE].attempts, 180 + i);
    }

    number = 5;
    assert_true(canary_course_next(&course, 7, &number, &one));
    assert_int_equal(one.time, list[0].time);
    assert_int_equal(number, 181);
}


static void
another_rollout_begins_with_nothing(void **state)
{
    canary_course_point_t  list[CANARY_COURSE_POINTS + 1];

    (void) state;

    look(0);
    look(5000);
    assert_int_equal(points(list), 1);

    rollout.number = 8;
    assert_int_equal(points(list), 0);

    look(6000);
    assert_int_equal(points(list), 0);

    look(11000);
    assert_int_equal(points(list), 1);
    assert_int_equal(list[0].time, 1006000);

    /* one that was over before anybody looked has none */

    rollout.number = 9;
    rollout.phase = CANARY_IDLE;
    look(12000);
    assert_int_equal(points(list), 0);
}


static void
other_counters_are_no_attempts(void **state)
{
    canary_course_point_t  list[CANARY_COURSE_POINTS + 1];

    (void) state;

    count(CANARY_SIDE_STABLE, 100, 1, 100);
    look(0);

    memset(&sums[CANARY_SIDE_STABLE], 0, sizeof(canary_course_sum_t));
    count(CANARY_SIDE_STABLE, 50, 0, 100);
    count(CANARY_SIDE_CANARY, 5, 0, 100);

    look(5000);
    assert_int_equal(points(list), 1);
    assert_int_equal(list[0].sides[CANARY_SIDE_STABLE].attempts, 0);
    assert_int_equal(list[0].sides[CANARY_SIDE_STABLE].p50, 0);
    assert_int_equal(list[0].sides[CANARY_SIDE_CANARY].attempts, 5);

    /* and those of another zone, which may be more, neither */

    canary_course_interrupt(&course);
    count(CANARY_SIDE_STABLE, 1000000, 0, 100);

    look(5050);
    assert_int_equal(points(list), 1);

    count(CANARY_SIDE_STABLE, 3, 0, 100);
    look(10050);
    assert_int_equal(points(list), 2);
    assert_int_equal(list[1].sides[CANARY_SIDE_STABLE].attempts, 3);
}


static void
a_histogram_may_overflow(void **state)
{
    canary_course_point_t  list[CANARY_COURSE_POINTS + 1];

    (void) state;

    sums[CANARY_SIDE_STABLE].times[canary_histogram_index(100)] = 0xfffffffe;
    look(0);

    count(CANARY_SIDE_STABLE, 6, 0, 100);
    count(CANARY_SIDE_STABLE, 1, 0, 9000);

    look(5000);
    assert_int_equal(points(list), 1);
    assert_in_range(list[0].sides[CANARY_SIDE_STABLE].p50, 98, 102);
    assert_in_range(list[0].sides[CANARY_SIDE_STABLE].p99, 8850, 9150);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(a_point_is_what_came_in_five_seconds, begin),
        cmocka_unit_test_setup(the_end_of_a_rollout_ends_its_last_point,
                               begin),
        cmocka_unit_test_setup(ten_minutes_are_kept, begin),
        cmocka_unit_test_setup(another_rollout_begins_with_nothing, begin),
        cmocka_unit_test_setup(other_counters_are_no_attempts, begin),
        cmocka_unit_test_setup(a_histogram_may_overflow, begin)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
