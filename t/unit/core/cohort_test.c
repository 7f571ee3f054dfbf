
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * How long cohorts are, and what is remembered of the last seconds when they
 * are folded.  Times are milliseconds of no clock at all.
 */


#include <stdlib.h>
#include <string.h>

#include "canary_evidence.h"
#include "canary_evidence_count.h"
#include "canary_evidence_last.h"
#include "canary_evidence_places.h"
#include "canary_evidence_settle.h"
#include "canary_evidence_sum.h"
#include "canary_evidence_view.h"

#include "memory.h"
#include "unit.h"


#define BEGIN     1000000
#define TICK      50
#define HISTORY   4096       /* ticks */

#define STABLE    CANARY_SIDE_STABLE
#define CANARY    CANARY_SIDE_CANARY


/* A control loop, and attempts that began at its ticks. */

typedef struct {
    canary_evidence_t  *evidence;
    uint32_t            step;
    uint64_t            now;
    uint32_t            ticks;
    canary_ticket_t     tickets[HISTORY];
    uint64_t            opened;          /* the current cohort */
    uint64_t            longest;         /* cohort that ended, ms */
} loop_t;


static int
setup_with(void **state, uint32_t nslots, uint32_t nused)
{
    loop_t  *loop;

    loop = calloc(1, sizeof(loop_t));
    assert_non_null(loop);

    loop->evidence = unit_evidence(nslots, nused);
    loop->step = 1;
    loop->now = BEGIN;
    loop->opened = BEGIN;

    canary_evidence_begin(loop->evidence, loop->step, loop->now);

    *state = loop;

    return 0;
}


static int
setup(void **state)
{
    return setup_with(state, 1, 1);
}


static int
teardown(void **state)
{
    loop_t  *loop = *state;

    unit_free_evidence(loop->evidence);
    free(loop);

    return 0;
}


static void
tick(loop_t *loop)
{
    uint32_t              before;
    canary_cohort_view_t  cohort;

    loop->ticks++;
    loop->now += TICK;

    before = (uint32_t) loop->evidence->now;
    canary_evidence_tick(loop->evidence, loop->step, loop->now);

    if ((uint32_t) loop->evidence->now != before) {

        if (loop->now - loop->opened > loop->longest) {
            loop->longest = loop->now - loop->opened;
        }

        loop->opened = loop->now;
    }

    while (canary_evidence_fold(loop->evidence, loop->now, &cohort)) {
        /* void */
    }
}


/* one attempt in each tick; each takes so long, 0: for ever */

static void
pass(loop_t *loop, uint64_t ms, uint64_t duration)
{
    uint32_t                n;
    static const canary_finish_t  good = { 0 };

    for ( /* void */ ; ms; ms -= TICK) {
        canary_evidence_start(loop->evidence, 0, CANARY,
                              &loop->tickets[loop->ticks % HISTORY]);
        tick(loop);

        n = (uint32_t) (duration / TICK);

        if (n && loop->ticks >= n) {
            canary_evidence_finish(loop->evidence,
                                   &loop->tickets[(loop->ticks - n)
                                                  % HISTORY],
                                   &good);
        }
    }
}


static canary_evidence_view_t
view(loop_t *loop)
{
    canary_tail_t           tail;
    canary_evidence_view_t  seen;

    canary_evidence_tail(loop->evidence, loop->now, &tail);
    canary_evidence_view(loop->evidence, &tail, CANARY, &seen);

    return seen;
}


static void
cohorts_of_quick_attempts_are_100_ms(void **state)
{
    loop_t  *loop = *state;

    pass(loop, 60000, 50);
    assert_int_equal(loop->longest, 100);

    pass(loop, 60000, 1000);
    assert_int_equal(loop->longest, 100);
}


/* nothing is overdue before it has taken 10 s, and nothing is left out */

static void
cohorts_of_attempts_that_take_seconds_are_100_ms(void **state)
{
    unsigned                i;
    loop_t                 *loop;
    canary_evidence_view_t  seen;

    static const uint64_t  durations[] = { 1500, 3000, 6000, 9900 };

    for (i = 0; i < UNIT_LENGTH(durations); i++) {
        teardown(state);
        setup(state);
        loop = *state;

        pass(loop, 60000, durations[i]);

        seen = view(loop);

        assert_int_equal(loop->longest, 100);
        assert_int_equal(seen.failing.started, loop->ticks);
        assert_int_equal(seen.overdue, 0);
        assert_in_range(seen.passing.started,
                        (60000 - durations[i] - 100) / TICK,
                        (60000 - durations[i]) / TICK + 1);
    }
}


