
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Evidence: processes that died, and cohorts beyond count. */


#include "evidence.h"


/* A process that died */


static void
what_a_dead_process_left_in_flight_is_taken_out(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   alive;

    attempts(loop, 5, good);
    (void) begin_in(loop, 1, CANARY);
    (void) begin_in(loop, 1, STABLE);
    pass(loop, 3000);
    (void) begin_in(loop, 1, CANARY);
    alive = begin_in(loop, 2, CANARY);

    canary_evidence_reap(loop->evidence, 1);

    assert_counts(view(loop).failing, 6, 0, 0);
    assert_counts(view_of(loop, STABLE).failing, 0, 0, 0);

    end(loop, alive, good);

    assert_counts(view(loop).passing, 6, 0, 0);

    pass(loop, 30000);

    assert_counts(view(loop).failing, 6, 0, 0);
    assert_counts(view(loop).passing, 6, 0, 0);
}


static void
what_a_dead_worker_had_overdue_is_taken_out(void **state)
{
    loop_t                  *loop = *state;
    canary_ticket_t          other;
    canary_evidence_view_t   seen;

    attempts(loop, 5, good);
    (void) begin_in(loop, 1, CANARY);
    (void) begin_in(loop, 1, CANARY);
    other = begin_in(loop, 2, CANARY);
    pass(loop, 15000);

    assert_counts(view(loop).passing, 8, 3, 3);

    canary_evidence_reap(loop->evidence, 1);

    seen = view(loop);
    assert_counts(seen.passing, 6, 1, 1);
    assert_counts(seen.failing, 6, 0, 0);
    assert_int_equal(seen.overdue, 1);

    end(loop, other, good);

    assert_counts(view(loop).passing, 6, 0, 0);
}


static void
what_a_dead_process_had_counted_stays(void **state)
{
    loop_t  *loop = *state;

    end(loop, begin_in(loop, 1, CANARY), bad_5xx);
    end(loop, begin_in(loop, 1, CANARY), good);
    end(loop, begin_in(loop, 1, CANARY), voided);

    canary_evidence_reap(loop->evidence, 1);
    canary_evidence_reap(loop->evidence, 1);

    assert_counts(view(loop).failing, 2, 0, 1);
    assert_counts(view(loop).passing, 2, 0, 1);
    assert_int_equal(view(loop).spent, 1);
}


/* Whoever has the slot next finds it clean. */

static void
the_slot_of_a_dead_process_can_be_used_again(void **state)
{
    loop_t    *loop = *state;
    uint32_t   n;

    for (n = 1; n <= 300; n++) {
        (void) begin_in(loop, 1, CANARY);
        end(loop, begin_in(loop, 1, CANARY), good);
        canary_evidence_reap(loop->evidence, 1);
        pass(loop, 100);

        assert_counts(view(loop).failing, n, 0, 0);
        assert_counts(view(loop).passing, n, 0, 0);
    }
}


/* Its place is in use again, by attempts of another cohort. */

static void
a_process_may_die_long_after_its_attempts_were_settled(void **state)
{
    loop_t           *loop = *state;
    uint32_t          n;
    canary_ticket_t   hung;

    hung = begin_in(loop, 1, CANARY);

    for (n = 0; n < CANARY_COHORTS; n++) {
        pass(loop, 100);
        end(loop, begin_in(loop, 1, CANARY), good);
    }

    end(loop, hung, voided);
    canary_evidence_reap(loop->evidence, 1);

    assert_counts(view(loop).failing, CANARY_COHORTS, 0, 0);
    assert_counts(view(loop).passing, CANARY_COHORTS, 0, 0);
}


/* Many cohorts */


static void
thousands_of_cohorts_lose_nothing(void **state)
{
    loop_t                  *loop = *state;
    uint64_t                 bad;
    uint32_t                 n;
    canary_finish_t          timed;
    canary_evidence_view_t   seen;

    bad = 0;
    timed = (canary_finish_t) { .timed = 1, .time = 1000 };

    for (n = 1; n <= 5000; n++) {
        attempts(loop, 3, timed);

        if (n % 7 == 0) {
            attempts(loop, 1, bad_5xx);
            bad++;
        }

        pass(loop, 100);
        seen = view(loop);

        assert_counts(seen.failing, 3 * n + bad, 0, bad);
        assert_counts(seen.passing, 3 * n + bad, 0, bad);
        assert_int_equal(seen.passing.timed, 3 * n);
        assert_int_equal(seen.passing.time, 3000 * n);
        assert_int_equal(seen.spent, bad);
    }
}