static void
attempts_that_hang_are_overdue_10_s_after_their_cohort(void **state)
{
    uint32_t                 n;
    loop_t                  *loop = *state;
    canary_evidence_view_t   seen;

    pass(loop, 10000, 0);
    assert_int_equal(view(loop).overdue, 0);

    for (n = 0; n < 50000 / TICK; n++) {
        pass(loop, TICK, 0);
        seen = view(loop);

        assert_int_equal(seen.failing.started, loop->ticks);
        assert_true(seen.overdue <= loop->ticks - 10000 / TICK);
        assert_true(seen.overdue + (10000 + 150) / TICK >= loop->ticks);
    }

    assert_int_equal(loop->longest, 100);
}


/* Memory: the more is in flight the more is busy, and it is used again. */

/* places that ever had an attempt, of the first slot */

static uint32_t
places(const loop_t *loop)
{
    uint32_t  place, n;

    for (place = 0, n = 0; place < CANARY_COHORTS; place++) {
        n += (loop->evidence->slots[0]->tallies[place][0].started
              || loop->evidence->slots[0]->tallies[place][1].started);
    }

    return n;
}


static void
places_are_as_many_as_there_are_cohorts_in_flight(void **state)
{
    loop_t  *loop = *state;

    pass(loop, 600000, 50);
    assert_in_range(places(loop), 10, 28);

    pass(loop, 60000, 3000);
    assert_in_range(places(loop), 45, 58);

    pass(loop, 60000, 9900);
    assert_in_range(places(loop), 110, CANARY_COHORTS);
}


static void
rollouts_one_after_the_other_use_the_same_places(void **state)
{
    uint32_t   n;
    loop_t    *loop = *state;

    for (n = 0; n < 1000; n++) {
        canary_evidence_begin(loop->evidence, loop->step, loop->now);
        pass(loop, 200 + n % 10 * 300, 50);
    }

    assert_in_range(places(loop), 10, 28);
}


static void
a_place_that_is_used_late_begins_with_nothing(void **state)
{
    loop_t                  *loop;
    canary_limits_t          limits;
    canary_evidence_view_t   seen;

    teardown(state);
    setup_with(state, 2, 1);
    loop = *state;

    memset(&limits, 0, sizeof(canary_limits_t));

    pass(loop, 5000, 50);
    canary_evidence_limits(loop->evidence, 1, &limits);
    canary_evidence_begin(loop->evidence, loop->step, loop->now);
    canary_evidence_use(loop->evidence, unit_slot());

    loop->ticks = 0;
    pass(loop, 9000, 0);

    seen = view(loop);
    assert_int_equal(seen.failing.started, 9000 / TICK);
    assert_in_range(seen.failing.slow[0], 8900 / TICK, 9000 / TICK);
    assert_int_equal(seen.failing.bad, 0);
    assert_int_equal(seen.passing.started, 0);
}


/* The memory of a rollout that has ended was given to another. */

static void
a_rollout_may_have_other_books_than_the_one_before(void **state)
{
    loop_t                  *loop = *state;
    canary_evidence_view_t   seen;

    pass(loop, 60000, 3000);

    free(loop->evidence->books);
    canary_evidence_set_books(loop->evidence,
                              unit_junk(sizeof(canary_judged_t)));

    canary_evidence_begin(loop->evidence, loop->step, loop->now);

    loop->ticks = 0;
    pass(loop, 60000, 3000);

    seen = view(loop);

    assert_int_equal(seen.failing.started, loop->ticks);
    assert_int_equal(seen.failing.bad, 0);
    assert_in_range(seen.passing.started, (60000 - 3100) / TICK,
                    (60000 - 3000) / TICK + 1);
    assert_in_range(places(loop), 45, 58);
}


/* The last seconds */


/* one attempt of stable in each tick, bad or not, that takes 2 ms */

static void
stable(loop_t *loop, uint64_t ms, int is_bad, int is_slow)
{
    canary_finish_t   finish;
    canary_ticket_t   ticket;

    finish = (canary_finish_t) {
        .bad_5xx = is_bad != 0,
        .timed = 1,
        .time = is_slow ? 5000 : 2000
    };

    for ( /* void */ ; ms; ms -= TICK) {
        canary_evidence_start(loop->evidence, 0, STABLE, &ticket);
        canary_evidence_finish(loop->evidence, &ticket, &finish);
        tick(loop);
    }
}


static canary_counts_t
last(loop_t *loop, uint64_t ms)
{
    canary_tail_t    tail;
    canary_counts_t  counts;

    canary_evidence_tail(loop->evidence, loop->now, &tail);
    canary_evidence_last(loop->evidence, &tail, loop->now, ms, &counts);

    return counts;
}


/* half of a part and a cohort, in attempts */