/* What a view has to look at does not grow with the age of a rollout. */

static void
there_are_no_more_cohorts_than_places(void **state)
{
    loop_t    *loop = *state;
    uint32_t   n, unsettled;

    for (n = 0; n < 1000; n++) {
        (void) begin(loop);
        pass(loop, 100);

        unsettled = (uint32_t) loop->evidence->now - loop->evidence->oldest;
        assert_in_range(unsettled, 0, CANARY_COHORTS - 1);
    }
}


/* Each attempt takes 30 s: at any time 300 cohorts have one in flight. */

static void
thousands_of_cohorts_of_slow_attempts_lose_nothing(void **state)
{
    loop_t                  *loop = *state;
    uint32_t                 n;
    canary_ticket_t          tickets[300];
    canary_evidence_view_t   seen;

    for (n = 0; n < 3000; n++) {
        if (n >= 300) {
            end(loop, tickets[n % 300], (n % 2) ? bad_5xx : good);
        }

        tickets[n % 300] = begin(loop);
        pass(loop, 100);

        seen = view(loop);
        assert_int_equal(seen.failing.started, n + 1);
        assert_int_equal(seen.failing.bad_5xx, (n < 300) ? 0
                                                         : (n - 299) / 2);
        assert_int_equal(seen.spent, seen.failing.bad_5xx);
    }

    for (n = 0; n < 300; n++) {
        end(loop, tickets[n], good);
    }

    pass(loop, 1000);
    seen = view(loop);

    assert_counts(seen.failing, 3000, 0, 1350);
    assert_counts(seen.passing, 3000, 0, 1350);
}


/* The control loop was away for a day; nobody ticked. */

static void
a_tick_may_be_late(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    attempts(loop, 5, good);
    slow = begin(loop);

    loop->now += 86400000;
    attempts(loop, 5, good);
    canary_evidence_tick(loop->evidence, loop->tests, loop->now);
    attempts(loop, 5, good);

    /* how old it is counts from when the loop was back */

    assert_counts(view(loop).passing, 5, 0, 0);
    assert_counts(view(loop).failing, 16, 0, 0);

    end(loop, slow, good);

    assert_counts(view(loop).passing, 16, 0, 0);
}


/* Of two processes one has read the clock a moment before the other. */

static void
a_tick_with_an_earlier_time_changes_nothing(void **state)
{
    loop_t                  *loop = *state;
    canary_evidence_view_t   before, after;

    attempts(loop, 5, good);
    (void) begin(loop);
    pass(loop, 100);
    attempts(loop, 5, good);
    (void) begin(loop);

    before = view(loop);

    canary_evidence_tick(loop->evidence, loop->tests, loop->now - 3);
    canary_evidence_tick(loop->evidence, loop->tests, 0);

    after = view(loop);
    assert_same_view(&before, &after);
}


static void
counters_may_wrap_around(void **state)
{
    uint32_t         n, *counter;
    uint64_t        *late_counter;
    loop_t           loop;
    canary_late_t   *late;
    canary_tally_t  *tally;

    (void) state;

    loop.evidence = new_evidence(SLOTS);
    loop.tests = TESTS;
    loop.now = BEGIN;

    /* as after four billion attempts in each place */

    for (n = 0; n < SLOTS * CANARY_SIDES * CANARY_COHORTS; n++) {
        tally = &loop.evidence->slots[n % SLOTS]
                     ->tallies[n / SLOTS / CANARY_SIDES]
                             [n / SLOTS % CANARY_SIDES];

        for (counter = &tally->started;
             counter <= &tally->time_only;
             counter++)
        {
            *counter = UINT32_MAX - 1;
        }

        tally->voided = 0;
        tally->time = UINT64_MAX - 1;
    }

    for (n = 0; n < SLOTS * CANARY_SIDES; n++) {
        late = &loop.evidence->slots[n % SLOTS]->late[n / SLOTS];

        for (late_counter = &late->step.bad_4xx;
             late_counter <= &late->voided;
             late_counter++)
        {
            *late_counter = UINT32_MAX - 1;
        }

        late->timed = UINT32_MAX - 1;
        late->time = UINT64_MAX - 1;
    }

    canary_evidence_begin(loop.evidence, loop.tests, loop.now);

    for (n = 1; n <= 1000; n++) {
        attempts(&loop, 3, (canary_finish_t) { .timed = 1, .time = 5 });
        attempts(&loop, 4, bad_4xx);
        attempts(&loop, 5, bad_5xx);
        attempts(&loop, 6, voided);
        pass(&loop, 100);

        assert_counts(view(&loop).failing, 12 * n, 4 * n, 5 * n);
        assert_counts(view(&loop).passing, 12 * n, 4 * n, 5 * n);
        assert_int_equal(view(&loop).passing.time, 15 * n);
        assert_int_equal(view(&loop).spent, 5 * n);
    }

    unit_free_evidence(loop.evidence);
}