#define ABOUT  ((CANARY_LAST_PART_MS / 2 + CANARY_COHORT_MS) / TICK)


static void
what_was_in_the_last_seconds_is_known(void **state)
{
    loop_t           *loop = *state;
    uint32_t          n;
    uint64_t          ms;
    canary_counts_t   counts;

    static const uint64_t  all[] = { 500, 1000, 2000, 5000, 10000 };

    stable(loop, 20000, 0, 0);

    for (n = 0; n < 100; n++) {
        stable(loop, TICK, n % 2, 0);

        for (ms = 0; ms < UNIT_LENGTH(all); ms++) {
            counts = last(loop, all[ms]);

            assert_in_range(counts.started, all[ms] / TICK - ABOUT,
                            all[ms] / TICK + ABOUT);
            assert_int_equal(counts.timed, counts.started);
            assert_int_equal(counts.time, 2000 * counts.started);
            assert_int_equal(counts.bad, counts.bad_5xx);
            assert_int_equal(counts.bad_4xx, 0);

            if (n * TICK + 400 < all[ms]) {
                assert_int_equal(counts.bad, (n + 1) / 2);
            }
        }
    }

    /* all of it has been folded; then it is out of sight */

    stable(loop, 5000 - CANARY_LAST_PART_MS, 0, 0);
    assert_int_equal(last(loop, 10000).bad, 50);

    stable(loop, 7000, 0, 0);
    assert_int_equal(last(loop, 10000).bad, 0);
}


static void
what_was_slow_in_the_last_seconds_is_known(void **state)
{
    loop_t           *loop = *state;
    canary_limits_t   limits;
    canary_counts_t   counts;

    memset(&limits, 0xff, sizeof(canary_limits_t));
    limits.limits[STABLE][0] = 10000;
    limits.limits[STABLE][1] = 4000;

    canary_evidence_limits(loop->evidence, 2, &limits);
    canary_evidence_begin(loop->evidence, loop->step, loop->now);

    stable(loop, 1000, 0, 1);
    stable(loop, 4000, 0, 0);

    counts = last(loop, 10000);
    assert_int_equal(counts.slow[0], 0);
    assert_int_equal(counts.slow[1], 1000 / TICK);

    counts = last(loop, 2000);
    assert_int_equal(counts.slow[1], 0);
}


static void
only_the_present_tests_have_last_seconds(void **state)
{
    loop_t  *loop = *state;

    stable(loop, 5000, 1, 0);
    canary_evidence_new_tests(loop->evidence);

    assert_in_range(last(loop, 10000).started, 0, 100 / TICK);

    stable(loop, 3000, 0, 0);

    assert_in_range(last(loop, 10000).bad, 0, 100 / TICK);
    assert_in_range(last(loop, 10000).started, 3000 / TICK, 3100 / TICK);

    canary_evidence_begin(loop->evidence, loop->step, loop->now);

    assert_int_equal(last(loop, 10000).started, 0);
}


/* What came long ago is not taken for new, whatever is in its place. */

static void
an_hour_of_last_seconds_is_all_the_same(void **state)
{
    loop_t           *loop = *state;
    uint32_t          n;
    canary_counts_t   counts;

    for (n = 0; n < 3600; n++) {
        stable(loop, 900, 0, 0);
        stable(loop, 100, 1, 0);

        if (n > 11) {
            counts = last(loop, 10000);
            assert_in_range(counts.started, 10000 / TICK - ABOUT,
                            10000 / TICK + ABOUT);
            assert_in_range(counts.bad, 20 - 2, 20 + 2);
        }
    }
}


#define cohort_test(name)  cmocka_unit_test_setup_teardown(name, setup,       \
                                                           teardown)


int
main(void)
{
    const struct CMUnitTest  cohort[] = {
        cohort_test(cohorts_of_quick_attempts_are_100_ms),
        cohort_test(cohorts_of_attempts_that_take_seconds_are_100_ms),
        cohort_test(attempts_that_hang_are_overdue_10_s_after_their_cohort),

        cohort_test(places_are_as_many_as_there_are_cohorts_in_flight),
        cohort_test(rollouts_one_after_the_other_use_the_same_places),
        cohort_test(a_place_that_is_used_late_begins_with_nothing),
        cohort_test(a_rollout_may_have_other_books_than_the_one_before),

        cohort_test(what_was_in_the_last_seconds_is_known),
        cohort_test(what_was_slow_in_the_last_seconds_is_known),
        cohort_test(only_the_present_tests_have_last_seconds),
        cohort_test(an_hour_of_last_seconds_is_all_the_same)
    };

    return cmocka_run_group_tests(cohort, NULL, NULL);
}