/* A step of 90 days has more attempts than 32 bits can count, late or not. */

static void
a_step_may_have_more_attempts_than_a_cohort(void **state)
{
    uint32_t                 n;
    uint64_t                 billion;
    loop_t                  *loop = *state;
    canary_late_t           *late;
    canary_tally_t          *tally;
    canary_slot_t           *slot;
    canary_limits_t          limits;
    canary_evidence_view_t   seen;

    billion = 1000000000;
    slot = loop->evidence->slots[1];
    late = &slot->late[CANARY];

    memset(&limits, 0, sizeof(canary_limits_t));
    canary_evidence_limits(loop->evidence, 1, &limits);
    canary_evidence_begin(loop->evidence, loop->tests, loop->now);

    for (n = 1; n <= 12; n++) {
        attempts(loop, 1, good);

        tally = &slot->tallies[loop->evidence->place_of[
                                   (uint32_t) loop->evidence->now
                                   % CANARY_COHORTS]][CANARY];

        tally->started += billion;
        tally->done += billion;
        tally->bad_4xx += billion / 4;
        tally->timed += billion;
        tally->time += billion * 5000;

        late->step.bad_4xx += billion;
        late->step.bad_5xx += billion;
        late->step.bad_both += billion / 2;
        late->voided += billion / 2;
        late->time_only += billion;
        late->timed += billion;
        late->time += billion * 5000;
        late->slow.slow[0] += billion;
        late->spent += billion;

        pass(loop, 2500);

        seen = view(loop);

        assert_int_equal(seen.failing.started, n * billion / 2 + n);
        assert_int_equal(seen.failing.bad_4xx, n * billion / 4 * 5);
        assert_int_equal(seen.failing.bad_5xx, n * billion);
        assert_int_equal(seen.failing.bad, n * billion / 4 * 7);
        assert_int_equal(seen.failing.time_only, n * billion);
        assert_int_equal(seen.failing.timed, 2 * n * billion);
        assert_int_equal(seen.failing.time, 2 * n * billion * 5000);
        assert_int_equal(seen.failing.slow[0], n * billion);
        assert_int_equal(seen.passing.started, seen.failing.started);
        assert_int_equal(seen.spent, n * billion);
    }
}


int
main(void)
{
    const struct CMUnitTest  evidence[] = {
        evidence_test(what_a_dead_process_left_in_flight_is_taken_out),
        evidence_test(what_a_dead_worker_had_overdue_is_taken_out),
        evidence_test(what_a_dead_process_had_counted_stays),
        evidence_test(the_slot_of_a_dead_process_can_be_used_again),
        evidence_test(a_process_may_die_long_after_its_attempts_were_settled),

        evidence_test(thousands_of_cohorts_lose_nothing),
        evidence_test(there_are_no_more_cohorts_than_places),
        evidence_test(thousands_of_cohorts_of_slow_attempts_lose_nothing),
        evidence_test(a_tick_may_be_late),
        evidence_test(a_tick_with_an_earlier_time_changes_nothing),
        cmocka_unit_test(counters_may_wrap_around),
        evidence_test(a_step_may_have_more_attempts_than_a_cohort)
    };

    return cmocka_run_group_tests(evidence, NULL, NULL);
}
